"""A comparison of runs as tables, as LaTeX and as a web page: scores, differences, costs, and what others reported."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ssmis_core.cli_tables import weights_in_words
from ssmis_core.comparison import differences_from, means
from ssmis_core.comparison_charts import bland_altman, box_chart, slope_chart
from ssmis_core.difference_table import NOTHING, UNITS, difference_table, in_words, number
from ssmis_core.errors import UserError, unknown
from ssmis_core.methods import METHODS, method_class
from ssmis_core.model_cost import ModelCost, model_cost
from ssmis_core.pages import Table, document, table_html, table_latex
from ssmis_core.pairing import Runs, by_seed, over_cases
from ssmis_core.published import published
from ssmis_core.runs import Run
from ssmis_core.scored_runs import SETTING, Contestant, Scored, Setting, case_means, label

PRINTED = {"supervised": ("V-Net", "U-Net")}  # papers name the labeled cases' baseline after its network
Costs = Mapping[tuple[Setting, str], ModelCost]


@dataclass(frozen=True)
class Report:
    """All that is told of some runs.

    baselines: of each setting that has it, the contestant that the others are held against; rows: the differences from
    them, as `comparison.differences_from` has them; costs: of contestants by setting and label, where they were worked
    out.
    """

    scored: Sequence[Scored]
    baselines: Mapping[Setting, Contestant]
    rows: Sequence[Mapping[str, Any]]
    costs: Costs

    @property
    def settings(self) -> list[Setting]:
        """Data set, dimensions, preset, labels and data of the runs: only those of one setting are compared."""
        return list(dict.fromkeys(one.setting for one in self.scored))

    @property
    def largest(self) -> Setting:
        """The setting with the most contestants beside its baseline; UserError where none has two."""
        sizes = {setting: len(self.contestants(setting)) for setting in self.baselines}
        setting = max(sizes, key=lambda one: sizes[one], default=None)
        if setting is None or sizes[setting] < 2:
            raise UserError("compare: no setting has two contestants, one of them the baseline; expected two or more")
        return setting

    def within(self, setting: Setting) -> list[Scored]:
        return [one for one in self.scored if one.setting == setting]

    def contestants(self, setting: Setting) -> dict[str, list[Scored]]:
        """The runs of each contestant by its label, in the order in which they came."""
        found: dict[str, list[Scored]] = {}
        for one in self.within(setting):
            found.setdefault(label(one.contestant), []).append(one)
        return found

    def pairs(self, setting: Setting, name: str) -> Runs:
        """The runs of a contestant, by its label, and of the baseline with the same seeds; UserError without any."""
        runs, base = self.contestants(setting), label(self.baselines[setting])
        shared = by_seed(runs[name], runs[base])
        if not shared:
            raise UserError(
                f"compare: {name} and {base} share no seed, expected one or more that both were trained with"
            )
        return shared

    def compared(self, setting: Setting, metric: str) -> list[Mapping[str, Any]]:
        """The rows of one setting and metric, over cases: every contestant minus the baseline."""
        wanted = {**dict(zip(SETTING, setting, strict=True)), "over": "cases", "metric": metric}
        return [row for row in self.rows if all(row[key] == value for key, value in wanted.items())]


def make_report(scored: Sequence[Scored], *, baseline: str | None, costs: Costs) -> Report:
    """A report of runs.

    baseline: a contestant's label, else its name, else its method, and the first such one in each setting; None for
    "supervised" where it is there, else for the first contestant. Raises UserError for one that none of the runs is of.
    """
    if not scored:
        raise UserError("compare: no run, expected at least one run folder")
    if baseline is not None and nearest(baseline, scored) is None:
        raise unknown("baseline", baseline, dict.fromkeys(label(one.contestant) for one in scored))
    baselines: dict[Setting, Contestant] = {}
    for setting in dict.fromkeys(one.setting for one in scored):
        runs = [one for one in scored if one.setting == setting]
        found = nearest(baseline or "supervised", runs)
        if found is None and baseline is None:
            found = nearest(scored[0].name, runs) or runs[0].contestant
        if found is not None:
            baselines[setting] = found
    return Report(scored, baselines, differences_from(scored, baselines), costs)


def nearest(wanted: str, runs: Sequence[Scored]) -> Contestant | None:
    """The first contestant whose label this is, else whose name, else whose method; None where there is none."""
    for called in (lambda one: label(one.contestant), lambda one: one.name, lambda one: one.row["method"]):
        for one in runs:
            if called(one) == wanted:
                return one.contestant
    return None


def count_costs(scored: Iterable[Scored]) -> Costs:
    """The cost of the first run of each contestant that can be built (still): method, options and weights are there."""
    counted: dict[tuple[Setting, str], ModelCost] = {}
    for one in scored:
        key = one.setting, label(one.contestant)
        if key not in counted and one.row["method"] in METHODS and Path(one.folder, "weights.safetensors").is_file():
            with suppress(UserError):  # of another version's options or networks; its scores stand all the same
                counted[key] = model_cost(Run(one.folder))
    return counted


def tables(report: Report) -> Iterator[Table]:
    """Of every setting: scores, differences from the baseline, costs, published numbers."""
    for setting in report.settings:
        yield score_table(report, setting)
        for metric in ("dice", "hd95"):
            if rows := report.compared(setting, metric):
                yield difference_table(rows, metric, setting, report.baselines[setting])
        found = cost_table(report, setting)
        if len(found.rows) > 1:
            yield found
        found = published_table(report, setting)
        if len(found.rows) > 1:
            yield found


def score_table(report: Report, setting: Setting) -> Table:
    """A line a contestant: mean over seeds of each metric, and half the width of its 95 % interval."""
    rows: list[tuple[str, ...]] = [("method", "seeds", *(title for title, _ in UNITS.values()), "missed", "s/run")]
    for row in means(report.within(setting)):
        cells = []
        for metric, (_, factor) in UNITS.items():
            mean, half = factor * row[metric], factor * row[f"{metric}_half_width"]
            cells.append(number(mean) + ("" if math.isnan(half) else f" ± {half:.2f}"))
        name = label((row["name"], row["variant"]))
        rows.append((name, str(row["seeds"]), *cells, f"{row['missed']:g}", number(row["seconds"], 0)))
    weights = {_weights(one) for one in report.within(setting)}
    cases = sorted({one.row["cases"] for one in report.within(setting)})
    note = (
        f"Mean over seeds ± half of the 95 % interval over seeds; {' or '.join(map(str, cases))} test cases each; "
        f"distances in voxels, without objects that were missed; weights: {'; '.join(sorted(weights))}."
    )
    return Table(f"Scores: {in_words(setting)}", note, rows, left=1)


def cost_table(report: Report, setting: Setting) -> Table:
    """A line a contestant: parameters, multiply-adds of an answer, seconds an iteration."""
    rows: list[tuple[str, ...]] = [("method", "parameters", "trained", "multiply-adds", "s/iteration")]
    for name in report.contestants(setting):
        cost = report.costs.get((setting, name))
        if cost is not None:
            counts = (
                f"{cost.parameters / 1e6:.2f} M",
                f"{cost.trained / 1e6:.2f} M",
                f"{cost.multiply_adds / 1e9:.2f} G",
            )
            rows.append((name, *counts, number(cost.seconds, 3)))
    note = (
        "Parameters of the network that answers, and of all that is trained; multiply-adds of the answer to one patch; "
        "seconds on the machine of the first run."
    )
    return Table(f"Costs: {in_words(setting)}", note, rows, left=1)


def published_table(report: Report, setting: Setting) -> Table:
    """A line a contestant and checkpoint protocol: the range that papers report, and who."""
    dataset, _, _, labeled, _ = setting
    rows: list[tuple[str, ...]] = [("method", "weights", "reported by", "Dice %", "95HD")]
    methods = dict.fromkeys(one.row["method"] for one in report.within(setting))
    for title in (title for name in methods for title in printed_names(name)):
        try:
            found = published(dataset=dataset, labeled=labeled, method=title)
        except UserError:
            continue  # a data set or a method that nobody reported
        for protocol in dict.fromkeys(str(row["checkpoint_protocol"]) for row in found):
            some = [row for row in found if str(row["checkpoint_protocol"]) == protocol]
            who = "; ".join(dict.fromkeys(str(row["reported_by"]) for row in some))
            ranges = [_range([float(row[key]) for row in some]) for key in ("dice", "hd95_voxel")]
            rows.append((title, protocol, who, *ranges))
    note = "As printed, on the papers' own full budget: beside the numbers above, not to be mixed with them."
    return Table(f"Published: {in_words(setting)}", note, rows, left=3)


def printed_names(method: str) -> tuple[str, ...]:
    """What papers' tables call a method; nothing for one that is not registered (any more)."""
    if method in PRINTED:
        return PRINTED[method]
    return (method_class(method).card.title,) if method in METHODS else ()


def latex_of(report: Report) -> str:
    """Every table as LaTeX, for documents that load booktabs."""
    return "\n\n".join(("% needs \\usepackage{booktabs}", *(table_latex(table) for table in tables(report)))) + "\n"


def page(report: Report) -> str:
    """The report as one web page with charts of every case."""
    body: list[str] = [_list_of_runs(report)]
    for setting in report.settings:
        body += _charts(report, setting)
    body[1:1] = [table_html(table) for table in tables(report)]
    return document("Comparison of runs", body, command="ssmis compare")


def _charts(report: Report, setting: Setting) -> Iterator[str]:
    for metric in ("dice", "hd95"):
        title, factor = UNITS[metric]
        contestants = report.contestants(setting)
        cases = {name: _in_units(case_means(runs, metric), factor) for name, runs in contestants.items()}
        yield f"<h2>{escape(title)} of every case: {escape(in_words(setting))}</h2>"
        yield box_chart(cases, f"{title}: quartiles, and every test case (mean over seeds)")
        if setting not in report.baselines:
            continue
        base = label(report.baselines[setting])
        for name in contestants:
            if name != base and (shared := by_seed(contestants[base], contestants[name])):
                pairs = over_cases(shared, metric)
                sides = ({case: pair[side] for case, pair in pairs.items()} for side in (0, 1))
                a, b = (_in_units(side, factor) for side in sides)
                yield slope_chart(a, b, (base, name), title, more_is_better=metric == "dice")
                yield bland_altman(a, b, (base, name), title)


def _in_units(cases: Mapping[str, float], factor: float) -> dict[str, float]:
    return {case: factor * value for case, value in cases.items()}


def _list_of_runs(report: Report) -> str:
    runs = "".join(
        f"<li>{escape(label(one.contestant))}, seed {one.row['seed']}: <code>{escape(str(one.row['run']))}</code>, "
        f"{escape(str(one.row['status']))}, {escape(str(one.row['iterations']))} iterations</li>"
        for one in report.scored
    )
    return f'<details><summary>{len(report.scored)} runs</summary><ul class="quiet">{runs}</ul></details>'


def _weights(one: Scored) -> str:
    row = one.row
    return weights_in_words(row["protocol"], row["status"], row["iterations_done"], row["iterations"])


def _range(values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return NOTHING
    low, high = min(known), max(known)
    return f"{low:.2f}" if low == high else f"{low:.2f} to {high:.2f}"
