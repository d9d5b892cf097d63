"""Figures and tables of evaluated runs: every case, not means alone, with the conventions they were scored by."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from ssmis_core.errors import UserError
from ssmis_core.runs import Run
from ssmis_core.statistics import PairedDifference, mean_interval, paired_difference
from widgets import style

if TYPE_CHECKING:
    import pandas

LINE = 88  # characters that fit beside a notebook's margins
# metric: (label, factor, is more better)
METRICS: dict[str, tuple[str, float, bool]] = {
    "dice": ("Dice (%)", 100.0, True),
    "jaccard": ("Jaccard (%)", 100.0, True),
    "hd95": ("95HD (voxels)", 1.0, False),
    "asd": ("ASD (voxels)", 1.0, False),
}


def case_scores(run: Run, metric: str, *, of: str | None = None, ending: str = "") -> dict[str, float]:
    """{case: score}, the mean over the foreground classes that have a number; NaN where none has. of: one class.

    ending: of the names of the run's files about these cases, see `EvaluatedData` (default: of the test list).
    """
    rows = [row for row in run.rows(f"cases{ending}") if of in (None, row["class"])]
    if not rows:
        raise UserError(f"{run.path}: not evaluated yet (no cases{ending}.csv), expected evaluate_run(run) before")
    by_case: dict[str, list[float]] = {}
    for row in rows:
        by_case.setdefault(str(row["case"]), []).append(float(row[metric]))
    known = {case: [value for value in values if not math.isnan(value)] for case, values in by_case.items()}
    return {case: float(np.mean(values)) if values else math.nan for case, values in known.items()}


def paired_cases(runs: Mapping[str, Run], *, title: str) -> go.Figure:
    """Every test case as a line from run to run, the means as diamonds; buttons choose the metric.

    runs: evaluated runs by name, in the order to draw them, on the same test cases.
    """
    names, figure = list(runs), go.Figure()
    owner: list[str] = []
    for metric, (_, factor, more) in METRICS.items():
        tables = [case_scores(run, metric) for run in runs.values()]
        for case in tables[0]:
            values = [factor * table.get(case, math.nan) for table in tables]
            better = (values[-1] > values[0]) == more
            colour = style.BLUE if better else style.VERMILLION
            hover = f"{case}<br>%{{x}}: %{{y:.1f}}<extra></extra>"
            line = {"color": colour, "width": 1.2}
            figure.add_scatter(x=names, y=values, mode="lines+markers", line=line, opacity=0.55, hovertemplate=hover)
            owner.append(metric)
        means = [factor * float(np.nanmean(list(t.values()))) if t else math.nan for t in tables]
        marker = {"symbol": "diamond", "size": 13, "color": style.BLACK}
        text = [f"  {mean:.1f}" for mean in means]
        figure.add_scatter(
            x=names, y=means, mode="markers+text", marker=marker, text=text, textposition="middle right", name="mean"
        )
        owner.append(metric)
    figure.update_traces(showlegend=False, visible=False)
    for trace, metric in zip(figure.data, owner, strict=True):
        trace.visible = metric == "dice"
    _metric_buttons(figure, owner)
    figure.update_xaxes(range=[-0.35, len(names) - 0.5])
    figure.update_yaxes(title_text=METRICS["dice"][0])
    figure.update_layout(margin={"t": 105, "l": 70, "b": 45})
    count = len(case_scores(runs[names[0]], "dice"))
    alt = f"A line for each of {count} test cases from {names[0]} to {names[-1]}: blue gets better, red-orange worse."
    return style.finish(figure, title=title, alt=alt, height=480, width=760, runs=runs.values())


def ablation(runs: Mapping[str, Run], *, title: str, metric: str = "dice") -> go.Figure:
    """Each run's test cases as points, its mean and the 95 % interval of the mean (over cases, one training each)."""
    label, factor, _ = METRICS[metric]
    figure = go.Figure()
    for number, run in enumerate(runs.values()):
        scores = {case: factor * value for case, value in case_scores(run, metric).items() if not math.isnan(value)}
        values = np.array(list(scores.values()))
        shift = 0.3 * (np.arange(len(values)) / max(1, len(values) - 1) - 0.5)
        colour = style.CYCLE[number % len(style.CYCLE)]
        figure.add_scatter(
            x=number + shift,
            y=values,
            mode="markers",
            marker={"color": colour, "size": 7, "opacity": 0.55},
            text=list(scores),
            hovertemplate="%{text}: %{y:.1f}<extra></extra>",
        )
        mean, half = mean_interval(values)
        bar = {"type": "data", "array": [half], "thickness": 2, "width": 9, "color": style.BLACK}
        pen = {"symbol": "diamond", "size": 12, "color": style.BLACK}
        hover = f"mean {mean:.1f}, interval {mean - half:.1f} to {mean + half:.1f}<extra></extra>"
        figure.add_scatter(x=[number + 0.27], y=[mean], error_y=bar, mode="markers", marker=pen, hovertemplate=hover)
        figure.add_annotation(x=number + 0.3, y=mean, text=f"{mean:.1f}", showarrow=False, xanchor="left", xshift=8)
    figure.update_traces(showlegend=False)
    figure.update_xaxes(tickvals=list(range(len(runs))), ticktext=list(runs), range=[-0.5, len(runs) - 0.3])
    figure.update_yaxes(title_text=label)
    figure.update_layout(margin={"t": 60, "l": 70, "b": 45})
    alt = f"{label} of every test case for {', '.join(runs)}, with mean and 95 % interval over cases."
    return style.finish(figure, title=title, alt=alt, height=420, width=760, runs=runs.values())


def paired_scores(a: Run, b: Run, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """The scores of both runs in the units of METRICS, on the test cases where both have a number."""
    factor = METRICS[metric][1]
    one, other = case_scores(a, metric), case_scores(b, metric)
    both = [case for case in one if case in other and not math.isnan(one[case] + other[case])]
    return factor * np.array([one[case] for case in both]), factor * np.array([other[case] for case in both])


def p_words(found: PairedDifference) -> str:
    """The p-value of the paired t-test as it is printed."""
    if math.isnan(found.p_value):
        return "all differences are equal: no t-test"
    return "p < 0.001" if found.p_value < 0.001 else f"p = {found.p_value:.3f}"


def paired_reading(better: Run, worse: Run, *, names: tuple[str, str], metric: str = "dice") -> str:
    """In words: both means, the paired difference with its 95 % interval and p, and in how many cases it is better.

    Lines are broken between words: a notebook breaks longer ones anywhere.
    """
    label, _, more = METRICS[metric]
    a, b = paired_scores(better, worse, metric)
    if not len(a):
        return f"No test case has a {label} from both {names[0]} and {names[1]}."
    text = f"{label}: {names[0]} {a.mean():.1f}, {names[1]} {b.mean():.1f}. "
    if len(a) == 1:
        text += "Only one test case has both: no interval and no test."
    else:
        found = paired_difference(a, b)
        wins = int((a > b).sum() if more else (a < b).sum())
        text += (
            f"Paired difference {found.mean:+.1f} (95 % interval {found.low:+.1f} to {found.high:+.1f}, "
            f"{p_words(found)}) over {found.n} test cases, better in {wins}. "
            "One training each: the interval is over cases, not over seeds."
        )
    return textwrap.fill(
        style.noted(text, better, worse, by=" Note: "), LINE, break_long_words=False, break_on_hyphens=False
    )


def results_table(runs: Mapping[str, Run]) -> pandas.DataFrame:
    """One row a run: labels, iterations done, mean and standard deviation over cases, objects missed, status.

    Beside Dice: the 95 % interval of its mean over cases, and p of the paired t-test against the first row, on the
    cases that both have. The runs' names are the index.
    """
    import pandas

    rows = []
    first = next(iter(runs.values()), None)
    for name, run in runs.items():
        row: dict[str, Any] = {"run": name, "labels": run.config.labeled, "iterations": run.info.get("iterations_done")}
        for metric, (label, factor, _) in METRICS.items():
            values = [factor * v for v in case_scores(run, metric).values() if not math.isnan(v)]
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
            row[label] = f"{np.mean(values):.1f} ± {spread:.1f}" if values else "none"
            if metric == "dice":
                mean, half = mean_interval(values)
                row["95 % interval"] = f"{mean - half:.1f} to {mean + half:.1f}" if len(values) > 1 else "–"
                row["paired with row 1"] = "–" if run is first else _paired_p(run, first)
        row.update(missed=run.summary["missed"], status=style.noted(run.status, run))
        rows.append(row)
    return style.one_header(pandas.DataFrame(rows).set_index("run"))


def conventions(run: Run) -> str:
    """What the numbers of an evaluated run mean, in one line for under a table."""
    told = run.summary["conventions"]
    return (
        f"{run.summary['cases']} {told['split']} cases; weights: {told['checkpoint_protocol']}; mean ± standard "
        f"deviation over cases; 95HD: {told['hd95']}; ASD: {told['asd']}; an object missed altogether scores "
        f"{'no distance (counted under missed)' if told['empty'] == 'nan' else told['empty']}; "
        f"largest component kept: {'yes' if told['largest_component'] else 'no'}; one seed."
    )


def _paired_p(run: Run, first: Run | None) -> str:
    """p of the paired difference in Dice from the first run; a dash where there are not two cases to pair."""
    if first is None:
        return "–"
    a, b = paired_scores(run, first, "dice")
    return p_words(paired_difference(a, b)) if len(a) > 1 else "–"


def _metric_buttons(figure: go.Figure, owner: Sequence[str]) -> None:
    buttons = [
        {
            "label": label.split(" (")[0],
            "method": "update",
            "args": [{"visible": [one == metric for one in owner]}, {"yaxis.title.text": label}],
        }
        for metric, (label, _, _) in METRICS.items()
    ]
    menu = {"type": "buttons", "direction": "right", "buttons": buttons, "x": 0, "xanchor": "left", "y": 1.03}
    figure.update_layout(updatemenus=[{**menu, "yanchor": "bottom", "showactive": True}])
