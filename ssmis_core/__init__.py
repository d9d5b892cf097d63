"""What computes in SSMIS Workbench: data sets, methods, training, inference and evaluation.

The names below are imported when they are first used, so that `import ssmis_core` costs milliseconds and neither
`ssmis --help` nor a reader of run folders pays for PyTorch:

    import ssmis_core as ssmis
    data = ssmis.open_dataset("phantom")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssmis_core.configuration import configure
    from ssmis_core.datasets import open_dataset
    from ssmis_core.errors import UserError
    from ssmis_core.evaluation import evaluate_run
    from ssmis_core.methods import create_method
    from ssmis_core.runs import Run
    from ssmis_core.training import train

__version__ = "0.1.0"

__all__ = [
    "Run",
    "UserError",
    "__version__",
    "configure",
    "create_method",
    "evaluate_run",
    "open_dataset",
    "train",
]

_HOME = {
    "Run": "ssmis_core.runs",
    "UserError": "ssmis_core.errors",
    "configure": "ssmis_core.configuration",
    "create_method": "ssmis_core.methods",
    "evaluate_run": "ssmis_core.evaluation",
    "open_dataset": "ssmis_core.datasets",
    "train": "ssmis_core.training",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported already or not."""
    return sorted(set(globals()) | set(__all__))
