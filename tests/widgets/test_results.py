"""Figures and tables of evaluated runs and of published numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from ssmis_core.errors import UserError
from ssmis_core.files import write_csv
from ssmis_core.published import published
from ssmis_core.runs import Run
from widgets.curves import log_axis, loss_terms, term_curves, term_names
from widgets.live import LiveCurves, LiveLine
from widgets.published import dice_by_method, published_table, reports
from widgets.results import (
    ablation,
    case_scores,
    conventions,
    paired_cases,
    paired_reading,
    results_table,
)

MakeRun = Callable[..., Run]


def test_every_case_is_a_line_and_every_metric_a_button(make_run: MakeRun) -> None:
    runs = {"few": make_run("a", [0.5, 0.6, 0.7]), "many": make_run("b", [0.6, 0.5, 0.9])}
    figure = paired_cases(runs, title="t")
    shown = [trace for trace in figure.data if trace.visible]
    assert len(shown) == 4  # three cases and the means
    assert [round(y, 1) for y in shown[-1].y] == [60.0, 66.7]
    buttons = figure.layout.updatemenus[0].buttons
    assert [button.label for button in buttons] == ["Dice", "Jaccard", "95HD", "ASD"]
    assert all(sum(button.args[0]["visible"]) == 4 for button in buttons)


def test_colour_tells_whether_a_case_got_better_also_where_less_is_better(make_run: MakeRun) -> None:
    figure = paired_cases({"a": make_run("a", [0.5]), "b": make_run("b", [0.8])}, title="t")
    assert len({trace.line.color for trace in figure.data if trace.mode == "lines+markers"}) == 1


def test_missing_numbers_do_not_count(make_run: MakeRun) -> None:
    run = make_run("a", [0.0, 0.5])
    assert math.isnan(case_scores(run, "asd")["phantom-080"])
    assert results_table({"a": run})["ASD (voxels)"].iloc[0].startswith("1.5")


def test_a_run_that_is_not_evaluated_is_an_error_that_names_it(make_run: MakeRun) -> None:
    run = make_run("a", [0.5])
    (run.path / "cases.csv").unlink()
    with pytest.raises(UserError, match="not evaluated yet"):
        case_scores(run, "dice")


def test_the_reading_states_difference_interval_and_wins(make_run: MakeRun) -> None:
    text = paired_reading(make_run("b", [0.7, 0.8, 0.6]), make_run("a", [0.5, 0.6, 0.65]), names=("B", "A"))
    assert "B 70.0, A 58.3" in text
    assert "+11.7" in text
    assert "3 test cases, better in 2" in " ".join(text.split())


def test_the_reading_breaks_its_lines_between_words(make_run: MakeRun) -> None:
    names = ("a method with a long name", "another method")
    text = paired_reading(make_run("b", [0.7, 0.8]), make_run("a", [0.5, 0.6]), names=names, metric="hd95")
    lines = text.splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 88 and not any(line != line.strip() for line in lines)
    told = "Paired difference -2.0 (95 % interval -2.0 to -2.0, all differences are equal: no t-test)"
    assert told in " ".join(lines)


def test_the_reading_of_one_common_case_claims_no_interval(make_run: MakeRun) -> None:
    text = paired_reading(make_run("b", [0.7]), make_run("a", [0.5]), names=("B", "A"))
    assert "B 70.0, A 50.0" in text and "no interval" in text and "nan" not in text


def test_the_table_has_the_interval_of_dice_and_a_paired_test_against_the_first_row(make_run: MakeRun) -> None:
    from scipy import stats

    first, other = [0.5, 0.6, 0.7], [0.6, 0.65, 0.9]
    table = results_table({"a": make_run("a", first), "b": make_run("b", other), "c": make_run("c", [0.5])})
    low, high = stats.t.interval(0.95, 2, loc=60.0, scale=10 / math.sqrt(3))
    assert table["95 % interval"].tolist()[0] == f"{low:.1f} to {high:.1f}"
    p = stats.ttest_rel(other, first).pvalue
    assert table["paired with row 1"].tolist() == ["–", f"p = {p:.3f}", "–"]


def test_the_ablation_shows_every_case_of_every_run(make_run: MakeRun) -> None:
    runs = {name: make_run(name, [0.5, 0.6, 0.7]) for name in ("a", "b", "c")}
    figure = ablation(runs, title="t")
    assert list(figure.layout.xaxis.ticktext) == ["a", "b", "c"]
    assert sum(len(trace.x) for trace in figure.data) == 3 * (3 + 1)


def test_conventions_state_test_cases_and_checkpoint(make_run: MakeRun) -> None:
    line = conventions(make_run("a", [0.5, 0.6]))
    assert "2 test cases" in line and "weights: last" in line and "one seed" in line


def test_loss_curves_have_the_terms_and_the_weight_on_its_own_axis(make_run: MakeRun) -> None:
    figure = loss_terms(make_run("a", [0.5]))
    assert [trace.name for trace in figure.data] == ["loss", "dice", "weight of consistency (right)"]
    assert figure.data[-1].yaxis == "y2"
    assert term_names([]) == []
    assert len(term_curves([]).data) == 0


@pytest.mark.parametrize(
    ("values", "dtick"),
    [
        ([1.5, 0.0, 2e-5], 1),  # five decades, and a zero that a logarithm does not show
        ([1.0, 1e-12], 2),
        ([2.0, 0.1], "D2"),
        ([0.9, 0.6], None),  # no power of ten in between
        ([], None),
    ],
)
def test_labels_of_a_logarithmic_axis_are_few(values: list[float], dtick: Any) -> None:
    axis = log_axis([{"iteration": n, "dice": value} for n, value in enumerate(values)])
    assert axis["type"] == "log" and axis["dtick"] == dtick
    assert axis["tickmode"] == ("auto" if dtick is None else "linear")


def test_both_loss_figures_have_that_axis_and_the_linear_button_undoes_it(make_run: MakeRun) -> None:
    run = make_run("a", [0.5])
    write_csv(
        run.path / "history.csv", [{"iteration": n, "stage": "main", "loss": 10.0**-n, "seconds": n} for n in range(5)]
    )
    live = LiveCurves("method")
    live.finish(run)
    figure = loss_terms(run)
    for axis in (figure.layout.yaxis, live.figure().layout.yaxis):
        assert (axis.type, axis.dtick, axis.title.text) == ("log", 1, "loss (no unit)")
    log, linear = (button.args[0] for button in figure.layout.updatemenus[0].buttons)
    assert (log["yaxis.type"], log["yaxis.dtick"]) == ("log", 1)
    assert (linear["yaxis.type"], linear["yaxis.tickmode"], linear["yaxis.dtick"]) == ("linear", "auto", None)


def test_live_curves_take_reports_and_end_with_the_runs_history(make_run: MakeRun) -> None:
    from ssmis_core.progress import Progress

    live = LiveCurves("method")
    live(Progress(10, 20, 1.0, 1.0, {"loss": 2.0}))
    live(Progress(20, 20, 2.0, 0.0, {"loss": 1.0}, "finished"))
    assert list(live.figure().data[0].x) == [10, 20]
    live.finish(make_run("a", [0.5]))
    assert [trace.name for trace in live.figure().data] == ["loss", "dice"]
    assert "finished: 20 of 20" in live.figure().layout.title.text


def test_published_numbers_are_drawn_a_point_a_report() -> None:
    rows = published(dataset="LA", labeled=16)
    figure = dice_by_method(rows, title="t", marked="UG-MCL")
    assert sum(len(trace.x) for trace in figure.data) == len(rows)
    assert "<b>UG-MCL</b>" in figure.layout.yaxis.ticktext
    table = published_table(rows)
    assert list(table["Dice (%)"]) == sorted(table["Dice (%)"], reverse=True)
    with pytest.raises(UserError, match="at least one"):
        dice_by_method([], title="t")


def test_reports_are_of_the_data_that_a_notebook_trains_on() -> None:
    rows, where = reports("acdc", la=16, acdc=7)
    assert where == "ACDC, 7 patients" and {(row["dataset"], row["labeled"]) for row in rows} == {("ACDC", 7)}
    for dataset in ("phantom", "la"):
        rows, where = reports(dataset, la=16, acdc=7)
        assert where == "LA, 16 labels" and {(row["dataset"], row["labeled"]) for row in rows} == {("LA", 16)}
        assert "UG-MCL" in {row["method"] for row in rows} and not any("UG-MCL " in row["method"] for row in rows)


@pytest.mark.parametrize("dataset", ["LA", "ACDC", "BraTS2019", "Pancreas-CT"])
def test_the_published_table_shows_every_source_whole(dataset: str) -> None:
    rows = published(dataset=dataset)
    for start in range(0, len(rows), 50):  # pandas leaves out the middle of longer tables
        some = rows[start : start + 50]
        shown = published_table(some).to_html(notebook=True)
        assert all(f"<td>{row['reported_by']}</td>" in shown for row in some)


def test_tables_have_one_header_row_with_the_name_of_the_index(make_run: MakeRun) -> None:
    tables = {"run": results_table({"few": make_run("a", [0.5])}), "method": published_table(published(dataset="LA"))}
    for name, table in tables.items():
        head = table.to_html(notebook=True).partition("</thead>")[0]
        assert head.count("<tr") == 1 and f"<th>{name}</th>" in head


def test_a_live_line_names_the_training_and_where_it_is() -> None:
    from ssmis_core.progress import Progress

    line = LiveLine("supervised")
    line(Progress(10, 20, 1.0, 1.0, {"loss": 2.0}))
    assert line.text.startswith("supervised: 10/20")
    line(Progress(20, 20, 2.0, 0.0, {}, "finished"))
    assert "finished at iteration 20 of 20" in line.text


def test_what_was_chosen_on_the_test_set_says_so(make_run: MakeRun) -> None:
    run, plain = make_run("a", [0.5, 0.6]), make_run("b", [0.6, 0.8])
    said = "weights chosen on the test set"
    assert said not in paired_cases({"b": plain}, title="t").layout.title.text
    run.update(configuration={**run.info["configuration"], "protocol": "best-on-test", "validate_every": 5})
    runs = {"a": run, "b": plain}
    for figure in (paired_cases(runs, title="t"), ablation(runs, title="t"), loss_terms(run)):
        assert said in figure.layout.title.text and said in figure.layout.meta["alt"]
    assert said in results_table(runs)["status"].iloc[0] and said not in results_table(runs)["status"].iloc[1]
    assert said in " ".join(paired_reading(run, plain, names=("A", "B")).split())
