"""`ssmis compare`: contestants of run folders, tables, LaTeX, the page and its charts, costs and published numbers."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ssmis_core import cli
from ssmis_core.comparison_report import latex_of, make_report, page, tables
from ssmis_core.contestants import planned, read_runs
from ssmis_core.errors import UserError
from ssmis_core.evaluation import evaluate_run
from ssmis_core.files import read_csv
from ssmis_core.methods import create_method
from ssmis_core.model_cost import ModelCost, model_cost, multiply_adds
from ssmis_core.runs import Run
from ssmis_core.scored_runs import METRICS, Scored

NAN = math.nan
Tiny = Callable[..., Any]


def scored(name: str, seed: int, dice: dict[str, float], *, labeled: int = 16, method: str = "") -> Scored:
    """A run whose every metric is that of its cases."""
    known = [value for value in dice.values() if not math.isnan(value)]
    row: dict[str, Any] = {"method": method or name, "variant": "paper", "seed": seed, "seconds": 10.0, "missed": 0}
    row |= {"dataset": "la", "dims": 3, "preset": "full", "labeled": labeled, "protocol": "last", "cases": len(dice)}
    row |= {"run": f"{name}-{seed}", "status": "finished", "iterations": 5, "iterations_done": 5}
    row |= dict.fromkeys(METRICS, sum(known) / len(known))
    return Scored(name, row, {case: {"object": dict.fromkeys(METRICS, value)} for case, value in dice.items()})


BASE = [scored("supervised", s, {"a": 0.5 + s / 10, "b": 0.7, "c": 0.6}) for s in (0, 1)]
OURS = [scored("ssnet", s, {"a": 0.7, "b": 0.7 + s / 10, "c": NAN}) for s in (0, 1)]


def shown(report: Any) -> dict[str, list[tuple[str, ...]]]:
    """The rows of each table by the first words of its title."""
    return {table.title.partition(":")[0]: table.rows for table in tables(report)}


def test_scores_and_differences_are_those_of_the_comparison() -> None:
    found = shown(make_report([*BASE, *OURS], baseline=None, costs={}))
    assert [row[:3] for row in found["Scores"][1:]] == [
        ("supervised", "2", "61.67 ± 21.18"),
        ("ssnet", "2", "72.50 ± 31.77"),
    ]
    head, row = found["Dice %, difference from supervised"]
    assert row[:3] == ("ssnet minus supervised", "2", "+10.00")  # 70 - 55 and 75 - 70
    assert dict(zip(head, row, strict=True))["out"] == "2"  # c, which one of them missed with either seed
    assert "Costs" not in found


def test_published_numbers_stand_beside_with_who_reported_them_and_how() -> None:
    runs = [scored("uamt", s, {"a": 0.6, "b": 0.9}) for s in (0, 1)]
    rows = shown(make_report(runs, baseline=None, costs={}))["Published"]
    told = [row for row in rows[1:] if row[0] == "UA-MT"]
    assert told and all(row[2] and row[1] for row in told)
    assert any(re.fullmatch(r"\d\d\.\d\d( to \d\d\.\d\d)?", row[3]) for row in told)


def test_weights_of_a_training_cut_short_and_imported_ones_are_told() -> None:
    cut, imported = (
        Scored(name, {**BASE[0].row, "method": name, "status": status, "iterations_done": done}, BASE[0].cases)
        for name, status, done in (("ssnet", "stopped", 3), ("bcp", "imported", 0))
    )
    note = next(tables(make_report([*BASE, cut, imported], baseline=None, costs={}))).note
    for told in ("training stopped at iteration 3 of 5", "imported; how they were selected", "the last iteration"):
        assert told in note


def test_costs_are_those_of_the_setting() -> None:
    few = scored("supervised", 0, {"a": 0.1, "b": 0.2}, labeled=8)
    large, small = (ModelCost(n, n, 10**9 * n, 0.5) for n in (2_000_000, 1_000_000))
    costs = {(BASE[0].setting, "supervised"): large, (few.setting, "supervised"): small}
    rows = [t.rows[1] for t in tables(make_report([*BASE, few], baseline=None, costs=costs)) if "Costs" in t.title]
    assert [row[1] for row in rows] == ["2.00 M", "1.00 M"]


def test_settings_have_tables_of_their_own() -> None:
    few = [scored("supervised", 0, {"a": 0.1, "b": 0.2}, labeled=8)]
    titles = [table.title for table in tables(make_report([*BASE, *OURS, *few], baseline=None, costs={}))]
    assert "Scores: la 3D full, 16 labels" in titles and "Scores: la 3D full, 8 labels" in titles


def released(one: Scored) -> Scored:
    return Scored(one.name, {**one.row, "variant": "released"}, one.cases, one.folder)


def test_the_baseline_is_supervised_or_the_first_or_the_one_asked_for() -> None:
    def baseline(scored: list[Scored], name: str | None = None) -> list[Any]:
        return list(make_report(scored, baseline=name, costs={}).baselines.values())

    assert baseline([*OURS, *BASE]) == [("supervised", "paper")]
    assert baseline(OURS) == baseline([*OURS, *BASE], "ssnet") == [("ssnet", "paper")]
    other = [released(one) for one in OURS]
    assert baseline([*other, *BASE], "ssnet") == [("ssnet", "released")]  # the only one of its name
    assert baseline([*other, *OURS], "ssnet") == baseline([*OURS, *other], "ssnet") == [("ssnet", "paper")]
    assert baseline([*OURS, *other], "ssnet (released)") == [("ssnet", "released")]
    changed = [
        scored("supervised (patch=[64])", s, {"a": 0.6, "b": 0.7, "c": 0.6}, method="supervised") for s in (0, 1)
    ]
    assert baseline([*changed, *OURS, *BASE]) == [("supervised", "paper")]  # before one with changes, in any order
    assert baseline([*OURS, *changed]) == baseline([*changed, *OURS], "supervised") == [changed[0].contestant]
    few = [scored(name, 0, {"a": 0.1, "b": 0.2}, labeled=8) for name in ("dtc", "vat")]
    assert baseline([*BASE, *OURS, *few]) == [("supervised", "paper"), ("dtc", "paper")]  # each setting has its own
    with pytest.raises(UserError, match="unknown baseline 'ssnett'; did you mean 'ssnet'"):
        baseline([*OURS, *BASE], "ssnett")
    with pytest.raises(UserError, match="no run, expected at least one"):
        baseline([])


def test_a_baseline_as_released_has_differences_and_charts_and_its_own_variants_are_compared_with_it() -> None:
    report = make_report([*(released(one) for one in OURS), *OURS], baseline="ssnet (released)", costs={})
    assert "Dice %, difference from ssnet (released)" in shown(report)
    (row,) = report.compared(report.largest, "dice")
    assert row["comparison"] == "ssnet minus ssnet (released)" and row["mean"] == 0.0
    assert page(report).count("<svg") == 2 * 3


def test_the_largest_setting_is_that_with_the_most_contestants_beside_its_baseline() -> None:
    few = [scored(name, 0, {"a": 0.1, "b": 0.2}, labeled=8) for name in ("ssnet", "bcp", "uamt")]  # no baseline there
    report = make_report([*few, *BASE, *OURS], baseline="supervised", costs={})
    assert report.largest == BASE[0].setting and list(report.contestants(report.largest)) == ["supervised", "ssnet"]
    with pytest.raises(UserError, match="no setting has two contestants"):
        _ = make_report([*few, *BASE], baseline="supervised", costs={}).largest


def test_contestants_are_paired_over_the_seeds_that_both_have_in_tables_and_charts() -> None:
    third = scored("ssnet", 2, {"a": 0.0, "b": 0.0, "c": 0.0})  # supervised has no such seed
    alone, more = (make_report([*BASE, *OURS, *some], baseline=None, costs={}) for some in ([], [third]))
    compared = [report.compared(report.largest, "dice") for report in (alone, more)]
    assert compared[0] == [{**row, "note": ""} for row in compared[1]] != compared[1]
    assert [a.row["seed"] for a, _ in more.pairs(more.largest, "ssnet")] == [0, 1]
    slope = "a: 55.00 to 70.00"
    assert page(alone).count(slope) == page(more).count(slope) > 0
    apart = make_report([*BASE, third], baseline=None, costs={})
    with pytest.raises(UserError, match="ssnet and supervised share no seed"):
        apart.pairs(apart.largest, "ssnet")
    assert page(apart).count("<svg") == 2  # boxes alone


def test_contestants_that_cannot_be_compared_and_unequal_seeds_are_told_wherever_tables_are() -> None:
    third = scored("ssnet", 2, {"a": 0.0, "b": 0.0, "c": 0.0})  # supervised has neither this seed nor the next
    apart, equal = (
        scored("bcp", 7, {"a": 0.5, "b": 0.6}),
        [scored("uamt", s, {"a": 0.6 + s / 10, "b": 0.8, "c": 0.7}) for s in (0, 1)],
    )
    report = make_report([*BASE, *OURS, third, apart, *equal], baseline=None, costs={})
    (table,) = (one for one in tables(report) if one.title.startswith("Dice %, difference"))
    lines = [dict(zip(table.rows[0], row, strict=True)) for row in table.rows[1:]]
    assert [(line["cases"], line["seeds"]) for line in lines] == [("2", "2"), ("0", "0"), ("3", "2")]
    assert set(table.rows[2][2:-1]) == {"-"} and (lines[2]["d"], lines[2]["t: p (Holm)"]) == ("-", "-")
    told = (
        "ssnet minus supervised: seeds paired: 2, of 3 and 2.",
        "bcp minus supervised: no seed in common",
        "uamt minus supervised: all differences are equal",
    )
    text = latex_of(report)
    for one in told:
        assert one in table.note and one in text and one in page(report)
    body = re.findall(r"toprule(.*?)bottomrule", text, re.DOTALL)
    assert not any("nan" in block or "inf" in block for block in body)


def test_two_runs_of_one_contestant_and_seed_are_refused() -> None:
    with pytest.raises(UserError, match="are both supervised with seed 0, expected one of them"):
        make_report([*BASE, BASE[0].__class__(**{**vars(BASE[0]), "folder": "again"})], baseline=None, costs={})


def test_latex_has_every_table_and_no_sign_that_latex_would_take_for_its_own() -> None:
    report = make_report(
        [*BASE, *[scored("cpam_trcm", s, {"a": 0.6, "b": 0.9}) for s in (0, 1)]], baseline=None, costs={}
    )
    text = latex_of(report)
    count = len(list(tables(report)))
    assert text.count(r"\begin{tabular}") == text.count(r"\bottomrule") == count
    assert r"cpam\_trcm" in text and r"$\pm$" in text
    for block in re.findall(r"\\toprule\n(.*?)\\bottomrule", text, re.DOTALL):
        lines = [line for line in block.splitlines() if line != r"\midrule"]
        assert len({len(re.findall(r"(?<!\\)&", line)) for line in lines}) == 1 and all(
            line.endswith(r"\\") for line in lines
        )
        assert not re.search(r"(?<!\\)[%#_]", block)


class Strict(HTMLParser):
    """Every tag that is opened is closed in turn, and none loads anything."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert tag != "script" and not any(name in ("src", "href") and "//" in (value or "") for name, value in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_has_a_box_a_slope_and_a_difference_chart_of_each_metric() -> None:
    name = "<script>alert(1)</script>"
    others = [scored(name, s, {"a": 0.7, "b": 0.9, "c": 0.2}, method="ssnet") for s in (0, 1)]
    reader = Strict()
    reader.feed(page(make_report([*BASE, *others], baseline=None, costs={})))
    assert not reader.open and reader.seen.count("svg") == 2 * 3
    assert reader.seen.count("circle") >= 2 * (3 + 3 + 2 * 3 + 3)


def test_multiply_adds_are_counted_by_hand() -> None:
    method = create_method("supervised", dims=2, filters=2)
    first = 16 * 16 * 9 * 1 * 2  # a 3x3 convolution of one channel to two
    whole = multiply_adds(method, (16, 16))
    assert whole > first and multiply_adds(method, (32, 16)) == 2 * whole


@pytest.fixture
def runs(tiny: Tiny, quietly: Callable[..., Run], tmp_path: Path) -> Path:
    """Evaluated runs: two seeds of mean teacher, one of supervised, and one of another weight."""
    folder = tmp_path / "runs"
    for name, seed, changes in (
        ("mean_teacher", 0, {}),
        ("mean_teacher", 1, {}),
        ("supervised", 0, {}),
        ("mean_teacher", 0, {"weight": 0.5}),
    ):
        place = folder / f"{name}-{seed}-{len(changes)}"
        evaluate_run(
            quietly(tiny(name, iterations=2, seed=seed, **changes), place), device="cpu", save_predictions=False
        )
    return folder


def test_runs_that_differ_in_the_seed_are_one_contestant_and_others_say_what_they_have_otherwise(runs: Path) -> None:
    found = read_runs([runs])
    assert [one.name for one in found] == ["supervised", "mean_teacher", "mean_teacher (weight=0.5)", "mean_teacher"]
    cost = model_cost(Run(runs / "supervised-0-0"))
    assert cost.parameters == cost.trained > 1000 and cost.seconds > 0
    shutil.copytree(runs / "supervised-0-0", runs / "again")
    with pytest.raises(UserError, match=r"again.* and .*supervised-0-0: are runs of the same settings and seed"):
        read_runs([runs])
    (runs / "again" / "summary.json").unlink()
    with pytest.raises(UserError, match="again: not evaluated yet"):
        read_runs([runs / "again"])
    assert len(read_runs([runs])) == 4  # in a folder of runs it is passed over
    summary = json.loads((runs / "supervised-0-0" / "summary.json").read_text())
    summary["conventions"]["empty"] = "zero"
    (runs / "supervised-0-0" / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(UserError, match=r"scored with empty nan, not zero as .*supervised-0-0; evaluate both alike"):
        read_runs([runs])
    with pytest.raises(UserError, match="no such run folder"):
        read_runs([runs / "none"])
    (runs / "empty").mkdir()
    with pytest.raises(UserError, match=r"has no evaluated run in it"):
        read_runs([runs / "empty"])


def test_a_comparison_is_planned_seed_by_seed_in_the_variants_that_each_method_has() -> None:
    plan = planned(["supervised", "ssnet"], seeds=[3, 4], variant="released", dataset_options={"dims": 2}, labeled=4)
    told = [(one.method, one.variant, one.seed, one.labeled) for one in plan]
    assert told[:2] == [("supervised", "paper", 3, 4), ("ssnet", "released", 3, 4)]
    assert [one.seed for one in plan] == [3, 3, 4, 4]
    for methods, seeds in ((["supervised"], [0]), (["ssnet", "bcp", "ssnet"], [0]), ([], [0]), (["ssnet", "bcp"], [])):
        with pytest.raises(UserError, match=r"expected (two or more, each of them once|one or more)"):
            planned(methods, seeds=seeds)


def test_the_command_prints_the_tables_and_writes_what_is_asked_for(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = {name: tmp_path / name for name in ("report.html", "tables.tex", "csv")}
    command = ["compare", str(runs), "--html", str(out["report.html"]), "--latex", str(out["tables.tex"])]
    assert cli.run([*command, "--csv", str(out["csv"])]) == 0
    text = capsys.readouterr().out
    assert text.isascii() and "mean_teacher (weight=0.5)" in text and "multiply-adds" in text
    assert "<svg" in out["report.html"].read_text() and r"\begin{tabular}" in out["tables.tex"].read_text()
    assert len(read_csv(out["csv"] / "runs.csv")) == 4 and len(read_csv(out["csv"] / "means.csv")) == 3
    assert cli.run(["compare", str(runs), "--baseline", "nobody", "--no-costs"]) == 2
    assert "unknown baseline 'nobody'" in capsys.readouterr().err
