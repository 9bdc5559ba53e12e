"""What the tests of pretraining share: a tiny model, given noise, and compiled functions on either backend."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import keras
import numpy as np

from tests.tiny import TINY
from tfwav2vec2 import Wav2Vec2Config
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
