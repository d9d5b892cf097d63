"""Plain-text tables for the command line; ASCII only, so that they survive any terminal and any log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssmis_core.methods.overview import Overview

COLUMNS = (
    ("dice", "Dice %", 100.0),
    ("jaccard", "Jaccard %", 100.0),
    ("hd95", "95HD", 1.0),
    ("asd", "ASD", 1.0),
    ("hd95_mm", "95HD mm", 1.0),
    ("asd_mm", "ASD mm", 1.0),
)
PROTOCOLS = {
    "last": "the last iteration",
    "best-on-validation": "best on validation cases, whose labels count as extra labels",
    "best-on-test": "best on the TEST list, as many papers do; too good to be compared with anything else",
}
EMPTY = {
    "nan": "a missed object has Dice 0 and no distance",
    "zero": "a missed object scores 0 everywhere, distances too, as in the papers' code",
}


def table(rows: Sequence[Sequence[object]], *, left: int = 1) -> str:
    """Rows (the first is the head) as aligned text: the first `left` columns to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        padded = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def results(summary: Mapping[str, Any]) -> str:
    """The table of an evaluation: one line a class, mean and (standard deviation) over cases, and what was missed."""
    classes: Mapping[str, Any] = summary["classes"]
    shown = [column for column in COLUMNS if any(column[0] in scores for scores in classes.values())]
    rows: list[list[str]] = [["class", *(title for _, title, _ in shown), "missed", "false alarms"]]
    for name, scores in classes.items():
        cells = [_cell(scores.get(metric), scale) for metric, _, scale in shown]
        rows.append([name, *cells, str(scores["missed"]), str(scores["false_alarms"])])
    if len(classes) > 1:
        means = [_number(summary["mean"].get(metric), scale) for metric, _, scale in shown]
        rows.append(["mean of classes", *means, str(summary["missed"]), str(summary["false_alarms"])])
    return table(rows)


def conventions(summary: Mapping[str, Any], *, iterations: int) -> str:
    """The lines below a table of results that say what its numbers are."""
    said: Mapping[str, Any] = summary["conventions"]
    weights = weights_in_words(said["checkpoint_protocol"], said["status"], said["iteration"], iterations)
    component = "the largest component of each class" if said["largest_component"] else "nothing removed"
    lines = [
        f"{summary['cases']} {said['split']} cases, mean (standard deviation); weights: {weights}.",
        f"95HD: {said['hd95']}; ASD: {said['asd']}; both in voxels, or in mm where it says so.",
        f"Empty predictions: {EMPTY.get(said['empty'], said['empty'])}. Post-processing: {component}.",
    ]
    if said.get("grid") == "file":
        lines.append("Grid: that of each scan's own file, where its label lies; voxels and mm are that file's.")
    if "external" in said:
        lines.append(f"Other scans than the run's: {said['external']}.")
    if "precision" in said:
        lines.append(f"Precision of the network's passes: {said['precision']}.")
    if "voxel_size" in said:
        lines.append(f"Voxel size: {said['voxel_size']}.")
    return "\n".join(lines)


def weights_in_words(protocol: str, status: str, done: int, iterations: int) -> str:
    """Which weights of a run were scored: those of its protocol, of a training cut short, or imported ones."""
    if status == "imported":
        return "imported; how they were selected is for their authors to say"
    cut = "" if status == "finished" else f" (training {status} at iteration {done} of {iterations})"
    return f"{PROTOCOLS.get(protocol, protocol)}{cut}"


def methods(overviews: Sequence[Overview]) -> str:
    """The list of methods, and the lines below it that say what its columns mean."""
    rows: list[tuple[object, ...]] = [("name", "title", "year", "variants", "networks", "cost 2D", "cost 3D", "paper")]
    for one in overviews:
        networks = str(one.trained) + (f" + {one.averaged} averaged" if one.averaged else "")
        costs = [f"{one.cost[dims]:.1f}x" if dims in one.cost else "-" for dims in (2, 3)]
        rows.append((one.name, one.title, one.year, ", ".join(one.variants), networks, *costs, one.paper))
    return "\n".join(
        (
            table(rows, left=len(rows[0])),
            "",
            "networks: trained, and averaged teachers that follow them.",
            "cost: seconds an iteration over those of supervised learning, as measured on a CPU with the paper's",
            "options (benchmarks/results/method_cost.csv); -: not measured.",
        )
    )


def comparisons(pairs: Sequence[Mapping[str, Any]]) -> str:
    """Rows of `comparison.differences` as text: the difference in Dice and in 95HD, with its interval and p."""
    lines: list[str] = []
    for metric, title, scale in (column for column in COLUMNS if column[0] in ("dice", "hd95")):
        rows: list[list[str]] = [["comparison", "data", "labels", "over", title, "from", "to", "p", "p (Holm)"]]
        for row in (row for row in pairs if row["metric"] == metric):
            numbers = [_known(scale * row[key], "+.2f") for key in ("mean", "low", "high")]
            data = f"{row['dataset']} {row['dims']}D {row['preset']}"
            cells = [row["comparison"], data, str(row["labeled"]), f"{row['n']} {row['over']}", *numbers]
            rows.append([*cells, *(_known(row[key], ".3f") for key in ("p_value", "p_holm"))])
        lines += [table(rows, left=4), ""]
    return "\n".join(
        [*lines, "Differences of means with their 95 % intervals; p of the paired t-test; 95HD in voxels."]
    )


def options(cls: Any) -> str:
    """The options of a method class: name, type, and the default of each variant; then what they mean."""
    variants: Mapping[str, Mapping[str, Any]] = cls.VARIANTS
    rows: list[list[str]] = [["option", "type", *variants]]
    for field in fields(cls.Options):
        default = "" if field.default is MISSING else field.default
        defaults = [_plain(variant.get(field.name, default)) for variant in variants.values()]
        rows.append([field.name, str(field.type), *defaults])
    meanings = [
        " ".join(base.__doc__.split())
        for base in reversed(cls.Options.__mro__)
        # a dataclass without a docstring is given its signature for one
        if base is not object and base.__doc__ and not base.__doc__.startswith(f"{base.__name__}(")
    ]
    return "\n\n".join((table(rows, left=2 + len(variants)), *meanings))


def _cell(statistics: Mapping[str, Any] | None, scale: float) -> str:
    if statistics is None or statistics["mean"] is None:
        return "-"
    mean = _number(statistics["mean"], scale)
    return mean if statistics["std"] is None else f"{mean} ({_number(statistics['std'], scale)})"


def _number(value: float | None, scale: float) -> str:
    return "-" if value is None else f"{value * scale:.2f}"


def _known(value: float, form: str) -> str:
    """A number, or a dash for NaN: of too few pairs to be tested, as the `note` of their row says."""
    return "-" if value != value else format(value, form)


def _plain(value: Any) -> str:
    """A value as `--set` takes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
