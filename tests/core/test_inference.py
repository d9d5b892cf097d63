from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import nn

from ssmis_core.errors import UserError
from ssmis_core.inference import keep_largest_component, largest_component, sliding_window, window_starts

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def place_dependent(x):
    """Two classes whose probabilities depend on where in the patch a voxel lies, so that windows differ."""
    score = x[:, :1] + 0.1 * x.mean(dim=tuple(range(1, x.ndim)), keepdim=True)
    for axis in range(2, x.ndim):
        score = score + 0.5 * score.cumsum(dim=axis) / x.shape[axis]
    return torch.softmax(torch.cat((score, -score), dim=1), dim=1)


def one_window_at_a_time(image, predict, patch, stride):
    """The rules of the released test functions as a plain loop, in float64."""
    spatial = image.shape[1:]
    left = [max(p - s, 0) // 2 for p, s in zip(patch, spatial, strict=True)]
    right = [max(p - s, 0) - q for p, s, q in zip(patch, spatial, left, strict=True)]
    padded = np.pad(image.numpy(), [(0, 0), *zip(left, right, strict=True)])
    sizes = padded.shape[1:]
    counts = [-(-(s - p) // d) + 1 for s, p, d in zip(sizes, patch, stride, strict=True)]
    total, visits = None, np.zeros(sizes)
    for index in product(*(range(count) for count in counts)):
        corner = [min(d * i, s - p) for d, i, s, p in zip(stride, index, sizes, patch, strict=True)]
        window = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        answer = predict(torch.from_numpy(padded[(slice(None), *window)][None]))[0].numpy()
        total = np.zeros((len(answer), *sizes)) if total is None else total
        total[(slice(None), *window)] += answer
        visits[window] += 1
    inside = tuple(slice(q, q + s) for q, s in zip(left, spatial, strict=True))
    return (total / visits)[(slice(None), *inside)]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_released_code_gives_the_same_probabilities_and_labels(number, batch_size):
    with np.load(GOLDEN / f"sliding_window_{number}.npz") as golden:
        values = {name: golden[name] for name in golden.files}
    net = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.Conv3d(4, 2, 3, padding=1))
    prefix = "w.net."
    net.load_state_dict({k[len(prefix) :]: torch.from_numpy(v) for k, v in values.items() if k.startswith(prefix)})
    net.eval()
    found = sliding_window(
        torch.from_numpy(values["image"])[None],
        lambda x: net(x).softmax(dim=1),
        patch=values["patch"].tolist(),
        stride=values["stride"].tolist(),
        batch_size=batch_size,
    )
    torch.testing.assert_close(found, torch.from_numpy(values["scores"]), rtol=1e-5, atol=1e-5)
    assert (found.argmax(dim=0).numpy() == values["label"]).all()


@st.composite
def layouts(draw):
    axes = draw(st.sampled_from([2, 3]))
    size = draw(st.tuples(*[st.integers(1, 11)] * axes))
    patch = draw(st.tuples(*[st.integers(1, 7)] * axes))
    stride = tuple(draw(st.integers(1, p)) for p in patch)
    return size, patch, stride


@settings(max_examples=40)
@given(layout=layouts(), channels=st.integers(1, 2), batch_size=st.integers(1, 9), seed=st.integers(0, 2**31))
def test_any_layout_equals_a_plain_loop(layout, channels, batch_size, seed):
    size, patch, stride = layout
    image = torch.randn((channels, *size), generator=torch.Generator().manual_seed(seed))
    found = sliding_window(image, place_dependent, patch=patch, stride=stride, batch_size=batch_size)
    assert found.shape == (2, *size) and found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), one_window_at_a_time(image, place_dependent, patch, stride), atol=1e-5)


@pytest.mark.parametrize("size", [(5, 4), (3, 20), (4, 5, 6)])
def test_patches_larger_than_the_image_and_strides_larger_than_the_image_work(size):
    image = torch.randn((1, *size), generator=torch.Generator().manual_seed(0))
    patch, stride = (9,) * len(size), (8,) * len(size)
    found = sliding_window(image, place_dependent, patch=patch, stride=stride)
    np.testing.assert_allclose(found.numpy(), one_window_at_a_time(image, place_dependent, patch, stride), atol=1e-5)


def test_an_odd_padding_puts_the_smaller_half_in_front():
    seen = []

    def predict(x):
        seen.append(x)
        return x

    sliding_window(torch.ones(1, 4, 3), predict, patch=(7, 3), stride=(7, 3))
    assert seen[0][0, 0, :, 0].tolist() == [0, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 1000])
def test_the_batch_size_changes_nothing_but_the_number_of_calls(batch_size):
    image = torch.randn((1, 17, 13, 9), generator=torch.Generator().manual_seed(1))
    calls = []

    def predict(x):
        calls.append(len(x))
        return place_dependent(x)

    layout = {"patch": (8, 8, 6), "stride": (3, 4, 2)}
    found = sliding_window(image, predict, batch_size=batch_size, **layout)
    torch.testing.assert_close(found, sliding_window(image, place_dependent, batch_size=1, **layout))
    windows = 4 * 3 * 3
    assert sum(calls) == windows and len(calls) == -(-windows // batch_size)


def test_probabilities_still_sum_to_one_and_keep_no_gradient():
    image = torch.randn((1, 12, 10), generator=torch.Generator().manual_seed(2), requires_grad=True)
    found = sliding_window(image, place_dependent, patch=(5, 5), stride=(2, 3))
    torch.testing.assert_close(found.sum(dim=0), torch.ones(12, 10))
    assert not found.requires_grad


def test_half_precision_predictions_are_averaged_in_float32():
    image = torch.randn((1, 12, 10), generator=torch.Generator().manual_seed(3))
    found = sliding_window(image, lambda x: place_dependent(x).bfloat16(), patch=(5, 5), stride=(1, 1))
    assert found.dtype == torch.float32


@pytest.mark.parametrize(
    ("size", "patch", "stride", "starts"),
    [
        (10, 4, 3, [0, 3, 6]),
        (11, 4, 3, [0, 3, 6, 7]),
        (4, 4, 4, [0]),
        (3, 5, 2, [0]),
        (9, 8, 8, [0, 1]),
        (88, 80, 4, [0, 4, 8]),
    ],
)
def test_the_last_window_is_moved_back_to_fit(size, patch, stride, starts):
    assert window_starts(size, patch, stride) == starts


@given(size=st.integers(1, 200), patch=st.integers(1, 200), data=st.data())
def test_windows_cover_every_voxel_and_none_begins_twice(size, patch, data):
    starts = window_starts(size, patch, data.draw(st.integers(1, patch)))
    assert len(set(starts)) == len(starts) and starts == sorted(starts)
    assert {v for s in starts for v in range(s, s + patch)} >= set(range(size))
    assert max(starts) + patch <= max(size, patch)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"patch": (4,)}, "patch=(4,): expected 2 whole numbers"),
        ({"patch": (4, 0)}, "patch=(4, 0): expected 2 whole numbers"),
        ({"stride": (2, 2, 2)}, "stride=(2, 2, 2): expected 2 whole numbers"),
        ({"stride": (2, 1.5)}, "stride=(2, 1.5): expected 2 whole numbers"),
        ({"stride": (2, 5)}, "stride=5: expected 1 to 4"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"image": torch.zeros(8, 8)}, "image has shape (8, 8)"),
        ({"predict": lambda x: x[..., :2]}, "predict returned shape (4, 1, 4, 2)"),
        ({"predict": lambda x: x[:, 0]}, "predict returned shape (4, 4, 4)"),
    ],
)
def test_sizes_that_do_not_fit_are_told_in_one_line(change, told):
    given_ = {"image": torch.zeros(1, 8, 8), "predict": place_dependent, "patch": (4, 4), "stride": (2, 2)} | change
    with pytest.raises(UserError) as error:
        sliding_window(given_.pop("image"), given_.pop("predict"), **given_)
    assert told in str(error.value) and "\n" not in str(error.value)


@given(axes=st.sampled_from([2, 3]), seed=st.integers(0, 2**31), density=st.floats(0.02, 0.6))
@settings(max_examples=40)
def test_the_largest_component_is_connected_and_no_other_is_larger(axes, seed, density):
    mask = np.random.default_rng(seed).random((9,) * axes) < density
    found = largest_component(mask)
    components, number = ndimage.label(mask, np.ones((3,) * axes))
    sizes = np.bincount(components.ravel())[1:]
    assert found.sum() == (sizes.max() if number else 0)
    assert len(np.unique(components[found])) == min(number, 1)


def test_diagonal_neighbours_are_connected_unless_asked_otherwise():
    mask = np.zeros((4, 4, 4), dtype=np.uint8)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[2, 2, 2] = mask[2, 2, 3] = 1
    assert largest_component(mask).sum() == 4
    assert largest_component(mask, connectivity=1).sum() == 2
    assert largest_component(mask[:, 2], connectivity=1).sum() == 2


def test_of_equal_components_the_first_is_kept_and_an_empty_mask_stays_empty():
    assert largest_component(np.diag([1, 0, 1])).nonzero()[0].tolist() == [0]
    assert not largest_component(np.zeros((3, 3))).any()


def test_each_class_keeps_its_own_largest_component():
    labels = np.zeros((8, 6), dtype=np.int16)
    labels[0, :4], labels[2, :2], labels[4, 0], labels[6, :3] = 1, 2, 1, 2
    expected = labels.copy()
    expected[2, :2] = expected[4, 0] = 0
    kept = labels.copy()
    found = keep_largest_component(labels, 3)
    assert (found == expected).all() and found.dtype == labels.dtype
    assert (labels == kept).all()


def test_wrong_masks_and_labels_are_told():
    with pytest.raises(UserError, match="expected 0 to 1"):
        keep_largest_component(np.full((3, 3), 2), 2)
    with pytest.raises(UserError, match="expected 2 or 3 axes"):
        largest_component(np.ones(5))
    with pytest.raises(UserError, match="connectivity=3"):
        largest_component(np.ones((3, 3)), connectivity=3)
