"""The collector of what a method saw."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from ssmis_core.errors import UserError
from ssmis_core.views import KINDS, Views


@pytest.mark.parametrize("kind", KINDS)
def test_a_view_is_detached_and_knows_its_kind_case_corner_and_turn(make_batch: Callable[..., Any], kind: str) -> None:
    views, batch = Views(), make_batch()
    views.keep(kind, batch, one=torch.ones_like(batch.image).requires_grad_() * 2)
    view = views["one"]
    assert view.kind == kind and view.name == "one" and not view.value.requires_grad
    assert view.case == batch.case and view.turn == batch.turn and torch.equal(view.corner, batch.corner)


def test_a_view_of_the_labeled_rows_alone_has_their_places(make_batch: Callable[..., Any]) -> None:
    views, batch = Views(), make_batch(labeled=1, unlabeled=3)
    views.keep("distance", batch, target=torch.zeros(1, 1, 32, 32))
    assert views["target"].case == batch.labeled.case and len(views["target"].corner) == 1


def test_a_view_of_the_second_crops_starts_where_they_do(make_batch: Callable[..., Any]) -> None:
    views, batch = Views(), make_batch()
    views.keep("image", batch, 1, second=batch.images(1))
    assert torch.equal(views["second"].corner, batch.corners(1)) and views["second"].case == batch.case
    assert not torch.equal(batch.corners(0), batch.corners(1)) and torch.equal(batch.corners(0), batch.corner)


def test_an_unknown_kind_is_a_user_error(make_batch: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"unknown kind of view 'pic' .*distance, features, image"):
        Views().keep("pic", make_batch(), x=torch.zeros(1))


def test_what_belongs_to_no_patch_has_no_place() -> None:
    views = Views()
    views.keep("features", None, prototypes=torch.ones(2, 8, 32).requires_grad_() * 2)
    view = views["prototypes"]
    assert view.value.shape == (2, 8, 32) and not view.value.requires_grad
    assert view.case == view.turn == () and len(view.corner) == 0
