"""The published sizes have the reference's tensors, name by name and shape by shape; neither side holds any memory."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.parity.conftest import torch, transformers
from tests.weights.published import PARAMETERS, SIZES
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.abstract import abstract_model
from tfwav2vec2.weights.key_map import torch_keys
from tfwav2vec2.weights.variables import torch_shape


@pytest.mark.parametrize("task", ["Model", "ForCTC", "ForPreTraining"])
@pytest.mark.parametrize("size", SIZES)
def test_the_tensors_are_the_references(size: str, task: str) -> None:
    import tfwav2vec2

    with torch.device("meta"):
        reference = getattr(transformers, f"Wav2Vec2{task}")(transformers.Wav2Vec2Config(**SIZES[size]))
    wanted = {name: tuple(parameter.shape) for name, parameter in reference.named_parameters()}
    kind: Any = getattr(tfwav2vec2, f"TFWav2Vec2{task}")
    model = abstract_model(kind, Wav2Vec2Config(**SIZES[size]))
    ours = {
        torch_keys(name)[0]: torch_shape(name, variable) for name, variable in named_variables(model).items()
    }
    assert ours == wanted
    if (size, task) in PARAMETERS:
        assert sum(map(math.prod, wanted.values())) == PARAMETERS[size, task]
