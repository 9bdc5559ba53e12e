"""Negatives: the reference's distribution, drawn at run time with static shapes."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backbone.conftest import to_numpy
from tests.heads.objective import compiled, tiny_pretraining
from tfwav2vec2.heads.negatives import sample_negatives

FRAMES, NEGATIVES = 12, 7
ROWS = st.lists(st.booleans(), min_size=FRAMES, max_size=FRAMES).filter(lambda row: sum(row) != 1)


@given(rows=st.lists(ROWS, min_size=3, max_size=3), seed=st.integers(0, 1000))
@settings(max_examples=50)
def test_negatives_are_other_hidden_frames_of_the_row(rows: list[list[bool]], seed: int) -> None:
    mask = np.array(rows)
    indices = to_numpy(sample_negatives(mask, NEGATIVES, keras.random.SeedGenerator(seed)))
    assert indices.shape == (3, FRAMES, NEGATIVES)
    assert indices.dtype == np.int32
    assert (indices // FRAMES == np.arange(3)[:, None, None]).all()
    for row, frame in zip(*np.nonzero(mask), strict=True):
        chosen = indices[row, frame] - row * FRAMES
        assert mask[row, chosen].all()
        assert (chosen != frame).all()
    assert (indices[~mask] % FRAMES == 0).all()


def test_every_other_hidden_frame_is_equally_likely_and_with_replacement() -> None:
    mask = np.zeros((1, FRAMES), bool)
    hidden = [1, 4, 5, 9, 11]
    mask[0, hidden] = True
    draws = 40_000
    indices = to_numpy(sample_negatives(mask, draws, keras.random.SeedGenerator(0)))[0]
    for frame in hidden:
        rates = np.bincount(indices[frame], minlength=FRAMES) / draws
        expected = np.where(mask[0] & (np.arange(FRAMES) != frame), 0.25, 0.0)
        np.testing.assert_allclose(rates, expected, atol=0.015)
    pairs = indices[1].reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).mean() == pytest.approx(0.25, abs=0.02)


def test_two_hidden_frames_have_each_other() -> None:
    mask = np.zeros((2, FRAMES), bool)
    mask[1, [3, 8]] = True
    indices = to_numpy(sample_negatives(mask, NEGATIVES, keras.random.SeedGenerator(0)))
    assert (indices[1, 3] == FRAMES + 8).all()
    assert (indices[1, 8] == FRAMES + 3).all()


def test_a_frame_that_is_hidden_alone_is_refused() -> None:
    mask = np.zeros((2, FRAMES), bool)
    mask[1, 3] = True
    with pytest.raises(ValueError, match="Row 1 of mask_time_indices hides one frame"):
        sample_negatives(mask, NEGATIVES, keras.random.SeedGenerator(0))


def test_compiled_draws_differ_and_a_frame_that_is_hidden_alone_gets_itself() -> None:
    model = tiny_pretraining()
    step = compiled(model, lambda mask: sample_negatives(mask, NEGATIVES, model.seed_generator))
    mask = np.zeros((2, FRAMES), bool)
    mask[0, ::2] = True
    mask[1, 3] = True
    first, second = to_numpy(step(mask)), to_numpy(step(mask))
    assert (first[0] != second[0]).any()
    assert (first[1, 3] == FRAMES + 3).all()
