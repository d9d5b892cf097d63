"""A notebook cell that runs again: what it made before leaves the page, and now the kernel too."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import ipywidgets

_made: dict[str, tuple[str, WeakSet[ipywidgets.Widget]]] = {}  # by cell: which run of it, and what that made


def replace_earlier(widget: ipywidgets.Widget) -> None:
    """Close widgets that an earlier run of the cell in progress has made, and remember this one for the next run.

    JupyterLab takes them off the page when the cell begins, but the kernel would keep them, networks and scans
    included, until it ends. Nothing where no cell runs, or where it is not known which.
    """
    cell, run = running_cell()
    if not cell:
        return
    before, made = _made.get(cell, ("", WeakSet()))
    if before != run:
        for one in list(made):
            one.close()
        made = WeakSet()
    made.add(widget)
    _made[cell] = (run, made)


def running_cell() -> tuple[str, str]:
    """(name of the cell in progress, name of its run) as JupyterLab tells them; empty where it does not."""
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return "", ""
    kernel: Any = getattr(get_ipython(), "kernel", None)
    told = kernel.get_parent("shell") if hasattr(kernel, "get_parent") else {}
    return str(told.get("metadata", {}).get("cellId", "")), str(told.get("header", {}).get("msg_id", ""))
