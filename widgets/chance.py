"""Figures of chance: what a p-value counts, what is drawn anew, what many comparisons find where nothing is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from ssmis_core.statistics import bootstrap_means
from widgets import style


def what_p_counts(t: float, pairs: int, *, title: str) -> go.Figure:
    """Student's distribution of t for so many pairs without a true difference; shaded: as far out as this t."""
    from scipy import stats

    ends = min(max(5.0, abs(t) + 1.0), 40.0)
    x = np.linspace(-ends, ends, 401)
    density = stats.t.pdf(x, pairs - 1)
    figure = go.Figure()
    figure.add_scatter(x=x, y=density, mode="lines", line={"color": style.BLACK, "width": 2}, name="no difference")
    for side in (x <= -abs(t), x >= abs(t)):
        figure.add_scatter(
            x=x[side], y=density[side], mode="lines", fill="tozeroy", line={"color": style.VERMILLION}, name="p"
        )
    figure.add_vline(x=t, line={"color": style.BLUE, "width": 3}, annotation={"text": f"here: t = {t:.2f}"})
    p = 2 * float(stats.t.sf(abs(t), pairs - 1))
    figure.update_xaxes(title_text="t of a sample, if there is no true difference")
    figure.update_yaxes(title_text="how often", showticklabels=False, rangemode="tozero")
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 55, "r": 20, "b": 55})
    alt = f"Student's distribution for {pairs} pairs; {100 * p:.2g} % of it lie as far out as t = {t:.2f}."
    return style.finish(figure, title=title, alt=alt, height=380, width=760)


def drawn_anew(table: Sequence[Sequence[float]] | np.ndarray, *, title: str, unit: str = "Dice points") -> go.Figure:
    """Bootstrap means of differences [seeds, cases]: cases drawn anew; of several seeds, seeds drawn anew, and both."""
    values = np.atleast_2d(np.asarray(table, float))
    some = values[:, ~np.isnan(values).all(axis=0)]
    rows = some[~np.isnan(some).all(axis=1)]
    kinds = {"other patients": np.nanmean(some, axis=0)[None]}
    if len(rows) > 1:  # one seed says nothing of others
        kinds = {"both": values, "other trainings": np.nanmean(rows, axis=1)[:, None], **kinds}  # from below
    figure, told = go.Figure(), []
    for number, (name, drawn) in enumerate((name, bootstrap_means(of)) for name, of in kinds.items()):
        low, high = np.nanpercentile(drawn, [2.5, 97.5])
        colour = style.CYCLE[number]
        told.append(f"{name} {low:+.1f} to {high:+.1f}")
        figure.add_violin(
            x=drawn[~np.isnan(drawn)],
            name=f"{name}<br>{low:+.1f} to {high:+.1f}",
            orientation="h",
            side="positive",
            points=False,
            line={"color": colour},
            meanline={"visible": True},
            width=1.6,
            hoverinfo="skip",
        )
    figure.add_vline(x=0, line={"color": style.GREY})
    figure.update_xaxes(title_text=f"mean difference ({unit})")
    figure.update_layout(showlegend=False, margin={"t": 60, "l": 150, "r": 20, "b": 55})
    alt = f"Means of the difference when it is drawn anew, 95 of 100 of them: {', '.join(told)}."
    return style.finish(figure, title=title, alt=alt, height=400, width=760)


def found_by_chance(cases: int, *, title: str, most: int = 20, trials: int = 2000, alpha: float = 0.05) -> go.Figure:
    """How often at least one of several equal methods differs "significantly" from the baseline, as is and after Holm.

    By simulation: scores of so many cases are normal, all methods are equally good, one baseline for all. Two-sided:
    a difference for the worse counts too.
    """
    random = np.random.default_rng(0)
    scores = random.standard_normal((trials, most + 1, cases))
    difference = scores[:, 1:] - scores[:, :1]
    t = difference.mean(-1) / (difference.std(-1, ddof=1) / np.sqrt(cases))
    p = _two_sided(t, cases)
    counts = np.arange(1, most + 1)
    plain = [100 * float((p[:, :k].min(1) < alpha).mean()) for k in counts]
    corrected = [100 * float((p[:, :k].min(1) < alpha / k).mean()) for k in counts]  # Holm's first step
    figure = go.Figure()
    for name, y, colour in (("as they are", plain, style.VERMILLION), ("after Holm", corrected, style.BLUE)):
        line = {"color": colour, "width": 3}
        hover = f"{name}, %{{x}} comparisons: %{{y:.0f}} %<extra></extra>"
        figure.add_scatter(x=counts, y=y, mode="lines+markers", name=name, line=line, hovertemplate=hover)
    figure.add_hline(y=100 * alpha, line={"color": style.GREY, "dash": "dot"})
    figure.update_xaxes(title_text="methods that are compared with one baseline", dtick=2)
    figure.update_yaxes(title_text='trials with a "finding" (%)', rangemode="tozero")
    figure.update_layout(legend={"x": 0.02, "y": 0.98}, margin={"t": 60, "l": 75, "r": 20, "b": 55})
    alt = f"Of {most} methods as good as the baseline, one or more differ significantly in {plain[-1]:.0f} % of trials."
    return style.finish(figure, title=title, alt=alt, height=400, width=760)


def _two_sided(t: np.ndarray, pairs: int) -> np.ndarray:
    from scipy import stats

    return 2 * stats.t.sf(np.abs(t), pairs - 1)
