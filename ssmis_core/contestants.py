"""Run folders as contestants: runs that differ in the seed alone are one, and every one has a name of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssmis_core.configuration import Configuration, configure
from ssmis_core.errors import UserError
from ssmis_core.methods import METHODS, method_class
from ssmis_core.runs import Run
from ssmis_core.scored_runs import Scored, Setting, data_in_words, score

HOW = ("seed", "log_every", "deterministic", "compile")  # settings that make no other contestant
CONVENTIONS = ("empty", "largest_component", "split", "hd95", "asd", "distances", "grid")  # of a summary


def planned(
    methods: Sequence[str], *, seeds: Sequence[int], variant: str = "paper", **settings: Any
) -> list[Configuration]:
    """The trainings of a comparison: every method with every seed, seed by seed, all with the same settings.

    A method without the variant is trained as in its paper. Raises UserError for fewer than two methods, one that is
    named twice, no seed, and whatever `configure` refuses.
    """
    if len(set(methods)) < 2 or len(set(methods)) < len(methods):
        raise UserError(f"methods {' '.join(methods) or 'none'}: expected two or more, each of them once")
    if not seeds:
        raise UserError("seeds: found none, expected one or more")
    own = {name: variant if variant in method_class(name).VARIANTS else "paper" for name in methods}
    return [configure(name, variant=own[name], seed=seed, **settings) for seed in seeds for name in methods]


def read_runs(paths: Sequence[Path]) -> list[Scored]:
    """Evaluated runs with their scores, each by the name of its contestant.

    A folder that is no run itself stands for the evaluated runs in it, in the order of METHODS. A contestant is named
    after its method; where two of one method and variant differ in settings, what each has otherwise than the first is
    told with it.
    Raises UserError for a folder without runs, a run that is not evaluated, two runs of one contestant and seed, and
    runs that were not scored by the same conventions, or of the same data on other cases or classes.
    """
    runs = [run for path in paths for run in _runs_in(path)]
    configs = [run.config for run in runs]
    seen: dict[tuple[str, int], Path] = {}
    for run, config in zip(runs, configs, strict=True):
        before = seen.setdefault((json.dumps(_settings(config), sort_keys=True, default=str), config.seed), run.path)
        if before != run.path:
            raise UserError(f"{before} and {run.path}: are runs of the same settings and seed, expected one of them")
    _check_conventions(runs)
    scored = [score(_name(config, configs), run) for run, config in zip(runs, configs, strict=True)]
    _check_cases(scored)
    return scored


def _check_conventions(runs: Sequence[Run]) -> None:
    """UserError where two runs were not scored alike: their numbers would not mean the same."""
    told = [run.summary["conventions"] for run in runs]
    for run, said in zip(runs, told, strict=True):
        for key in CONVENTIONS:
            if said.get(key) != told[0].get(key):
                found = f"{key} {said.get(key)}, not {told[0].get(key)} as {runs[0].path}"
                raise UserError(f"{run.path}: was scored with {found}; evaluate both alike")


def _check_cases(scored: Sequence[Scored]) -> None:
    """UserError where two runs on the same data were not scored on the same cases and classes.

    A list or a folder that has changed between two evaluations shows here, whatever the data set is called.
    """
    first: dict[Setting, Scored] = {}
    for one in scored:
        other = first.setdefault(one.setting, one)
        mine, theirs = ({(case, name) for case in run.cases for name in run.cases[case]} for run in (one, other))
        if mine != theirs:
            apart = ", ".join(sorted(mine ^ theirs)[0])
            found = f"other test cases or classes than {other.folder} ({len(mine ^ theirs)} apart, {apart} the first)"
            raise UserError(f"{one.folder}: was scored on {found}; evaluate both on the same data")


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


def _settings(config: Configuration) -> dict[str, Any]:
    """All that makes a contestant: the configuration without the seed and what only says how it was run."""
    values = config.as_dict()
    options = values.pop("options")
    return {**{key: value for key, value in values.items() if key not in HOW}, **options}


def _place(config: Configuration) -> tuple[Any, ...]:
    """What the contestants of one name share: method, variant and setting."""
    shared = ("method", "variant", "dataset", "preset", "labeled", "dims")
    return (*(getattr(config, key) for key in shared), data_in_words(config.dataset_options))


def _name(mine: Configuration, all_: Sequence[Configuration]) -> str:
    """The method, and what this run has otherwise than the first of the same method, variant and setting."""
    first = next(one for one in all_ if _place(one) == _place(mine))
    own, others = _settings(mine), _settings(first)
    changed = [f"{key}={own[key]}" for key in own if own[key] != others.get(key)]
    return mine.method + (f" ({', '.join(changed)})" if changed else "")
