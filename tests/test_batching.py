from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2 import BatchFeature
from tfwav2vec2.batching import Padding, as_columns, kind_of, round_up, to_tensors


@given(st.integers(0, 10**6), st.integers(1, 10**4))
def test_rounding_up_gives_the_next_multiple(length: int, multiple: int) -> None:
    rounded = round_up(length, multiple)
    assert rounded % multiple == 0
    assert length <= rounded < length + multiple
    assert round_up(length, None) == length


def test_strategies_are_read_as_the_reference_does() -> None:
    assert [Padding.of(value) for value in (True, False, "longest", "max_length", "do_not_pad")] == [
        Padding.LONGEST,
        Padding.DO_NOT_PAD,
        Padding.LONGEST,
        Padding.MAX_LENGTH,
        Padding.DO_NOT_PAD,
    ]
    for bad in (None, "", 3):
        with pytest.raises(ValueError, match="padding is"):
            Padding.of(bad)


def test_examples_become_columns_and_callers_keep_theirs() -> None:
    columns = {"a": [1]}
    copied = as_columns(columns)
    copied["b"] = 2
    assert columns == {"a": [1]}
    assert as_columns([{"a": 1}, {"a": 2}]) == {"a": [1, 2]}
    with pytest.raises(TypeError, match="got int"):
        as_columns(3)


def test_fields_of_that_framework_stay_as_they_are() -> None:
    array = np.arange(3)
    batch = to_tensors(BatchFeature(a=array, b=[1, 2]), "np")
    assert batch.a is array
    assert kind_of(batch.b) == "np"
    assert to_tensors(batch, None) is batch


def test_ragged_rows_become_objects_in_numpy_alone() -> None:
    ragged = to_tensors(BatchFeature(a=[[1], [2, 3]]), "np").a
    assert ragged.dtype == object
    for rows in ([[1], [2, 3]], ragged):
        with pytest.raises(ValueError, match="The rows of a differ in length"):
            to_tensors(BatchFeature(a=rows), "jax")


def test_a_framework_that_is_not_installed_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match="return_tensors='pt' needs torch, which is not installed"):
        to_tensors(BatchFeature(a=[1]), "pt")
