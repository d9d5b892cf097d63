"""JavaScript of this folder's widgets: a widget's module out of files that several widgets share."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def module(*names: str) -> str:
    """One ES module out of files of this folder, in this order: each sees what those before it declare.

    A widget's script reaches the page as one text, which has no address that an `import` could start from.
    """
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)
