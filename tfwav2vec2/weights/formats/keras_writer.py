"""Write the files of Keras 3, ``.keras`` and ``.weights.h5``, tensor by tensor: Keras's own saving, without a model in memory."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.weights.abstract import ValuesFrom, abstract_model
from tfwav2vec2.weights.checkpoint import LazyTensor
from tfwav2vec2.weights.formats.keras_archive import CONFIG_ENTRY, METADATA_ENTRY, WEIGHTS_ENTRY
from tfwav2vec2.weights.key_map import is_transposed, torch_keys


def write_keras(
    path: Path, model_class: type[Any], config: Wav2Vec2Config, tensors: Mapping[str, LazyTensor]
) -> None:
    """Write a ``.keras`` file, which ``keras.saving.load_model`` opens.

    A model has one dtype: the narrowest that holds every tensor without loss.

    Args:
        path: the file, in a folder that takes the weights twice while they are written.
        model_class: such as :class:`~tfwav2vec2.TFWav2Vec2ForCTC`.
        config: its configuration.
        tensors: by torch key, in torch's layout. A variable whose tensor is not there begins as in a new model.

    Raises:
        OSError: where the file cannot be written.
    """
    model = abstract_model(model_class, config, common_dtype(tensors))
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        with _values(model, tensors):
            # Zipped by Keras, the weights would lie in memory.
            model.save(folder, zipped=False)
        with zipfile.ZipFile(path, "w") as archive:
            for name in (METADATA_ENTRY, CONFIG_ENTRY, WEIGHTS_ENTRY):
                archive.write(Path(folder, name), name)


def write_weights(
    path: Path, model_class: type[Any], config: Wav2Vec2Config, tensors: Mapping[str, LazyTensor]
) -> None:
    """Write a ``.weights.h5`` file, which ``model.load_weights`` reads; otherwise as :func:`write_keras`."""
    model = abstract_model(model_class, config, common_dtype(tensors))
    with _values(model, tensors):
        model.save_weights(path)


def common_dtype(tensors: Mapping[str, LazyTensor]) -> str:
    """The narrowest dtype that holds every tensor without loss."""
    return keras.backend.result_type(*{tensor.dtype.name for tensor in tensors.values()})


def _values(model: Any, tensors: Mapping[str, LazyTensor]) -> ValuesFrom:
    names = {id(variable): name for name, variable in named_variables(model).items()}

    def value(variable: keras.Variable) -> np.ndarray | None:
        name = names.get(id(variable))
        tensor = None if name is None else tensors.get(torch_keys(name)[0])
        if tensor is None:
            return None
        array = tensor.read().astype(variable.dtype, copy=False)
        return array.T if is_transposed(name) else array

    return ValuesFrom(value)
