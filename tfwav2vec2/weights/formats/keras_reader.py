"""Checkpoints of Keras 3, ``.keras`` and ``.weights.h5``, read one tensor at a time.

A ``.keras`` file is a zip archive of ``config.json``, which names the class and its configuration, and
``model.weights.h5``; neither is handed to Keras. Which array belongs to which variable is found out by letting Keras
save a model of that class whose variables hold nothing but their number.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.weights.abstract import ValuesFrom, abstract_model
from tfwav2vec2.weights.architecture import BARE, HEADS, model_class
from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError, damage_reported
from tfwav2vec2.weights.described_size import check_described_size
from tfwav2vec2.weights.files import MAX_JSON_BYTES
from tfwav2vec2.weights.formats.foreign_file import StoredArray
from tfwav2vec2.weights.formats.hdf5 import Hdf5File
from tfwav2vec2.weights.formats.keras_archive import CONFIG_ENTRY, WEIGHTS_ENTRY, WEIGHTS_SUFFIX, Part, parts
from tfwav2vec2.weights.key_map import is_transposed, torch_keys

# Bytes of a number in float16 or bfloat16.
_SMALLEST_NUMBER = 2


def open_keras(path: Path) -> KerasCheckpoint:
    """Open a ``.keras`` file. Its configuration is data: no class but this package's is made from it.

    Raises:
        CheckpointError: where it is damaged, compressed, or a model of another package.
    """
    with damage_reported(path), path.open("rb") as file:
        found = parts(file)
        start, size = found[CONFIG_ENTRY]
        if size > MAX_JSON_BYTES:
            raise ValueError(f"its {CONFIG_ENTRY} has more than {MAX_JSON_BYTES} bytes")
        file.seek(start)
        name, fields = _described_model(path, json.loads(file.read(size)))
        return KerasCheckpoint(path, found[WEIGHTS_ENTRY], name, fields)


def open_weights(path: Path, config: Wav2Vec2Config | None) -> KerasCheckpoint:
    """Open a ``.weights.h5`` file, of the class that ``config.architectures`` names or that has the file's arrays.

    Raises:
        CheckpointError: where it is damaged, or there is no configuration.
        ValueError: where the configuration and the file do not belong together.
    """
    if config is None:
        raise CheckpointError(
            f"{path} holds weights alone; give the configuration of the model as config, or put its config.json beside it"
        )
    fields = config.to_dict()
    part = (0, path.stat().st_size)
    declared = [name for name in (config.architectures or []) if name in (BARE, *HEADS)]
    for name in dict.fromkeys([*declared, *HEADS, BARE]):
        checkpoint = KerasCheckpoint(path, part, name, fields)
        if name in declared or checkpoint.fits:
            return checkpoint
        checkpoint.close()
    raise ValueError(
        f"{path} holds the weights of no class of this package in this configuration; check that the file and its "
        "config.json belong together"
    )


def places(model: Any) -> dict[str, str | None]:
    """What lies at each place in the HDF5 file that Keras makes of a model: a variable's name, or None for other state."""
    names = list(named_variables(model))
    numbers = {id(variable): number for number, variable in enumerate(named_variables(model).values())}
    found: dict[str, str | None] = {}

    def note(place: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            number = int(node[()])
            found[place] = names[number] if number >= 0 else None

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"numbers{WEIGHTS_SUFFIX}"
        with ValuesFrom(lambda variable: np.array(numbers.get(id(variable), -1))):
            model.save_weights(file)
        with h5py.File(file) as opened:
            opened.visititems(note)
    return found


class KerasCheckpoint(Checkpoint):
    """The arrays of a model's HDF5 file, under torch's keys and in torch's layout.

    Attributes:
        fits: whether the file holds each of the class's variables and nothing beside them.
    """

    def __init__(self, path: Path, part: tuple[int, int], architecture: str, fields: dict[str, Any]) -> None:
        super().__init__(path)
        self.config_fields = {**fields, "architectures": [architecture]}
        self._start, size = part
        config = Wav2Vec2Config.from_dict(fields)
        check_described_size(config, size // _SMALLEST_NUMBER, path)
        known = places(abstract_model(model_class(architecture), config))
        self._file = path.open("rb")
        try:
            with damage_reported(path):
                # What lies apart from the weights is the state of an optimizer and the like.
                roots = {place.partition("/")[0] for place in known}
                arrays = _arrays(Part(self._file, self._start, size), path, roots)
        except BaseException:
            self._file.close()
            raise
        names = {place: name for place, name in known.items() if name is not None}
        self._tensors = {
            torch_keys(name)[0]: (arrays[place], is_transposed(name))
            for place, name in names.items()
            if place in arrays
        }
        strangers = {place: (array, False) for place, array in arrays.items() if place not in known}
        self.fits = not strangers and len(self._tensors) == len(names)
        # What lies among the weights and is none goes by its place, which no model expects.
        self._tensors |= strangers
        self.shapes = {
            key: array.shape[::-1] if turned else array.shape
            for key, (array, turned) in self._tensors.items()
        }

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key."""
        array, turned = self._tensors[key]
        with damage_reported(self.path):
            self._file.seek(self._start + array.starts[0])
            content = np.fromfile(self._file, array.dtype, math.prod(array.shape)).reshape(array.shape)
        return np.asarray(content.T if turned else content, order="C")

    def dtype(self, key: str) -> np.dtype:
        """The dtype of the tensor with this key."""
        return self._tensors[key][0].dtype

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _described_model(path: Path, described: Any) -> tuple[str, dict[str, Any]]:
    """The class and the configuration's fields from a ``config.json`` of Keras's."""
    match described:
        case {"class_name": str(name), "config": {"config": dict(fields)}} if name.startswith("TFWav2Vec2"):
            return model_class(name).__name__.removeprefix("TF"), fields
    name = described.get("class_name") if isinstance(described, dict) else None
    raise CheckpointError(
        f"{path} holds a model of the class {str(name)[:100]!r}, which is none of this package's; open it with "
        "keras.saving.load_model"
    )


def _arrays(file: Part, path: Path, roots: Collection[str]) -> dict[str, StoredArray]:
    """The arrays of an HDF5 file that lie in certain groups, by their place."""
    hdf5 = Hdf5File(file, path)
    return {
        "/".join(names): hdf5.array(names, messages)
        for names, messages in hdf5.objects()
        if names[0] in roots
    }
