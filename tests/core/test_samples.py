"""The trained samples that the repository keeps: each opens, is small, and its card tells its score."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ssmis_core.datasets import open_dataset
from ssmis_core.errors import UserError
from ssmis_core.evaluation import score_case
from ssmis_core.methods import method_class
from ssmis_core.samples import LIMIT, copy_sample, open_sample, samples

CARD = "data/samples/README.md"


@pytest.mark.parametrize("name", samples())
def test_a_sample_opens_and_is_what_its_name_and_card_say(name: str, repository: Path) -> None:
    run = open_sample(name)
    data, method = name.split("/")
    config, summary = run.config, run.summary
    assert (config.dataset, config.method, run.status) == (data, method, "finished")
    assert (run.path / "weights.safetensors").stat().st_size <= LIMIT
    assert summary["cases"] == 20 and len(run.rows("cases")) == 20 and run.rows("history")
    assert all(torch.isfinite(value).all() for value in run.method().state_dict().values())
    lines = (repository / CARD).read_text(encoding="utf-8").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| {method_class(method).card.title} |")]
    assert f"{summary['mean']['dice']:.3f}" in row


def test_a_sample_of_the_phantom_scores_here_what_is_written_beside_it() -> None:
    run = open_sample("phantom/supervised")
    data = open_dataset("phantom", **run.config.dataset_options)
    written = run.rows("cases")[0]
    _, (row,) = score_case(run.method(), data.load(written["case"]), run.config, class_names=data.class_names)
    assert row["dice"] == pytest.approx(written["dice"], abs=2e-3)


def test_a_copy_of_a_sample_can_be_spoilt_and_is_taken_again(tmp_path: Path) -> None:
    sample, copy = open_sample("phantom/supervised"), copy_sample("phantom/supervised", tmp_path / "a" / "copy")
    assert {path.name for path in copy.path.iterdir()} == {path.name for path in sample.path.iterdir()}
    (copy.path / "review.csv").write_text("mine")
    assert copy_sample("phantom/supervised", copy.path).path == copy.path
    assert (copy.path / "review.csv").read_text() == "mine" and not (sample.path / "review.csv").exists()
    with pytest.raises(UserError, match="holds a run other than sample phantom/ugmcl"):
        copy_sample("phantom/ugmcl", copy.path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").write_text("x")
    with pytest.raises(UserError, match="holds something that is not a run"):
        copy_sample("phantom/supervised", tmp_path / "other")
