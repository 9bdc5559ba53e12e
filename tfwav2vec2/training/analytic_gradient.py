"""Let automatic differentiation use a gradient that a function has worked out itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

ONCE_ONLY = "{} has a first derivative only: its gradient cannot be differentiated again."


def with_analytic_gradient(function: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    """Make a differentiable function of one that computes its value and its gradient together.

    Args:
        function: maps `x` (batch, ...) and any number of constant tensors to a value (batch,) and its gradient, shaped
            as `x`: the value of a row depends on that row of `x` alone. It is written in `keras.ops`.

    Returns:
        A function of the same arguments that returns the value alone and can be differentiated once with respect to `x`,
        on every backend, inside and outside compiled code. Outside, it runs a compiled function of its own.
        A second derivative raises NotImplementedError (in a graph of TensorFlow, InvalidArgumentError when it is
        run, and under XLA it is NaN).
    """
    backends = {"tensorflow": _on_tensorflow, "jax": _on_jax, "torch": _on_torch}
    backend = keras.backend.backend()
    if backend not in backends:
        raise NotImplementedError(
            f"{function.__name__} runs on the backends {', '.join(backends)}, not on {backend!r}: set KERAS_BACKEND to one of them."
        )
    return backends[backend](function)


def _chain(upstream: Any, gradient: Any) -> Any:
    """The rows of `gradient` (batch, ...) times `upstream` (batch,)."""
    return keras.ops.reshape(upstream, (-1, *[1] * (len(gradient.shape) - 1))) * gradient


def _on_tensorflow(function: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    import tensorflow as tf

    # An eager scan runs the loop in Python, op by op.
    compiled = tf.function(function, reduce_retracing=True)

    @tf.custom_gradient
    def once(gradient, x):
        def backward(_):
            message = ONCE_ONLY.format(function.__name__)
            if tf.executing_eagerly():
                raise NotImplementedError(message)
            # A persistent tape around a tf.function builds derivatives that nobody asks for: to build one is no
            # error, to run one is. XLA drops the assertion and is left with NaN.
            with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
                return tf.fill(tf.shape(gradient), np.nan), tf.fill(tf.shape(x), np.nan)

        return tf.identity(gradient), backward

    def differentiable(x, *constants):
        @tf.custom_gradient
        def of_x(x):
            run = compiled if tf.executing_eagerly() else function
            # Stopped at both ends: a tape does not record the inside, a graph does not build derivatives of it.
            value, gradient = map(tf.stop_gradient, run(tf.stop_gradient(x), *constants))
            # `once` takes x, so that a second derivative meets it even where `upstream` is a constant.
            return value, lambda upstream: once(_chain(upstream, gradient), x)

        return of_x(x)

    return differentiable


def _on_jax(function: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    import jax

    # A scan outside jit is compiled anew at each call, because its step is a new function.
    compiled = jax.jit(function)

    @jax.custom_vjp
    def once(gradient):
        return gradient

    def once_backward(*_):
        raise NotImplementedError(ONCE_ONLY.format(function.__name__))

    once.defvjp(lambda gradient: (gradient, None), once_backward)

    @jax.custom_vjp
    def differentiable(x, *constants):
        return compiled(x, *constants)[0]

    def forward(x, *constants):
        value, gradient = compiled(x, *constants)
        return value, (gradient, (None,) * len(constants))

    def backward(residuals, upstream):
        gradient, none_for_constants = residuals
        return once(_chain(upstream, gradient)), *none_for_constants

    differentiable.defvjp(forward, backward)
    return differentiable


def _on_torch(function: Callable[..., tuple[Any, Any]]) -> Callable[..., Any]:
    import torch

    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, gradient, x):
            return gradient.clone()

        @staticmethod
        def backward(ctx, _):
            raise NotImplementedError(ONCE_ONLY.format(function.__name__))

    class Differentiable(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, *constants):
            value, gradient = function(x, *constants)
            ctx.save_for_backward(gradient, x)
            ctx.none_for_constants = (None,) * len(constants)
            return value

        @staticmethod
        def backward(ctx, upstream):
            gradient, x = ctx.saved_tensors
            return Once.apply(_chain(upstream, gradient), x), *ctx.none_for_constants

    return Differentiable.apply
