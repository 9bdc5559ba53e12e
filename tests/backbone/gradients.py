"""Gradients through the backend, and the same by differences: what tests of gradients compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(0.3, 2.0, shape).astype("float32") for shape in shapes]


def gradients(
    function: Callable[..., Any], inputs: list[np.ndarray], upstream: np.ndarray
) -> list[np.ndarray]:
    """Of the sum of ``upstream`` times what the function gives, with respect to each input, through the backend."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tensors = [tf.constant(each) for each in inputs]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = ops.sum(function(*tensors) * upstream)
        return [ops.convert_to_numpy(each) for each in tape.gradient(loss, tensors)]
    import jax

    derivative = jax.grad(lambda *x: ops.sum(function(*x) * upstream), argnums=tuple(range(len(inputs))))
    return [np.asarray(each) for each in derivative(*inputs)]


def numerical(
    function: Callable[..., np.ndarray], inputs: list[np.ndarray], upstream: np.ndarray
) -> list[np.ndarray]:
    """The same by central differences in float64, of a function on numpy."""
    inputs = [each.astype("float64") for each in inputs]
    step, found = 1e-5, []
    for each in inputs:
        gradient = np.empty_like(each)
        for place in np.ndindex(each.shape):
            kept, sides = each[place], []
            for side in (step, -step):
                each[place] = kept + side
                sides.append(np.sum(function(*inputs) * upstream))
            each[place] = kept
            gradient[place] = (sides[0] - sides[1]) / (2 * step)
        found.append(gradient)
    return found
