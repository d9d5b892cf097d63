"""How far apart classes lie: the sums give what all pairs of voxels give, and axes show what they say."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from ssmis_core.errors import UserError
from ssmis_core.separation import class_distances, feature_axes, separation_ratio, silhouette, spread_shown


def drawn(n: int = 60, width: int = 8, classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    label = torch.arange(n) % classes
    features = torch.randn(n, width, generator=generator) + 2 * F.one_hot(label, width)
    return features, label


def pairs(features: torch.Tensor) -> torch.Tensor:
    unit = F.normalize(features.double(), dim=1)
    return 1 - unit @ unit.T


def test_class_distances_are_the_means_over_all_pairs_of_different_voxels() -> None:
    features, label = drawn()
    found, each = class_distances(features, label, 4), pairs(features)
    other = ~torch.eye(len(label), dtype=torch.bool)
    for a in range(3):
        for b in range(3):
            mean = each[(label[:, None] == a) & (label == b) & other].mean()
            assert float(found[a, b]) == pytest.approx(float(mean), abs=1e-6)
    assert found[3].isnan().all() and found[:, 3].isnan().all()  # a class that is not there


def test_the_ratio_leaves_out_absent_classes_and_is_above_one_when_classes_are_apart() -> None:
    features, label = drawn()
    apart = separation_ratio(class_distances(features, label, 3))
    assert apart == separation_ratio(class_distances(features, label, 5)) > 1
    mixed = separation_ratio(class_distances(features, label[torch.randperm(60)], 3))
    assert mixed < apart
    assert separation_ratio(class_distances(features, torch.zeros(60), 2)) != separation_ratio(torch.ones(2, 2))  # nan


def test_the_silhouette_is_rousseeuws_over_all_pairs() -> None:
    features, label = drawn()
    label = torch.cat([label[:-1], torch.tensor([3])])  # and a class of one voxel
    each, found = pairs(features), silhouette(features, label, 5)
    for i in range(len(label)):
        same = (label == label[i]) & (torch.arange(len(label)) != i)
        if not same.any():
            assert found[i] == 0
            continue
        a = each[i, same].mean()
        b = min(each[i, label == k].mean() for k in label.unique() if k != label[i])
        assert float(found[i]) == pytest.approx(float((b - a) / max(a, b)), abs=1e-5)
    assert silhouette(features, torch.zeros(60), 2).isnan().all()


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-5])
def test_features_that_nearly_agree_have_small_distances_and_no_silhouette_beyond_one(noise: float) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(1, 16, generator=generator) + noise * torch.randn(20000, 16, generator=generator)
    label = torch.randint(3, (20000,), generator=generator)
    score, distances = silhouette(features, label, 3), class_distances(features, label, 3)
    assert score.abs().max() <= 1 and abs(float(score.mean())) < 0.01
    assert (distances > 0).all() and distances.max() < 16 * noise**2


def test_labels_of_classes_that_are_not_asked_for_are_refused() -> None:
    features, label = drawn()
    for function in (class_distances, silhouette):
        with pytest.raises(UserError, match="label goes to 2, expected 0 to 1"):
            function(features, label, 2)


@pytest.mark.parametrize("towards", [None, torch.ones(8), torch.zeros(8)])
def test_axes_are_at_right_angles_and_the_first_points_where_it_is_told(towards: torch.Tensor | None) -> None:
    features, _ = drawn()
    axes = feature_axes(features, towards)
    torch.testing.assert_close(axes @ axes.T, torch.eye(2), atol=1e-5, rtol=0)
    if towards is not None and towards.any():
        torch.testing.assert_close(axes[0], F.normalize(towards, dim=0))
    else:
        values = torch.linalg.svdvals(features - features.mean(0)) ** 2
        assert spread_shown(features, axes) == pytest.approx(float(values[:2].sum() / values.sum()), rel=1e-5)


def test_axes_are_there_when_nothing_spreads() -> None:
    axes = feature_axes(torch.ones(5, 8), torch.ones(8))
    torch.testing.assert_close(axes @ axes.T, torch.eye(2), atol=1e-5, rtol=0)
    assert spread_shown(torch.ones(5, 8), axes) != spread_shown(torch.ones(5, 8), axes)  # nan


def test_other_shapes_are_one_line() -> None:
    with pytest.raises(UserError, match=r"shapes \(4, 8\) and \(5,\), expected \[N, width\] and \[N\]"):
        class_distances(torch.zeros(4, 8), torch.zeros(5), 2)
