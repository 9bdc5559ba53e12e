"""What the tests of pretraining share: a tiny model, given noise, and gradients by name on either backend."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import keras
import numpy as np

from tests.backbone.conftest import TINY
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.heads.pretraining import TFWav2Vec2ForPreTraining

# Nothing random but the objective's own draws.
STILL = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.0)


def tiny_config(**overrides: Any) -> Wav2Vec2Config:
    sizes = {
        "num_codevectors_per_group": 8,
        "codevector_dim": 8,
        "proj_codevector_dim": 8,
        "num_negatives": 5,
    }
    return Wav2Vec2Config(**{**TINY, **sizes, "mask_time_prob": 0.5, **overrides})


def tiny_pretraining(dtype: str = "float32", **overrides: Any) -> TFWav2Vec2ForPreTraining:
    keras.utils.set_random_seed(0)
    return TFWav2Vec2ForPreTraining(tiny_config(**overrides), dtype=dtype)


def given_noise(noise: np.ndarray) -> AbstractContextManager[Any]:
    """Training inside draws this Gumbel noise (batch, frames, groups, entries)."""
    return mock.patch("tfwav2vec2.heads.quantizer.gumbel_noise", return_value=noise)


def output_and_gradients(
    model: TFWav2Vec2ForPreTraining, batch: dict[str, np.ndarray], *, training: bool
) -> tuple[Any, dict[str, Any]]:
    """The output, and the gradient of its loss with respect to each weight, None where there is none, by dotted name."""
    names = named_variables(model)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            output = model(batch, training=training)
        gradients = tape.gradient(output.loss, [variable.value for variable in names.values()])
        return output, {
            name: None if gradient is None else tf.convert_to_tensor(gradient).numpy()
            for name, gradient in zip(names, gradients, strict=True)
        }
    import jax

    place = {id(variable): index for index, variable in enumerate(model.trainable_variables)}
    other = [variable.value for variable in model.non_trainable_variables]

    def loss_and_output(trainable: Any) -> Any:
        output = model.stateless_call(trainable, other, batch, training=training)[0]
        return output["loss"], output

    trainable = [variable.value for variable in model.trainable_variables]
    gradients, output = jax.jit(jax.grad(loss_and_output, has_aux=True))(trainable)
    return output, {
        name: np.asarray(gradients[place[id(variable)]]) if id(variable) in place else None
        for name, variable in names.items()
    }


def compiled(model: keras.Model, function: Any, *, xla: bool = True) -> Any:
    """`function(*arrays)` of a model as one program that keeps the model's state from call to call.

    On TensorFlow it can do without XLA, which takes seconds to compile.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, autograph=False, jit_compile=xla)
    import jax

    @jax.jit
    def run(state: list[Any], *arrays: Any) -> Any:
        with keras.StatelessScope(list(zip(model.variables, state, strict=True))) as scope:
            result = function(*arrays)
        return result, [scope.get_current_value(variable) for variable in model.variables]

    def step(*arrays: Any) -> Any:
        result, state = run([variable.value for variable in model.variables], *arrays)
        for variable, value in zip(model.variables, state, strict=True):
            variable.assign(value)
        return result

    return step
