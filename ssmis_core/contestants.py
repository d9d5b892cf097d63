"""Run folders as contestants: runs that differ in the seed alone are one, and every one has a name of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssmis_core.comparison import Scored, score
from ssmis_core.errors import UserError
from ssmis_core.methods import METHODS
from ssmis_core.runs import Run


def read_runs(paths: Sequence[Path]) -> list[Scored]:
    """Evaluated runs with their scores, each by the name of its contestant.

    A folder that is no run itself stands for the evaluated runs in it, in the order of METHODS. A contestant is named
    after its method; where two of one method and variant differ in settings, what each has otherwise than the first is
    told with it.
    Raises UserError for a folder without runs, a run that is not evaluated, and two runs of one contestant and seed.
    """
    runs = [run for path in paths for run in _runs_in(path)]
    keys = [_key(run) for run in runs]
    named: list[Scored] = []
    seen: dict[tuple[str, int], Path] = {}
    for run, key in zip(runs, keys, strict=True):
        before = seen.setdefault((key, run.config.seed), run.path)
        if before != run.path:
            raise UserError(f"{before} and {run.path}: are runs of the same settings and seed, expected one of them")
        named.append(score(_name(run, runs), run))
    return named


def _runs_in(path: Path) -> list[Run]:
    if (path / "run.json").is_file():
        runs = [Run(path)]
    elif path.is_dir():
        found = sorted(file.parent for file in path.rglob("run.json"))
        order = list(METHODS)
        runs = sorted(
            (Run(folder) for folder in found if (folder / "summary.json").is_file()),
            key=lambda run: order.index(run.config.method) if run.config.method in order else len(order),
        )
        if not runs:
            raise UserError(f"{path}: has no evaluated run in it ({len(found)} runs, none with a summary.json)")
    else:
        raise UserError(f"{path}: no such run folder")
    for run in runs:
        _ = run.summary  # one line where it is not evaluated
    return runs


def _settings(run: Run) -> dict[str, Any]:
    """All that makes a contestant: the configuration without the seed and what only says how it was run."""
    config = run.config.as_dict()
    rest = {
        key: config[key] for key in config if key not in ("seed", "options", "log_every", "deterministic", "compile")
    }
    return {**rest, **config["options"]}


def _key(run: Run) -> str:
    return json.dumps(_settings(run), sort_keys=True, default=str)


def _name(run: Run, runs: Sequence[Run]) -> str:
    """The method, and what this run has otherwise than the first of the same method, variant and setting."""
    mine, shared = run.config, ("method", "variant", "dataset", "preset", "labeled", "patch")
    first = next(one for one in runs if all(getattr(one.config, k) == getattr(mine, k) for k in shared))
    own, others = _settings(run), _settings(first)
    changed = [f"{key}={own[key]}" for key in own if own[key] != others.get(key)]
    return mine.method + (f" ({', '.join(changed)})" if changed else "")
