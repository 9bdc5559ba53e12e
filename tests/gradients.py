"""A model's output and the gradient of every weight, by name, on TensorFlow and JAX."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import keras
import numpy as np

from tfwav2vec2.backbone.naming import named_variables


def output_and_gradients(
    model: Any,
    batch: dict[str, np.ndarray],
    *,
    training: bool = False,
    loss_of: Callable[[Any], Any] = itemgetter("loss"),
) -> tuple[Any, dict[str, np.ndarray | None]]:
    """The output, and the gradient of its loss with respect to each weight, None where there is none, by dotted name.

    ``loss_of`` makes a number of the output of a model that has no loss of its own.
    """
    names = named_variables(model)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            output = model(batch, training=training)
            loss = loss_of(output)
        gradients = tape.gradient(loss, [variable.value for variable in names.values()])
        return output, {
            name: None if gradient is None else tf.convert_to_tensor(gradient).numpy()
            for name, gradient in zip(names, gradients, strict=True)
        }
    import jax

    place = {id(variable): index for index, variable in enumerate(model.trainable_variables)}
    other = [variable.value for variable in model.non_trainable_variables]

    def loss_and_output(trainable: Any) -> Any:
        output = model.stateless_call(trainable, other, batch, training=training)[0]
        return loss_of(output), output

    trainable = [variable.value for variable in model.trainable_variables]
    gradients, output = jax.jit(jax.grad(loss_and_output, has_aux=True))(trainable)
    return output, {
        name: np.asarray(gradients[place[id(variable)]]) if id(variable) in place else None
        for name, variable in names.items()
    }
