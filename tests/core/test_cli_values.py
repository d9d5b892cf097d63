"""Values typed on the command line get the types that are expected."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssmis_core.cli_values import data_options, parse_pairs, parse_value, run_settings
from ssmis_core.errors import UserError


@given(st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False)))
def test_a_number_or_truth_value_is_read_back_as_it_was_written(value: bool | int | float) -> None:
    found = parse_value(str(value))
    assert found == value and type(found) is type(value)


@given(st.lists(st.integers(), min_size=1, max_size=4))
def test_a_tuple_is_read_back_as_it_was_written(values: list[int]) -> None:
    assert parse_value(",".join(map(str, values)) + ",") == tuple(values)


@given(st.text(max_size=20))
def test_any_text_is_a_value(text: str) -> None:
    parse_value(text)


def test_words_stay_words() -> None:
    assert [parse_value(text) for text in ("paper", "nan", "inf", "")] == ["paper", "nan", "inf", ""]


def test_pairs_take_a_dash_for_an_underscore_and_each_key_once() -> None:
    assert parse_pairs(["num-classes= 3", "a=b=c"], flag="--set") == {"num_classes": "3", "a": "b=c"}
    assert data_options(["size=16,24", "dims=2"]) == {"size": (16, 24), "dims": 2}
    with pytest.raises(UserError, match="given twice"):
        parse_pairs(["a=1", "a=2"], flag="--set")


def test_settings_have_the_type_that_the_method_expects() -> None:
    given_ = ["beta=1", "ramp=linear", "augmentations=rot_flip", "patch=16,16", "stride=8", "deterministic=TRUE"]
    assert run_settings("ugmcl", given_) == {
        "beta": 1,
        "ramp": "linear",
        "augmentations": ("rot_flip",),
        "patch": (16, 16),
        "stride": 8,
        "deterministic": True,
    }
