"""Models without memory."""

from __future__ import annotations

import resource
import tracemalloc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.weights.conftest import TINY
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.abstract import ValuesFrom, abstract_model

TWO_BILLION = {
    "hidden_size": 1920,
    "num_hidden_layers": 48,
    "num_attention_heads": 16,
    "intermediate_size": 7680,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}


def test_two_billion_parameters_take_next_to_nothing() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    model = abstract_model(TFWav2Vec2ForCTC, Wav2Vec2Config(**TWO_BILLION))
    # Keras gives values to all variables that still need some as soon as any scope ends.
    with keras.StatelessScope():
        pass
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.count_params() > 2e9
    assert traced < 100e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300e3


def test_names_shapes_and_dtypes(tiny_model: Any) -> None:
    def described(model: Any) -> dict[str, Any]:
        return {name: (variable.shape, variable.dtype) for name, variable in named_variables(model).items()}

    assert described(abstract_model(TFWav2Vec2ForCTC, tiny_model.config)) == described(tiny_model)
    half = abstract_model(TFWav2Vec2ForCTC, tiny_model.config, "bfloat16")
    assert {variable.dtype for variable in named_variables(half).values()} == {"bfloat16"}


def test_what_is_wrong_with_a_configuration_is_said() -> None:
    config = Wav2Vec2Config(**TINY)
    config.vocab_size = None
    with pytest.raises(ValueError, match=r"needs config\.vocab_size"):
        abstract_model(TFWav2Vec2ForCTC, config)


def test_keras_saves_values_from_elsewhere(tiny_model: Any, tmp_path: Path) -> None:
    model = abstract_model(TFWav2Vec2ForCTC, tiny_model.config)
    values = {
        id(variable): named_variables(tiny_model)[name] for name, variable in named_variables(model).items()
    }
    given = {key: keras.ops.convert_to_numpy(value) for key, value in values.items()}
    with ValuesFrom(lambda variable: given.get(id(variable))):
        model.save_weights(tmp_path / "a.weights.h5")
    loaded = TFWav2Vec2ForCTC(tiny_model.config)
    loaded.load_weights(tmp_path / "a.weights.h5")
    for name, variable in named_variables(loaded).items():
        np.testing.assert_array_equal(variable, named_variables(tiny_model)[name])
