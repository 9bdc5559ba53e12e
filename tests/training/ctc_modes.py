"""Run the loss and its gradient in every way that the backend has of running code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfwav2vec2.training.losses import ctc_loss

BACKEND = keras.backend.backend()
MODES = {"tensorflow": ("eager", "graph", "xla"), "jax": ("eager", "jit"), "torch": ("eager",)}[BACKEND]
COMPILED = {"tensorflow": "graph", "jax": "jit", "torch": "eager"}[BACKEND]


def loss_and_gradient(
    mode: str,
    logits: Any,
    labels: Any,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """The loss, by default of each clip, and the gradient of its sum with respect to the logits."""
    options.setdefault("reduction", "none")
    arrays = [
        np.asarray(labels),
        *(None if n is None else np.asarray(n) for n in (logit_lengths, label_lengths)),
    ]
    run = _runner(mode, tuple(options.items()))
    given = {name: value for name, value in zip(_NAMES, arrays, strict=True) if value is not None}
    loss, gradient = run(
        keras.ops.convert_to_tensor(logits), **{k: keras.ops.convert_to_tensor(v) for k, v in given.items()}
    )
    return keras.ops.convert_to_numpy(loss), keras.ops.convert_to_numpy(gradient)


_NAMES = ("labels", "logit_lengths", "label_lengths")


@functools.cache
def _runner(mode: str, options: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    def loss(logits: Any, **arrays: Any) -> Any:
        return ctc_loss(logits, **arrays, **dict(options))

    if BACKEND == "tensorflow":
        import tensorflow as tf

        def run(logits: Any, **arrays: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(logits)
                value = loss(logits, **arrays)
            return value, tape.gradient(value, logits)

        return run if mode == "eager" else tf.function(run, jit_compile=mode == "xla")
    if BACKEND == "jax":
        import jax

        def run(logits: Any, **arrays: Any) -> Any:
            value, pull_back = jax.vjp(lambda x: loss(x, **arrays), logits)
            return value, pull_back(jax.numpy.ones_like(value))[0]

        return run if mode == "eager" else jax.jit(run)

    def run(logits: Any, **arrays: Any) -> Any:
        logits = logits.clone().requires_grad_(True)
        value = loss(logits, **arrays)
        value.sum().backward()
        return value.detach(), logits.grad

    return run
