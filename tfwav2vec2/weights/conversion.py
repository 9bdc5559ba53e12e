"""A model's files from any format that is read to any format that is written, one tensor in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.config import CONFIG_NAME, Wav2Vec2Config
from tfwav2vec2.weights.abstract import abstract_model
from tfwav2vec2.weights.architecture import architecture, model_class
from tfwav2vec2.weights.checkpoint import Checkpoint, LazyTensor, Shape
from tfwav2vec2.weights.companions import write_companions
from tfwav2vec2.weights.destination import KERAS_SUFFIXES, Destination
from tfwav2vec2.weights.formats.keras_writer import common_dtype, write_keras, write_weights
from tfwav2vec2.weights.formats.torch_writer import write_torch
from tfwav2vec2.weights.key_map import is_optional, match, torch_keys
from tfwav2vec2.weights.model_files import open_model_files
from tfwav2vec2.weights.variables import torch_shape
from tfwav2vec2.weights.writers import write_checkpoint

Tensors = Mapping[str, LazyTensor]
Progress = Callable[[int, int], None]

DTYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}

# How many names a message lists before it only counts them.
_NAMES_SHOWN = 20


@dataclass(frozen=True)
class ConvertedTensor:
    """What a conversion wrote under one key."""

    key: str
    shape: Shape
    dtype: str
    bytes: int

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Report:
    """What a conversion read and wrote.

    Attributes:
        source: the checkpoint file that was read.
        destination: the folder or file that was written.
        format: which of :data:`FORMATS` it is in.
        architecture: the class, such as ``Wav2Vec2ForCTC``.
        config: the model's configuration.
        files: the names of the files that were written.
        tensors: in the order of the model.
        initialised: keys of variables that the source lacks and that a Keras file therefore holds as a new model does.
    """

    source: Path
    destination: Path
    format: str
    architecture: str
    config: Wav2Vec2Config
    files: tuple[str, ...]
    tensors: tuple[ConvertedTensor, ...]
    initialised: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many numbers were written."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def bytes(self) -> int:
        """How much room they take."""
        return sum(tensor.bytes for tensor in self.tensors)


def convert(
    source: str | Path,
    destination: str | Path,
    *,
    to: str | None = None,
    config: Wav2Vec2Config | str | Path | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    max_shard_size: int | str = "5GB",
    progress: Progress | None = None,
    **hub: Any,
) -> Report:
    """Write a model's weights in another format, with its configuration and the small files beside it.

    Every tensor keeps its bits, so that a conversion there and back gives the same file again. All or nothing: a
    conversion that fails leaves the destination as it was.

    Args:
        source: a folder, a name on the hub, or one checkpoint file of any kind that
            :func:`~tfwav2vec2.weights.readers.open_checkpoint` reads.
        destination: a folder; for Keras's formats, the name of a file (``.keras``, ``.weights.h5``) writes that alone.
        to: ``"safetensors"`` (what ``from_pretrained`` of this package and of transformers reads), ``"torch"``
            (``pytorch_model.bin``), ``"keras"`` or ``"weights-h5"``; by default what the destination's suffix says, else
            safetensors.
        config: a configuration, or the folder or JSON file of one; needed where the source has none.
        dtype: ``"float32"``, ``"float16"`` or ``"bfloat16"`` for every tensor; by default each keeps its own. Keras's
            formats have one dtype for all, the narrowest that holds every tensor without loss.
        overwrite: whether a destination that is there is replaced. Of a folder the model's files are; others stay.
        max_shard_size: bytes, or text such as ``"5GB"``; larger safetensors are written in several files.
        progress: called after each tensor with the bytes that are done and the bytes in all.
        hub: as in :func:`~tfwav2vec2.weights.files.find_file`.

    Raises:
        ValueError: where a tensor is missing, not expected or of another shape (the message lists them), does not fit
            into ``dtype``, or an argument has no such value.
        OSError: where files are missing, out of reach, damaged or hostile, or the destination is there or cannot be
            written.
    """
    place = Destination.of(destination, to)
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; give one of {', '.join(DTYPES)}")
    place.check_free(source, overwrite)
    with open_model_files(source, config=config, **hub) as (checkpoint, found):
        name = architecture(checkpoint.shapes, found.architectures)
        tensors, absent = _matched(checkpoint, model_class(name), found)
        if dtype is not None:
            tensors = {key: _cast(key, tensor, DTYPES[dtype]) for key, tensor in tensors.items()}
        found.architectures = [name]
        found.dtype = common_dtype(tensors)
        with place.filled() as folder:
            _write(
                folder / place.weights_name, place.format, found, _tracked(tensors, progress), max_shard_size
            )
            if not place.is_file:
                (folder / CONFIG_NAME).write_text(found.to_json_string(), encoding="utf-8")
                given = Path(source).expanduser()
                write_companions(
                    folder, given.parent if given.is_file() else source, checkpoint, found, **hub
                )
            files = tuple(sorted(path.name for path in folder.iterdir()))
        written = tuple(
            ConvertedTensor(key, tensor.shape, tensor.dtype.name, tensor.bytes)
            for key, tensor in tensors.items()
        )
        initialised = absent if place.format in KERAS_SUFFIXES else ()
        return Report(checkpoint.path, place.path, place.format, name, found, files, written, initialised)


def _write(
    path: Path, kind: str, config: Wav2Vec2Config, tensors: Tensors, max_shard_size: int | str
) -> None:
    chosen = model_class(config.architectures[0])
    match kind:
        case "safetensors":
            write_checkpoint(path.parent, tensors, max_shard_size, {})
        case "torch":
            write_torch(path, tensors)
        case "keras":
            write_keras(path, chosen, config, tensors)
        case "weights-h5":
            write_weights(path, chosen, config, tensors)


def _matched(
    checkpoint: Checkpoint, chosen: type[Any], config: Wav2Vec2Config
) -> tuple[dict[str, LazyTensor], tuple[str, ...]]:
    """The tensors of a checkpoint by the keys under which they are written, and the keys that it may lack and does.

    Raises:
        ValueError: where the tensors are not those of the class; the message lists them in one line.
    """
    variables = named_variables(abstract_model(chosen, config))
    found = match(variables, checkpoint.shapes)
    shapes = {name: torch_shape(name, variables[name]) for name in variables}
    problems = {
        "missing": [key for key in found.missing if not is_optional(key)],
        "not expected": found.unexpected,
        "of another shape": [
            f"{key} (file {checkpoint.shapes[key]}, model {shapes[name]})"
            for name, key in found.pairs.items()
            if checkpoint.shapes[key] != shapes[name]
        ],
    }
    if any(problems.values()):
        told = "; ".join(f"{kind}: {_listed(keys)}" for kind, keys in problems.items() if keys)
        raise ValueError(
            f"The tensors of {checkpoint.path} are not those of {chosen.__name__} in its configuration: {told}; check "
            "that the file and its config.json belong together"
        )
    tensors = {torch_keys(name)[0]: checkpoint.tensor(key) for name, key in found.pairs.items()}
    return tensors, tuple(torch_keys(name)[0] for name in variables if name not in found.pairs)


def _listed(keys: list[str]) -> str:
    more = len(keys) - _NAMES_SHOWN
    return ", ".join(keys[:_NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _cast(key: str, tensor: LazyTensor, dtype: np.dtype) -> LazyTensor:
    def read() -> np.ndarray:
        array = tensor.read()
        with np.errstate(over="ignore"):
            cast = array.astype(dtype)
        if np.isinf(cast).any() and not np.isinf(array).any():
            raise ValueError(
                f"{key} holds numbers too large for {dtype.name}; convert to bfloat16 or float32"
            )
        return cast

    return replace(tensor, dtype=dtype, read=read)


def _tracked(tensors: Tensors, progress: Progress | None) -> Tensors:
    """The same tensors, each of which tells when it has been read."""
    if progress is None:
        return tensors
    total, done = sum(tensor.bytes for tensor in tensors.values()), 0

    def telling(tensor: LazyTensor) -> LazyTensor:
        def read() -> np.ndarray:
            nonlocal done
            array = tensor.read()
            done += tensor.bytes
            progress(done, total)
            return array

        return replace(tensor, read=read)

    return {key: telling(tensor) for key, tensor in tensors.items()}
