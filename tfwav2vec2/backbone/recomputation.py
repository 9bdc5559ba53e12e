"""What training forgets of the forward pass, and computes again for the gradient.

Forgetting all that is inside a layer is gradient checkpointing (arXiv 1604.06174): memory holds the layer's input alone,
at the price of about one more forward pass. Forgetting what stands between two products costs next to nothing: norms,
activations, softmax and dropout are most of the memory and little of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any

import keras
from keras import ops

_inside: ContextVar[bool] = ContextVar("inside_recomputed", default=False)


def recomputed_up_to_product(
    layers: Iterable[keras.layers.Layer], call: Callable[..., Any], *inputs: Any, training: bool
) -> Any:
    """``call(*inputs)``, cheap steps and a dense layer at their end, of which training keeps the inputs alone.

    The dense layer's product is not computed again: nothing in the gradient reads it, so that a graph leaves it out.
    This is for TensorFlow's graphs; elsewhere, and outside training, ``call`` is called as it is. JAX's compiler decides
    by itself what to keep, and an eager program would compute the product twice.
    """
    # Inside a layer that is computed again as a whole nothing is kept in any case.
    if _inside.get() or not training or keras.backend.backend() != "tensorflow" or _is_eager():
        return call(*inputs)
    return recomputed(layers, call, *inputs)


def _is_eager() -> bool:
    import tensorflow as tf

    return tf.executing_eagerly()


def recomputed(layers: Iterable[keras.layers.Layer], call: Callable[..., Any], *inputs: Any) -> Any:
    """``call(*inputs)``, of which nothing is kept for the gradient but the inputs.

    Random numbers are drawn anew in the same way: dropout hides the same places both times.

    Args:
        layers: whatever weights and random numbers ``call`` uses are theirs.
        call: a function of the inputs; whatever else it uses has no gradient.
        inputs: tensors (batch, ...), the first with a gradient.
    """
    # Values rather than variables: both times must read the same, though the seeds have moved on meanwhile.
    layers = list(layers)
    places = [variable for layer in layers for variable in layer.trainable_variables]
    weights = [ops.copy(variable) for variable in places]
    seeds = {id(sub.seed_generator): sub.seed_generator for layer in layers for sub in _random_layers(layer)}
    fixed = [(generator.state, generator.next()) for generator in seeds.values()]
    known = {id(variable) for variable, _ in fixed}
    fixed += [
        (variable, ops.copy(variable))
        for layer in layers
        for variable in layer.non_trainable_variables
        if id(variable) not in known
    ]
    count = len(inputs)

    def compute(*inputs_and_weights: Any) -> Any:
        state = [*zip(places, inputs_and_weights[count:], strict=True), *fixed]
        token = _inside.set(True)
        try:
            with keras.StatelessScope(state_mapping=state):
                return call(*inputs_and_weights[:count])
        finally:
            _inside.reset(token)

    remat = _remat_on_jax if keras.backend.backend() == "jax" else keras.remat
    return remat(compute)(*inputs, *weights)


def with_gradient_of(other: Callable[[Any], Any], function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """``function`` of a tensor, for TensorFlow, whose gradient is that of ``other``, which computes the same.

    Nothing is kept for the gradient but the tensor.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def apart(x: Any) -> Any:
        def backward(upstream: Any, variables: Any = ()) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([x, *variables])
                found = other(x)
            by_x, *by_variables = tape.gradient(found, [x, *variables], output_gradients=upstream)
            return by_x, by_variables

        return function(x), backward

    return apart


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
        x, *others = inputs
        arrived = jax.tree.leaves(upstream)[0].ravel()[0]
        # Zero, which XLA cannot know before the gradient is there: NaN is unequal to itself.
        zero = ops.where(arrived == arrived, 0.0, arrived)
        return jax.vjp(function, x + ops.cast(zero, x.dtype), *others)[1](upstream)

    apart.defvjp(forward, backward)
    return apart
