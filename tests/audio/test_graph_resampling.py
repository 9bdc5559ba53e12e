"""Resampling in a TensorFlow graph: what soxr gives, whatever the rate."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.audio.graph_resampling import resample

RATE = 16_000


def speechlike(rate: int, seconds: float = 0.7) -> np.ndarray:
    """Tones below 3 kHz, which every rate here can hold."""
    time = np.arange(round(rate * seconds)) / rate
    return (0.2 * sum(np.sin(2 * np.pi * f * time + f) for f in (130, 700, 2900))).astype(np.float32)


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000])
def test_the_resampler_agrees_with_soxr(rate):
    samples = speechlike(rate)
    expected = soxr.resample(samples, rate, RATE, quality="HQ")
    made = tf.function(lambda x: resample(x, rate, RATE))(samples).numpy()
    assert len(made) - len(expected) in (0, 1)
    # Both filters begin and end with silence that is not there.
    inner = slice(400, len(expected) - 400)
    np.testing.assert_allclose(made[inner], expected[inner], atol=2e-3)


@pytest.mark.parametrize("rate", [22_050, 48_000])
def test_what_the_new_rate_cannot_hold_is_gone(rate):
    tone = np.sin(2 * np.pi * 9500 * np.arange(rate) / rate).astype(np.float32)
    made = resample(tone, rate, RATE).numpy()
    assert np.abs(made[400:-400]).max() < 1e-3


@given(
    samples=st.integers(0, 500),
    rate=st.sampled_from([1000, 7500, 8000, 11_025, 44_100, 192_000]),
    target=st.sampled_from([8000, RATE]),
)
def test_any_length_comes_out_rounded_up(samples: int, rate: int, target: int) -> None:
    made = resample(tf.ones(samples), rate, target)
    assert made.shape[0] == -(-samples * target // rate)
    assert np.isfinite(made.numpy()).all()


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (0, "must lie from 1 to 1000000 Hz"),
        (-8000, "must lie from 1 to 1000000 Hz"),
        (2**31 - 1, "must lie from 1 to 1000000 Hz"),
        (999_999, "too little in common"),
        (15_999, "too little in common"),
    ],
)
def test_impossible_rates_are_refused(rate: int, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        resample(tf.ones(100), rate, RATE)
