"""Open a review window: `review(run)` from a notebook or a script, `ssmis review RUN` from the command line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from widgets.review.display import check_display

if TYPE_CHECKING:
    import torch

    from ssmis_core.runs import Run
    from widgets.review.window import ReviewWindow


def review(
    run: Run | str | os.PathLike[str],
    case: str | None = None,
    *,
    split: str = "test",
    data_root: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    who: str | None = None,
    device: str | torch.device = "cpu",
    block: bool | None = None,
) -> ReviewWindow:
    """Look through the cases of an evaluated run in napari, worst first, flag, note and correct them.

    case: to open first. split, data_root, folder, who, device: see `Review`.
    block: wait until the window is closed (default: yes, but not in a notebook, where its loop runs beside the cells).
    Raises UserError where napari is not installed or no window can be opened, which is found out before Qt is started;
    for a run that was not evaluated, and for data that are not here.
    """
    check_display()
    from widgets.review.state import Review

    opened = Review(run, split=split, data_root=data_root, folder=folder, who=who, device=device)
    if case is not None:
        opened.go(case)
    opened.open()  # what cannot be read is told before there is a window

    import napari

    from widgets.review.window import ReviewWindow

    window = ReviewWindow(opened, napari.Viewer(title=f"review of {opened.run.path}"))
    if block if block is not None else not in_notebook():
        napari.run()
    return window


def in_notebook() -> bool:
    """Whether IPython runs this, whose own loop keeps a window alive."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell: Any = get_ipython()
    return shell is not None
