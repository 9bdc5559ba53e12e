"""How weights begin: the reference's distributions, or nothing yet where a checkpoint is about to fill them.

Every weight needs an initializer of its own: Keras's give the same numbers each time that they are called.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras

Initializer = str | keras.initializers.Initializer | Callable[..., Any]

_skipping: ContextVar[bool] = ContextVar("skipping_initialization", default=False)


@contextmanager
def skip_initialization() -> Iterator[None]:
    """Variables made inside hold nothing yet: drawing numbers that a checkpoint then overwrites is wasted time.

    Whoever uses it has to assign every one of them.
    """
    token = _skipping.set(True)
    try:
        yield
    finally:
        _skipping.reset(token)


def _unwritten(shape: tuple[int, ...], dtype: str) -> Any:
    """Memory that is reserved and not written to: on TensorFlow writing zeros costs a fifth of opening a model."""
    if keras.backend.backend() != "tensorflow":
        return keras.ops.zeros(shape, dtype)
    import tensorflow as tf

    return tf.raw_ops.Empty(shape=shape, dtype=dtype)


def initial(initializer: Initializer) -> Initializer:
    """The initializer to use now: the given one, or none inside :func:`skip_initialization`."""
    return _unwritten if _skipping.get() else initializer


def normal(stddev: float) -> Initializer:
    """Linear layers: normal with ``config.initializer_range`` (reference: ``_init_weights``)."""
    return initial(keras.initializers.RandomNormal(0.0, stddev))


def kaiming_normal() -> Initializer:
    """Convolution kernels: normal with variance 2 / fan_in, not truncated (torch's ``kaiming_normal_``)."""
    return initial(keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal"))


def uniform_fan_in(fan_in: int) -> Initializer:
    """Uniform between minus and plus 1 / sqrt(fan_in) (torch's default for biases and convolutions)."""
    bound = 1.0 / math.sqrt(fan_in)
    return initial(keras.initializers.RandomUniform(-bound, bound))
