"""SpecAugment's spans: the reference's distribution, drawn at run time."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backbone.conftest import to_numpy
from tfwav2vec2 import TFWav2Vec2ForCTC
from tfwav2vec2.backbone.masking import draw_spans, span_counts


def reference_count(length: int, size: int, probability: float, span: int, least: int, epsilon: float) -> int:
    """The reference's rule, written out for one row."""
    count = max(int(probability * length / span + epsilon), least)
    if count * span > size:
        count = size // span
    return min(count, max(length - (span - 1), 0))


@given(
    size=st.integers(1, 300),
    fraction=st.floats(0, 1),
    probability=st.floats(0, 1),
    span=st.integers(1, 20),
    least=st.integers(0, 5),
    epsilon=st.floats(0, 0.99),
)
@settings(deadline=None, max_examples=200)
def test_span_counts_follow_the_rule(
    size: int, fraction: float, probability: float, span: int, least: int, epsilon: float
) -> None:
    length = int(fraction * size)
    exact = probability * length / span + epsilon
    if abs(exact - round(exact)) < 1e-4:
        return  # float32 and float64 may round such a value to different integers
    count = span_counts(np.array([length], "int32"), size, probability, span, least, epsilon)
    assert int(count[0]) == reference_count(length, size, probability, span, least, epsilon)


# One size and three rows: JAX compiles every operation anew for each shape.
@given(
    lengths=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    probability=st.floats(0, 1),
    span=st.sampled_from([1, 2, 5]),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=50)
def test_spans_stay_inside_the_row(lengths: list[int], probability: float, span: int, seed: int) -> None:
    size = 40
    generator = keras.random.SeedGenerator(seed)
    mask = to_numpy(draw_spans(np.array(lengths, "int32"), size, probability, span, 1, generator))
    assert mask.shape == (len(lengths), size)
    for row, length in zip(mask, lengths, strict=True):
        assert not row[length:].any()
        assert row.any() == (length >= span)
        runs = np.diff(np.flatnonzero(np.diff(np.concatenate([[0], row.astype(int), [0]]))))[::2]
        assert (runs >= span).all()


def test_every_start_is_equally_likely() -> None:
    """One span of 2 in a row of 6: five starts, so the ends are hidden half as often as the middle."""
    generator = keras.random.SeedGenerator(0)
    lengths = np.full((20_000,), 6, "int32")
    rates = to_numpy(draw_spans(lengths, 6, 0.0, 2, 1, generator)).mean(axis=0)
    np.testing.assert_allclose(rates, np.array([1, 2, 2, 2, 2, 1]) / 5, atol=0.02)


def test_spans_are_drawn_without_replacement() -> None:
    """Five spans of length 1 in a row of 5 hide all of it, every time."""
    generator = keras.random.SeedGenerator(0)
    mask = to_numpy(draw_spans(np.full((50,), 5, "int32"), 5, 0.0, 1, 5, generator))
    assert mask.all()


@pytest.mark.parametrize(("span", "message"), [(0, "at least 1"), (7, "longer than the axis")])
def test_impossible_spans_are_refused(span: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw_spans(np.array([6], "int32"), 6, 0.5, span, 0, keras.random.SeedGenerator(0))


def test_training_hides_other_frames_at_every_step(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    """In a compiled step too: a mask drawn while tracing would be the same for ever."""
    silent = dict.fromkeys(
        ("hidden_dropout", "attention_dropout", "activation_dropout", "final_dropout", "layerdrop"), 0.0
    )
    model = tiny_model(**silent, mask_time_prob=0.3, mask_feature_prob=0.2, mask_feature_length=2)
    waveform = np.random.default_rng(0).standard_normal((2, 900)).astype("float32")
    step = _compiled_training_call(model)
    first, second = to_numpy(step(waveform)), to_numpy(step(waveform))
    assert np.abs(first - second).max() > 1e-3


def test_layers_are_dropped_at_run_time(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    silent = dict.fromkeys(
        ("hidden_dropout", "attention_dropout", "activation_dropout", "final_dropout"), 0.0
    )
    model = tiny_model(**silent, apply_spec_augment=False, layerdrop=0.5)
    waveform = np.random.default_rng(0).standard_normal((1, 900)).astype("float32")
    step = _compiled_training_call(model)
    results = {to_numpy(step(waveform)).tobytes() for _ in range(40)}
    assert len(results) == 4  # two layers, each kept or skipped


def _compiled_training_call(model: TFWav2Vec2ForCTC) -> Callable[[np.ndarray], object]:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(lambda x: model(x, training=True).logits, autograph=False, jit_compile=True)
    import jax

    @jax.jit
    def run(trainable, other, x):
        return model.stateless_call(trainable, other, x, training=True)

    def step(x: np.ndarray) -> object:
        trainable = [v.value for v in model.trainable_variables]
        output, others = run(trainable, [v.value for v in model.non_trainable_variables], x)
        for variable, value in zip(model.non_trainable_variables, others, strict=True):
            variable.assign(value)
        return output.logits

    return step
