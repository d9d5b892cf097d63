"""Pseudo-labels against the truth: counted right, for every method, and training never notices."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssmis_core import Run, UserError, open_dataset
from ssmis_core.configuration import Configuration
from ssmis_core.datasets import phantom
from ssmis_core.methods import METHODS
from ssmis_core.observers import Observer
from ssmis_core.quality import judge, scores
from ssmis_core.views import Views
from ssmis_core.volume_bank import VolumeBank

Tiny = Callable[..., Configuration]
Quietly = Callable[..., Run]
SEMI = [name for name in METHODS if name != "supervised"]
ANSWERS = {
    "mean_teacher": ["network", "teacher"],
    "ugmcl": ["network", "teacher"],
    "tracoco": ["network", "network 2", "teacher of network", "teacher of network 2"],
    "cpam": ["teacher", "pseudo-label"],  # before and after the largest component is chosen
    "cpam_trcm": ["teacher", "pseudo-label"],
    "bcp": ["teacher", "pseudo-label"],
    "uamt": ["network", "teacher"],
    "cps": ["network", "network 2"],  # each is the other's teacher
    "fixmatch": ["network", "pseudo-label"],
    "unimatch": ["network", "pseudo-label"],
}
WITH_CHOICE = ("uamt", "ugmcl", "tracoco", "cpam_trcm", "fixmatch", "unimatch")


def fitting(name: str) -> dict[str, Any]:
    """Settings that a method needs besides those of every tiny training."""
    return {"patch": 16, "stride": 16, "norm": "batch", "min_overlap": 4} if name == "tracoco" else {}


@pytest.mark.parametrize("name", SEMI)
def test_watching_leaves_every_bit_of_a_training_as_it_is_and_writes_every_answer(
    name: str, tiny: Tiny, quietly: Quietly, same_training: Callable[[Run, Run], None], tmp_path: Path
) -> None:
    config = tiny(name, **fitting(name))
    alone = quietly(config, tmp_path / "alone")
    watched = quietly(config, tmp_path / "watched", watch_quality=True)
    same_training(alone, watched)
    assert alone.rows("quality") == []
    rows = watched.rows("quality")
    assert list(dict.fromkeys(row["answer"] for row in rows)) == ANSWERS.get(name, ["network"])
    stages = [row["stage"] for row in rows]
    pretraining = watched.method().stages(6)[0].iterations if len(watched.method().stages(6)) > 1 else 0
    assert {row["iteration"] for row in rows} == {t for t in (2, 4, 6) if t > pretraining} and set(stages) == {"main"}
    for row in rows:
        assert 0 <= row["dice"] <= 1 and 0 <= row["right"] <= 1
    chosen = [row["certain"] for row in rows if "network" not in row["answer"] or row["answer"].startswith("teacher")]
    assert any(not math.isnan(share) for share in chosen) == (name in WITH_CHOICE)


@pytest.mark.parametrize(("dims", "classes"), [(2, 2), (2, 4), (3, 2)])
def test_the_numbers_are_those_of_the_views_against_the_cases_labels(
    dims: int, classes: int, tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    size = 32 if dims == 2 else 16
    options = {"dims": dims, "size": size, "num_classes": classes}
    turned = {"patch": (size + 16, *[size] * (dims - 1)), "stride": 16, "augmentations": ["rot_flip"]}
    config = tiny(
        "ugmcl", dataset_options=options, factor=1, norm="batch", iterations=2, log_every=1, passes=1, **turned
    )
    data = open_dataset("phantom", **config.dataset_options)
    wanted: list[dict[str, float]] = []

    def look(clock: Any, batch: Any, step: Any, views: Views, bank: VolumeBank) -> None:
        view, hits, total = views["teacher_probability"], torch.zeros(classes), torch.zeros(classes)
        certain, right = [], []
        for row in range(batch.num_labeled, len(view.case)):
            label = np.pad(data.load(view.case[row]).label, 64)  # zero outside of the scan
            answer = view.placed(row).argmax(0)
            box = [slice(64 + c, 64 + c + n) for c, n in zip(view.corner[row].tolist(), answer.shape, strict=True)]
            truth = torch.from_numpy(label[tuple(box)])
            for k in range(1, classes):
                hits[k] += 2 * ((answer == k) & (truth == k)).sum()
                total[k] += (answer == k).sum() + (truth == k).sum()
            right.append((answer == truth).flatten())
            certain.append(views["certainty"].placed(row)[0].flatten() > 0)
        there = total > 0
        sure, good = torch.cat(certain), torch.cat(right)
        wanted.append(
            {
                "dice": float((hits[there] / total[there]).mean()),
                "right": float(good.float().mean()),
                "certain": float(sure.float().mean()),
                "right_where_certain": float(good[sure].float().mean()),
                "right_elsewhere": float(good[~sure].float().mean()),
            }
        )

    run = quietly(config, tmp_path / "run", watch_quality=True, observers=[Observer(look, every=1)])
    rows = [row for row in run.rows("quality") if row["answer"] == "teacher"]
    for row, expected in zip(rows, wanted, strict=True):
        assert {key: row[key] for key in expected} == pytest.approx(expected, nan_ok=True, abs=1e-6)


def test_scores_leave_out_what_does_not_count_and_classes_that_are_nowhere() -> None:
    predicted, true = torch.tensor([1, 1, 0, 2, 2]), torch.tensor([1, 0, 0, 2, 0])
    certain, counted = torch.tensor([1, 1, 1, 0, 1]) > 0, torch.tensor([1, 1, 1, 1, 0]) > 0
    found = scores(predicted, true, certain, counted, True)
    assert found == pytest.approx(
        {"dice": (2 / 3 + 1) / 2, "right": 3 / 4, "certain": 3 / 4, "right_where_certain": 2 / 3, "right_elsewhere": 1}
    )
    nothing = scores(predicted * 0, true * 0, certain, counted, False)
    assert nothing["right"] == 1 and all(math.isnan(nothing[key]) for key in ("dice", "certain", "right_elsewhere"))


def test_tracocos_pasted_boxes_are_not_judged_by_the_case_that_they_were_pasted_into(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    seen: list[tuple[float, float]] = []

    def look(clock: Any, batch: Any, step: Any, views: Views, bank: VolumeBank) -> None:
        n = batch.num_labeled
        row = next(one for one in judge(batch, views, bank) if one["answer"] == "teacher of network 2")
        own = views["cutmix_box_2"].value[n:] == 0
        seen.append((row["certain"], float(views["confident_2"].value[n:][own].mean())))
        assert not own.all()

    config = tiny("tracoco", **{**fitting("tracoco"), "iterations": 2})
    quietly(config, tmp_path / "run", observers=[Observer(look, every=1)])
    assert all(mine == pytest.approx(theirs) for mine, theirs in seen) and len(seen) == 2


def test_all_that_trcm_trusts_lies_where_it_teaches_and_the_share_is_that_of_the_history(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    run = quietly(tiny("cpam_trcm", pretraining=0.5, log_every=1), tmp_path / "run", watch_quality=True)
    history = {row["iteration"]: row.get("trusted") for row in run.rows("history")}
    rows = [row for row in run.rows("quality") if row["answer"] == "pseudo-label"]
    assert [row["iteration"] for row in rows] == [4, 5, 6]
    assert [row["certain"] for row in rows] == pytest.approx([history[t] for t in (4, 5, 6)])


def test_a_training_that_goes_on_goes_on_with_its_rows(
    tiny: Tiny, quietly: Quietly, clockwork: Any, tmp_path: Path
) -> None:
    config = tiny("mean_teacher")
    whole = quietly(config, tmp_path / "whole", watch_quality=True)
    for _ in range(2):
        parts = quietly(config, tmp_path / "parts", max_seconds=3, observers=[clockwork.observer()], watch_quality=True)
    assert parts.status == "finished"
    assert (parts.path / "quality.csv").read_text() == (whole.path / "quality.csv").read_text()


def test_rows_after_the_checkpoint_are_written_anew(
    tiny: Tiny, quietly: Quietly, clockwork: Any, tmp_path: Path
) -> None:
    config = tiny("ssnet")
    run = quietly(config, tmp_path / "run", max_seconds=2, observers=[clockwork.observer()], watch_quality=True)
    first = run.rows("quality")
    assert [row["iteration"] for row in first] == [2]
    run.write_rows("quality", [*first, {**first[0], "iteration": 4, "dice": -1.0}])  # as after a kill
    quietly(config, run.path, watch_quality=True)
    assert [row["iteration"] for row in run.rows("quality")] == [2, 4, 6]
    assert all(row["dice"] >= 0 for row in run.rows("quality"))


def test_cases_without_a_label_leave_no_file_and_no_trouble(
    tiny: Tiny, quietly: Quietly, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = phantom.Phantom.read

    def unlabeled(self: Any, case_id: str) -> Any:
        case = read(self, case_id)
        return case if case_id in self.train[:4] else replace(case, label=None)

    monkeypatch.setattr(phantom.Phantom, "read", unlabeled)
    run = quietly(tiny(iterations=2), tmp_path / "run", watch_quality=True)
    assert run.status == "finished" and not (run.path / "quality.csv").exists()


def test_a_method_without_unlabeled_cases_is_refused_before_anything_is_written(
    tiny: Tiny, quietly: Quietly, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="watch_quality: method supervised has no pseudo-labels"):
        quietly(tiny("supervised"), tmp_path / "run", watch_quality=True)
    assert not (tmp_path / "run").exists()
