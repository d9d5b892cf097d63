"""The log of loss terms, and its guard against numbers that are not finite."""

from __future__ import annotations

import pytest
import torch

from ssmis_core.errors import NonFiniteLoss
from ssmis_core.history import TermLog

LIKE = torch.zeros(())


def test_a_row_is_the_mean_since_the_last_one() -> None:
    log = TermLog()
    log.add(1, {"loss": torch.tensor(1.0), "weight": 0.5}, like=LIKE)
    log.add(2, {"loss": torch.tensor(3.0), "weight": 0.5}, like=LIKE)
    assert log.row() == {"loss": 2.0, "weight": 0.5}
    log.add(3, {"loss": torch.tensor(7.0)}, like=LIKE)
    assert log.row() == {"loss": 7.0}
    assert log.row() == {}


def test_a_term_that_comes_in_some_steps_alone_is_averaged_over_those() -> None:
    log = TermLog()
    log.add(1, {"loss": 1.0}, like=LIKE)
    log.add(2, {"loss": 3.0, "extra": 5.0}, like=LIKE)
    assert log.row() == {"loss": 2.0, "extra": 5.0}


def test_the_log_keeps_no_graph() -> None:
    log = TermLog()
    log.add(1, {"loss": torch.ones((), requires_grad=True) * 2}, like=LIKE)
    assert not any(value.requires_grad for value in log.state()["sums"].values())


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_the_first_term_that_is_not_finite_is_named_with_its_iteration(bad: float) -> None:
    log = TermLog()
    log.add(4, {"loss": 1.0, "dice": 1.0}, like=LIKE)
    log.add(5, {"loss": bad, "dice": bad}, like=LIKE)
    log.add(6, {"loss": bad, "dice": bad, "cross_entropy": bad}, like=LIKE)
    for read in (log.check, log.row):
        with pytest.raises(NonFiniteLoss, match="loss term 'dice' became NaN or infinite at iteration 5"):
            read()


def test_a_total_that_overflows_by_itself_is_named() -> None:
    log = TermLog()
    log.add(2, {"loss": float("inf"), "dice": 1.0}, like=LIKE)
    with pytest.raises(NonFiniteLoss, match="'loss' became NaN or infinite at iteration 2"):
        log.check()


def test_a_restored_log_goes_on_where_it_was() -> None:
    whole, first, second = TermLog(), TermLog(), TermLog()
    for log in (whole, first):
        log.add(1, {"loss": 0.1, "dice": 1.7}, like=LIKE)
    second.restore(first.state(), torch.device("cpu"))
    for log in (whole, second):
        log.add(2, {"loss": 0.2, "dice": 1.3}, like=LIKE)
    assert second.row() == whole.row()
