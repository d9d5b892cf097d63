"""Run folders as contestants: runs that differ in the seed alone are one, and every one has a name of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ssmis_core.configuration import SETTINGS, Configuration, configure, preset_table
from ssmis_core.errors import UserError
from ssmis_core.methods import METHODS, method_class, method_options
from ssmis_core.runs import Run
from ssmis_core.scored_runs import Scored, Setting, data_in_words, score

HOW = ("seed", "log_every", "deterministic", "compile")  # settings that make no other contestant
PLACE = ("method", "variant", "dataset", "preset", "labeled")  # of a configuration: what has a place of its own
TOLD = ("imported", "sha256", "trained to")  # settings that names tell in words
CONVENTIONS = ("empty", "largest_component", "split", "hd95", "asd", "distances", "grid", "precision")  # of a summary


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
    after its method, with what it has otherwise than its preset and other contestants (see `_names`).
    Raises UserError for a folder without runs, a run that is not evaluated, two runs of one contestant and seed, and
    runs that were not scored by the same conventions, or of the same data on other cases or classes.
    """
    runs = [run for path in paths for run in _runs_in(path)]
    entries = [_entry(run) for run in runs]
    seen: dict[tuple[str, int], Path] = {}
    for run, entry in zip(runs, entries, strict=True):
        before = seen.setdefault((entry.key, entry.config.seed), run.path)
        if before != run.path:
            raise UserError(f"{before} and {run.path}: are runs of the same settings and seed, expected one of them")
    _check_conventions(runs)
    scored = [score(name, run) for name, run in zip(_names(entries), runs, strict=True)]
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


@dataclass(frozen=True)
class _Entry:
    """A run as a contestant. place: what those of one name share; settings: all else that makes it another one."""

    config: Configuration
    place: tuple[Any, ...]
    settings: Mapping[str, Any]

    @property
    def setting(self) -> tuple[Any, ...]:
        return self.place[2:]

    @property
    def key(self) -> str:
        return json.dumps([self.place, self.settings], sort_keys=True, default=str)


def _entry(run: Run) -> _Entry:
    """A contestant's settings are the configuration without what only says how it was run, and what was trained.

    An author's weights are no seed of one's own trainings, nor is a training that was cut short one of those that were
    not, though their configurations are the same.
    """
    config, imported = run.config, run.info.get("imported")
    values = config.as_dict()
    options = values.pop("options")
    settings = {key: value for key, value in values.items() if key not in (*HOW, *PLACE, "dataset_options")}
    settings |= options
    if not settings.get("unlabeled_per_batch", 1):  # of a method without a choice, which has nothing to share there
        del settings["unlabeled_per_batch"]
    if imported is not None:
        settings |= {"imported": imported.get("file", ""), "sha256": imported.get("sha256", "")}
    elif (done := _trained(run)) != config.iterations:
        settings["trained to"] = done
    place = (*(values[key] for key in PLACE), config.dims, data_in_words(config.dataset_options))
    return _Entry(config, place, settings)


def _trained(run: Run) -> int:
    """The iterations behind the weights that were scored: a training may have gone on since its evaluation."""
    done: int = run.info.get("iterations_done", run.config.iterations if run.status == "finished" else 0)
    said = run.summary["conventions"]
    if run.config.protocol == "last":  # else the iteration is that of the best weights, which says nothing of the end
        done = said.get("iteration", done)
    return done


def _names(entries: Sequence[_Entry]) -> list[str]:
    """The name of every run: its method, what was imported or cut short, and what it has otherwise than its preset.

    What all contestants of a setting have in common is not told: it parts nobody. Names depend on which runs are
    compared, never on their order.
    """
    contestants = list({one.key: one for one in entries}.values())
    return [_name(one, [other for other in contestants if other.setting == one.setting]) for one in entries]


def _name(mine: _Entry, others: Sequence[_Entry]) -> str:
    alike = [other.settings for other in others if other.place == mine.place]
    usual, own, told = _of_preset(mine.config), mine.settings, []
    if "imported" in own:
        again = any(o.get("imported") == own["imported"] and o["sha256"] != own["sha256"] for o in alike)
        told.append(f"imported {own['imported']}" + (f" {own['sha256'][:8]}" if again else ""))
    if "trained to" in own:
        told.append(f"trained to iteration {own['trained to']} of {mine.config.iterations}")
    for key in own:
        values = [other.settings[key] for other in others if key in other.settings]
        shared = len(values) > 1 and all(value == own[key] for value in values)
        # what the preset leaves open is told where it parts contestants of one method
        changed = own[key] != usual[key] if key in usual else any(key in o and o[key] != own[key] for o in alike)
        if changed and not shared and key not in TOLD:
            value = own[key]
            told.append(f"{key}={','.join(map(str, value)) if isinstance(value, list) else value}")
    return mine.config.method + (f" ({', '.join(told)})" if told else "")


def _of_preset(config: Configuration) -> dict[str, Any]:
    """The settings that a method has by its preset and variant; none where this version does not know them."""
    same: dict[str, Any] = {"method": config.method, "variant": config.variant}
    try:
        table = preset_table(config.preset, dataset=config.dataset, dims=config.dims, **same)
        options = asdict(method_options(config.method, variant=config.variant, preset=table))
    except UserError:
        return {}
    # the axis of slices is the data set's, not the preset's
    defaults = {f.name: f.default for f in fields(Configuration) if f.default is not MISSING and f.name != "slice_axis"}
    run = {key: value for key, value in table.items() if key in SETTINGS}
    run |= {key: [run[key]] * config.dims for key in ("factor", "patch", "stride") if isinstance(run.get(key), int)}
    plain = {**defaults, **run, **options}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}
