"""Gradient checkpointing: what a layer computed in training is forgotten, and computed again for its gradient.

Memory then holds the input of each layer rather than all that is inside it (arXiv 1604.06174), at the price of about
one more forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops


def recomputed(layer: keras.layers.Layer, call: Callable[..., Any], x: Any) -> Any:
    """``call(x)``, what a layer makes of ``x``, of which nothing is kept for the gradient but ``x``.

    Random numbers are drawn anew in the same way: dropout hides the same places both times.

    Args:
        layer: whatever weights and random numbers ``call`` uses are the layer's.
        call: a function of ``x`` (batch, frames, ...); whatever else it uses has no gradient.
        x: the layer's input.
    """
    # Values rather than variables: both times must read the same, though the seeds have moved on meanwhile.
    weights = [ops.copy(variable) for variable in layer.trainable_variables]
    places = list(layer.trainable_variables)
    seeds = {id(sub.seed_generator): sub.seed_generator for sub in _random_layers(layer)}
    fixed = [(generator.state, generator.next()) for generator in seeds.values()]
    known = {id(variable) for variable, _ in fixed}
    fixed += [
        (variable, ops.copy(variable))
        for variable in layer.non_trainable_variables
        if id(variable) not in known
    ]

    def compute(x: Any, *weights: Any) -> Any:
        with keras.StatelessScope(state_mapping=[*zip(places, weights, strict=True), *fixed]):
            return call(x)

    remat = _remat_on_jax if keras.backend.backend() == "jax" else keras.remat
    return remat(compute)(x, *weights)


def _random_layers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    return [sub for sub in layer._flatten_layers() if getattr(sub, "seed_generator", None) is not None]


def _remat_on_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    """As ``keras.remat``, but the second computation waits for the gradient that needs it.

    ``jax.checkpoint`` keeps them apart by a barrier that XLA drops on the CPU: it then computes everything again at
    once, and the peak of the memory is what it would have been.
    """
    import jax

    @jax.custom_vjp
    def apart(*inputs: Any) -> Any:
        return function(*inputs)

    def forward(*inputs: Any) -> Any:
        return function(*inputs), inputs

    def backward(inputs: Any, upstream: Any) -> Any:
        x, *weights = inputs
        arrived = jax.tree.leaves(upstream)[0].ravel()[0]
        # Zero, which XLA cannot know before the gradient is there: NaN is unequal to itself.
        zero = ops.where(arrived == arrived, 0.0, arrived)
        return jax.vjp(function, x + ops.cast(zero, x.dtype), *weights)[1](upstream)

    apart.defvjp(forward, backward)
    return apart
