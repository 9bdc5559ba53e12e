"""Models without memory."""

from __future__ import annotations

import math
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfwav2vec2
from tests.weights.conftest import TINY
from tests.weights.published import PARAMETERS, SIZES
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.abstract import ValuesFrom, abstract_model


def test_two_billion_parameters_take_next_to_nothing() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    model = abstract_model(TFWav2Vec2ForCTC, Wav2Vec2Config(**SIZES["XLS-R 2B"]))
    # Keras gives values to all variables that still need some as soon as any scope ends.
    with keras.StatelessScope():
        pass
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert model.count_params() > 2e9
    assert traced < 100e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300e3


@pytest.mark.parametrize(("size", "task"), PARAMETERS)
def test_published_sizes_have_as_many_parameters_as_the_reference(size: str, task: str) -> None:
    model = abstract_model(getattr(tfwav2vec2, f"TFWav2Vec2{task}"), Wav2Vec2Config(**SIZES[size]))
    count = sum(math.prod(variable.shape) for variable in named_variables(model).values())
    assert count == PARAMETERS[size, task]


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
