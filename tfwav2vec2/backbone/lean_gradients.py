"""Functions between the large products, with gradients that keep little for the way back.

TensorFlow keeps what each elementary operation read until its gradient is computed: for a GELU four tensors of the
size of its input, for a layer norm as many. Their derivatives follow from the input, so the input is all that these
functions keep; the rest is computed again. Other backends derive the same formulas by themselves: JAX's compiler decides
what to keep, and torch fuses.

Where a backward pass repeats a part of the forward pass it is written in another way (a sign turned round), since
TensorFlow's graph optimizer would otherwise find the same expression twice and keep the first for the second.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def lean(function: Callable[..., tuple[Any, Callable[..., Any]]]) -> Callable[..., Any]:
    """A function that returns its result and the gradient of that, as one which TensorFlow derives by this gradient.

    Elsewhere the result is derived as usual.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.custom_gradient(function)
    return lambda *inputs: function(*inputs)[0]


def gelu(x: Any) -> Any:
    """``x`` times the normal distribution's cumulative function (arXiv 1606.08415), of which the gradient keeps ``x``.

    Computed in the dtype of ``x`` (..., any shape).
    """
    return lean(_gelu)(ops.convert_to_tensor(x))


def _gelu(x: Any) -> tuple[Any, Callable[[Any], Any]]:
    def gradient(upstream: Any) -> Any:
        cumulative = 0.5 - 0.5 * ops.erf(x * -math.sqrt(0.5))
        density = ops.exp(ops.square(x) * -0.5) * (1 / math.sqrt(2 * math.pi))
        return upstream * (cumulative + x * density)

    return 0.5 * x * (1.0 + ops.erf(x * math.sqrt(0.5))), gradient


def normalise(x: Any, gamma: Any, beta: Any, *, axis: int, epsilon: float, weight: Any = None) -> Any:
    """``x`` (batch, frames, channels) with mean 0 and variance 1 over an axis, times ``gamma`` plus ``beta`` (channels,).

    The gradient keeps ``x`` and one mean and deviation for each that was normalised. Computed in float32, whatever the
    dtype of ``x``, which the result has.

    Args:
        axis: -1 for each frame over its channels (layer norm), 1 for each channel over its frames.
        epsilon: added to the variance.
        weight: how much each place counts for mean and variance, (batch, frames, 1), 0 or 1; all count by default.
            Places of weight 0 are normalised too.
    """
    dtype = x.dtype
    if weight is None:
        count = ops.cast(ops.shape(x)[axis], "float32")
    else:
        weight = ops.cast(weight, "float32")
        count = ops.maximum(ops.sum(weight, axis=axis, keepdims=True), 1.0)

    def mean_of(values: Any) -> Any:
        counted = values if weight is None else values * weight
        return ops.sum(counted, axis=axis, keepdims=True) / count

    def forward(x: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[[Any], Any]]:
        single = ops.cast(x, "float32")
        mean = mean_of(single)
        scale = ops.rsqrt(mean_of(_squared_difference(single, mean)) + epsilon)

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            upstream = ops.cast(upstream, "float32")
            normalised = (mean - ops.cast(x, "float32")) * -scale
            product = upstream * normalised
            inner = upstream * gamma
            # What a place changed in the mean and the deviation of all.
            through_mean = ops.sum(inner, axis=axis, keepdims=True) / count
            through_scale = ops.sum(product * gamma, axis=axis, keepdims=True) / count
            common = through_mean + normalised * through_scale
            of_x = scale * (inner - (common if weight is None else common * weight))
            return ops.cast(of_x, dtype), ops.sum(product, axis=(0, 1)), ops.sum(upstream, axis=(0, 1))

        # Only now, so that the squares and the differences are never in memory together.
        return ops.cast((single - mean) * scale * gamma + beta, dtype), gradient

    return lean(forward)(x, ops.cast(gamma, "float32"), ops.cast(beta, "float32"))


def _squared_difference(x: Any, mean: Any) -> Any:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.math.squared_difference(x, mean)
    return ops.square(x - mean)
