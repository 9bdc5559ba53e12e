"""The gradient of every variable, on TensorFlow and JAX, and how far it may be from the reference's."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tests.parity.matrix import GRADIENT_OF_LARGEST, GRADIENT_RELATIVE
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.key_map import is_transposed, torch_keys


def loss_and_gradients(
    model: Any, batch: dict[str, np.ndarray], *, training: bool = False, weights: np.ndarray | None = None
) -> tuple[float, dict[str, np.ndarray | None]]:
    """A model's loss over a batch and its gradient, by variable; None where the loss does not depend on it.

    ``weights`` stand in for the loss of a model that has none: they are multiplied with the last hidden state.
    """

    def loss_of(output: Any) -> Any:
        if weights is None:
            return output["loss"]
        return keras.ops.sum(output["last_hidden_state"] * weights)

    names = named_variables(model)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of(model(batch, training=training))
        gradients = tape.gradient(loss, [variable.value for variable in names.values()])
        return float(loss), {
            name: None if gradient is None else gradient.numpy()
            for name, gradient in zip(names, gradients, strict=True)
        }
    import jax

    place = {id(variable): index for index, variable in enumerate(model.trainable_variables)}
    other = [variable.value for variable in model.non_trainable_variables]

    def evaluate(trainable: Any) -> Any:
        return loss_of(model.stateless_call(trainable, other, batch, training=training)[0])

    trainable = [variable.value for variable in model.trainable_variables]
    loss, gradients = jax.jit(jax.value_and_grad(evaluate))(trainable)
    return float(loss), {
        name: np.asarray(gradients[place[id(variable)]]) if id(variable) in place else None
        for name, variable in names.items()
    }


def share_of_allowed(gradients: dict[str, np.ndarray | None], wanted: dict[str, np.ndarray]) -> float:
    """The largest share of its limit that a variable's gradient is away from the reference's, by torch key.

    The limit is a thousandth of the gradient's norm and a millionth of the largest: some gradients are zero but for
    rounding.

    Raises:
        AssertionError: where one side has a gradient that the other lacks.
    """
    largest = max(np.linalg.norm(gradient) for gradient in wanted.values())
    shares, checked = [], set()
    for name, gradient in gradients.items():
        key = torch_keys(name)[0]
        if key not in wanted:
            if gradient is not None and np.any(gradient):
                raise AssertionError(f"{name} has a gradient, the reference's has none")
            continue
        if gradient is None:
            if np.any(wanted[key]):
                raise AssertionError(f"{name} has no gradient, the reference's has one")
            gradient = np.zeros_like(wanted[key].T if is_transposed(name) else wanted[key])
        value = gradient.T if is_transposed(name) else gradient
        limit = GRADIENT_RELATIVE * np.linalg.norm(wanted[key]) + GRADIENT_OF_LARGEST * largest
        shares.append(float(np.linalg.norm(value - wanted[key]) / limit))
        checked.add(key)
    if checked != set(wanted):
        raise AssertionError(f"no variable stands for {sorted(set(wanted) - checked)}")
    return max(shares)
