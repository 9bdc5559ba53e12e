"""Functions with gradients of their own: values and gradients are those of the plain formulas, taken in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tests.backbone.gradients import draw, gradients, numerical
from tests.backbone.graphs import operations_after_optimization
from tfwav2vec2.backbone.lean_gradients import gelu, normalise

EPSILON = 1e-5


def plain_gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))


def plain_norm(axis: int, weight: np.ndarray | None) -> Callable[..., np.ndarray]:
    def function(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
        counts = np.ones((*x.shape[:2], 1)) if weight is None else weight
        total = np.maximum(np.sum(counts * np.ones_like(x), axis=axis, keepdims=True), 1)
        mean = np.sum(x * counts, axis=axis, keepdims=True) / total
        variance = np.sum((x - mean) ** 2 * counts, axis=axis, keepdims=True) / total
        return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta

    return function


def test_gelu() -> None:
    x, upstream = draw((3, 50), (3, 50))
    x[0, :4] = -20.0, -6.0, 0.0, 20.0
    np.testing.assert_allclose(gelu(x), plain_gelu(x), rtol=1e-5, atol=1e-6)
    (found,) = gradients(gelu, [x], upstream)
    (expected,) = numerical(plain_gelu, [x], upstream)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("axis", "masked"), [(-1, False), (1, False), (1, True)], ids=["frames", "channels", "masked"]
)
def test_normalisation(axis: int, masked: bool) -> None:
    x, upstream, gamma, beta = draw((2, 7, 5), (2, 7, 5), (5,), (5,))
    weight = (np.arange(7) < np.array([[7], [4]]))[:, :, None].astype("float32") if masked else None

    def function(x: Any, gamma: Any, beta: Any) -> Any:
        return normalise(x, gamma, beta, axis=axis, epsilon=EPSILON, weight=weight)

    plain = plain_norm(axis, weight)
    inputs = [x, gamma, beta]
    np.testing.assert_allclose(
        function(*map(ops.convert_to_tensor, inputs)), plain(*inputs), rtol=1e-5, atol=1e-5
    )
    for found, expected in zip(
        gradients(function, inputs, upstream), numerical(plain, inputs, upstream), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_clip_without_a_valid_frame_has_finite_gradients() -> None:
    x, upstream, gamma, beta = draw((1, 4, 3), (1, 4, 3), (3,), (3,))

    def function(x: Any, gamma: Any, beta: Any) -> Any:
        return normalise(x, gamma, beta, axis=1, epsilon=EPSILON, weight=np.zeros((1, 4, 1), "float32"))

    for found in gradients(function, [x, gamma, beta], upstream):
        assert np.all(np.isfinite(found))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_computes_in_full(dtype: str) -> None:
    """Values beyond the root of float16's largest number have squares that it cannot hold."""
    x, gamma, beta = draw((2, 4, 6), (6,), (6,))
    half = ops.cast(x * 1000, dtype)
    found = normalise(half, gamma, beta, axis=-1, epsilon=EPSILON)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    rounded = ops.convert_to_numpy(ops.cast(half, "float32"))
    expected = plain_norm(-1, None)(rounded, gamma, beta)
    np.testing.assert_allclose(ops.cast(found, "float32"), expected, rtol=1e-2, atol=3e-2)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")
def test_the_graph_optimizer_does_not_keep_the_forward_part_for_the_gradient() -> None:
    """Two equal expressions would become one, and what it computed would be kept."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec((64, 64)), tf.TensorSpec((64, 64))])
    def program(x: Any, upstream: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = gelu(x)
        return y, tape.gradient(y, x, upstream)

    assert operations_after_optimization(program.get_concrete_function().graph).count("Erf") == 2
