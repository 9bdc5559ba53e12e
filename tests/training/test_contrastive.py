"""The losses of pretraining against their definitions, written out in numpy."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tests.backbone.conftest import to_numpy
from tfwav2vec2.training.contrastive import (
    candidate_logits,
    contrastive_counts,
    contrastive_logits,
    contrastive_loss,
    diversity_loss,
)

BATCH, FRAMES, CHANNELS, NEGATIVES = 2, 6, 4, 5


def case(seed: int, within_utterance: bool) -> dict[str, np.ndarray]:
    """Targets made from few codes, so that negatives equal to the positive are among them."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2, (BATCH, FRAMES, 2)).astype("int32")
    table = rng.standard_normal((2, 2, CHANNELS)).astype("float32")
    low, high = (0, FRAMES) if within_utterance else (0, BATCH * FRAMES)
    indices = rng.integers(low, high, (BATCH, FRAMES, NEGATIVES)).astype("int32")
    if within_utterance:
        indices += FRAMES * np.arange(BATCH, dtype="int32")[:, None, None]
    return {
        "predicted": rng.standard_normal((BATCH, FRAMES, CHANNELS)).astype("float32"),
        "targets": table[0][codes[..., 0]] + table[1][codes[..., 1]],
        "codes": codes,
        "mask_time_indices": rng.random((BATCH, FRAMES)) < 0.6,
        "negative_indices": indices,
    }


def loss_of(mask_time_indices: Any, **arguments: Any) -> Any:
    return contrastive_loss(candidate_logits(**arguments), mask_time_indices)


def by_definition(
    predicted: np.ndarray,
    targets: np.ndarray,
    codes: np.ndarray,
    mask_time_indices: np.ndarray,
    negative_indices: np.ndarray,
    temperature: float,
) -> float:
    flat_targets, flat_codes = targets.reshape(-1, CHANNELS).astype("float64"), codes.reshape(-1, 2)
    total = 0.0
    for row, frame in zip(*np.nonzero(mask_time_indices), strict=True):
        own = row * FRAMES + frame
        kept = [i for i in negative_indices[row, frame] if (flat_codes[i] != flat_codes[own]).any()]
        state = predicted[row, frame].astype("float64")
        scores = [
            state @ flat_targets[i] / np.linalg.norm(state) / np.linalg.norm(flat_targets[i]) / temperature
            for i in [own, *kept]
        ]
        total += np.log(np.sum(np.exp(scores))) - scores[0]
    return total


@given(seed=st.integers(0, 10_000), within=st.booleans(), temperature=st.sampled_from([0.1, 1.0]))
@settings(max_examples=40)
def test_contrastive_loss_is_its_definition(seed: int, within: bool, temperature: float) -> None:
    arrays = case(seed, within)
    expected = by_definition(**arrays, temperature=temperature)
    loss = loss_of(**arrays, temperature=temperature)
    assert float(loss) == pytest.approx(expected, rel=1e-5, abs=1e-5)
    if within:
        same = loss_of(**arrays, temperature=temperature, within_utterance=True)
        assert float(same) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def gradients(arrays: dict[str, Any], **options: Any) -> list[np.ndarray]:
    """With respect to the predictions and the targets."""
    rest = {name: value for name, value in arrays.items() if name not in ("predicted", "targets")}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        variables = [tf.Variable(arrays["predicted"]), tf.Variable(arrays["targets"])]
        with tf.GradientTape() as tape:
            loss = loss_of(predicted=variables[0], targets=variables[1], **rest, **options)
        return [gradient.numpy() for gradient in tape.gradient(loss, variables)]
    import jax

    function = jax.grad(lambda p, t: loss_of(predicted=p, targets=t, **rest, **options), argnums=(0, 1))
    return [np.asarray(gradient) for gradient in function(arrays["predicted"], arrays["targets"])]


@pytest.mark.parametrize("within", [False, True])
def test_gradients_are_those_of_the_definition(within: bool) -> None:
    arrays = case(1, within)
    step = 1e-4
    for name, gradient in zip(
        ("predicted", "targets"), gradients(arrays, temperature=0.5, within_utterance=within), strict=True
    ):
        expected = np.zeros(gradient.shape)
        for place in np.ndindex(gradient.shape):
            sides = []
            for sign in (1, -1):
                moved = arrays[name].astype("float64")
                moved[place] += sign * step
                sides.append(by_definition(**{**arrays, name: moved}, temperature=0.5))
            expected[place] = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4)


def test_negatives_that_all_equal_the_positive_cost_nothing() -> None:
    arrays = case(2, True)
    arrays["codes"] = np.zeros_like(arrays["codes"])
    arrays["targets"] = np.broadcast_to(arrays["targets"][:1, :1], arrays["targets"].shape).copy()
    assert float(loss_of(**arrays)) == 0.0
    for gradient in gradients(arrays):
        np.testing.assert_array_equal(gradient, 0.0)


def test_vectors_of_zeros_have_finite_gradients() -> None:
    arrays = case(3, True)
    arrays["predicted"][0, 0] = 0.0
    arrays["targets"][0, 1] = 0.0
    arrays["mask_time_indices"][:] = True
    assert np.isfinite(float(loss_of(**arrays)))
    for gradient in gradients(arrays):
        assert np.isfinite(gradient).all()


def test_half_precision_is_summed_in_float32() -> None:
    arrays = case(4, False)
    halves = {name: ops.cast(arrays[name], "float16") for name in ("predicted", "targets")}
    loss = loss_of(**{**arrays, **halves})
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    assert float(loss) == pytest.approx(float(loss_of(**arrays)), rel=0.02)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_hidden_frames_are_told_from_negatives_with_other_codes(seed: int) -> None:
    arrays = case(seed, within_utterance=True)
    mask = arrays.pop("mask_time_indices")
    logits = to_numpy(candidate_logits(**arrays))
    correct = total = 0
    for own, *others in logits[mask]:
        others = [score for score in others if score > -np.inf]
        total += bool(others)
        correct += bool(others) and own > max(others)
    assert [float(count) for count in contrastive_counts(logits, mask)] == [correct, total]


def test_frames_that_are_all_alike_tell_nothing() -> None:
    arrays = case(5, within_utterance=True)
    mask = np.ones_like(arrays.pop("mask_time_indices"))
    arrays["targets"] = np.ones_like(arrays["targets"])
    correct, total = contrastive_counts(candidate_logits(**arrays), mask)
    assert float(correct) == 0
    assert float(total) > 0
    arrays["codes"] = np.zeros_like(arrays["codes"])
    assert [float(count) for count in contrastive_counts(candidate_logits(**arrays), mask)] == [0, 0]


def test_contrastive_logits_are_cosines_over_the_temperature() -> None:
    rng = np.random.default_rng(0)
    target = rng.standard_normal((1, BATCH, FRAMES, CHANNELS)).astype("float32")
    negatives = rng.standard_normal((NEGATIVES, BATCH, FRAMES, CHANNELS)).astype("float32")
    logits = to_numpy(contrastive_logits(target, negatives, target[0], 0.1))
    assert logits.shape == (NEGATIVES + 1, BATCH, FRAMES)
    np.testing.assert_allclose(logits[0], 10.0, rtol=1e-5)
    expected = (target * negatives).sum(-1) / np.linalg.norm(target, axis=-1)
    expected = 10 * expected / np.linalg.norm(negatives, axis=-1)
    np.testing.assert_allclose(logits[1:], expected, rtol=1e-4, atol=1e-4)


def test_diversity_loss_counts_hidden_frames_and_unused_entries() -> None:
    mask = np.array([[1, 1, 0], [0, 1, 0]], bool)
    assert float(diversity_loss(ops.cast(16.0, "float32"), 16, mask)) == 0.0
    assert float(diversity_loss(ops.cast(4.0, "float32"), 16, mask)) == pytest.approx(0.75 * 3)
