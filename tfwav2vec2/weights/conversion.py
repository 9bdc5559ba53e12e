"""A model's files from any format that is read to any format that is written, one tensor in memory at a time."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
from tfwav2vec2.weights.companions import COMPANIONS, write_companions
from tfwav2vec2.weights.keras_archive import KERAS_SUFFIX, WEIGHTS_SUFFIX
from tfwav2vec2.weights.keras_writer import common_dtype, write_keras, write_weights
from tfwav2vec2.weights.key_map import is_optional, match, torch_keys
from tfwav2vec2.weights.model_files import open_model_files
from tfwav2vec2.weights.torch_writer import write_torch
from tfwav2vec2.weights.variables import torch_shape
from tfwav2vec2.weights.writers import write_checkpoint

Tensors = Mapping[str, LazyTensor]
Progress = Callable[[int, int], None]

# What is written, and the suffix by which a file of that kind can stand alone.
FORMATS = {"safetensors": None, "torch": None, "keras": KERAS_SUFFIX, "weights-h5": WEIGHTS_SUFFIX}
DTYPES = {
    "float32": np.dtype(np.float32),
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}

# Names that look like a file's, for which a folder would be made.
_FILE_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".json")
_WEIGHT_FILE = re.compile(
    r"((model|pytorch_model|tf_model|flax_model)(-\d{5}-of-\d{5})?"
    r"\.(safetensors|bin|h5|msgpack|keras|weights\.h5)(\.index\.json)?)"
)
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
    destination = Path(destination).expanduser()
    to = _format(destination, to)
    if dtype is not None and dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}; give one of {', '.join(DTYPES)}")
    alone = destination.name.endswith(FORMATS[to] or "/")
    _check_free(source, destination, alone, overwrite)
    with open_model_files(source, config=config, **hub) as (checkpoint, found):
        name = architecture(checkpoint.shapes, found.architectures)
        chosen = model_class(name)
        tensors, absent = _matched(checkpoint, chosen, found)
        if dtype is not None:
            tensors = {key: _cast(key, tensor, DTYPES[dtype]) for key, tensor in tensors.items()}
        found.architectures = [name]
        found.dtype = common_dtype(tensors)
        with _staging(destination, alone) as folder:
            tracked = _tracked(tensors, progress)
            if to == "safetensors":
                write_checkpoint(folder, tracked, max_shard_size, {})
            elif to == "torch":
                write_torch(folder / "pytorch_model.bin", tracked)
            else:
                write = write_keras if to == "keras" else write_weights
                write(folder / (destination.name if alone else f"model{FORMATS[to]}"), chosen, found, tracked)
            if not alone:
                (folder / CONFIG_NAME).write_text(found.to_json_string(), encoding="utf-8")
                write_companions(folder, _folder(source), checkpoint, found, **hub)
            files = tuple(sorted(path.name for path in folder.iterdir()))
        return Report(
            checkpoint.path,
            destination,
            to,
            name,
            found,
            files,
            tuple(
                ConvertedTensor(key, tensor.shape, tensor.dtype.name, tensor.bytes)
                for key, tensor in tensors.items()
            ),
            absent if FORMATS[to] else (),
        )


def _format(destination: Path, to: str | None) -> str:
    if to is not None and to not in FORMATS:
        raise ValueError(f"to is {to!r}; give one of {', '.join(FORMATS)}")
    by_suffix = next(
        (name for name, suffix in FORMATS.items() if suffix and destination.name.endswith(suffix)), None
    )
    if by_suffix is None and destination.suffix in _FILE_SUFFIXES:
        raise ValueError(
            f"{destination} looks like the name of a file; give the name of a folder, which also takes the configuration"
        )
    if to is not None and by_suffix not in (None, to):
        raise ValueError(
            f"{destination} has the suffix of {by_suffix}, and to is {to!r}; change one of the two"
        )
    return to or by_suffix or "safetensors"


def _folder(source: str | Path) -> str | Path:
    file = Path(source).expanduser()
    return file.parent if file.is_file() else source


def _check_free(source: str | Path, destination: Path, alone: bool, overwrite: bool) -> None:
    read = Path(source).expanduser()
    if destination.exists() and destination.resolve() in (
        read.resolve(),
        *([] if alone else [Path(_folder(source)).expanduser().resolve()]),
    ):
        raise FileExistsError(f"{destination} is what is being converted; give another destination")
    if not alone and destination.exists() and not destination.is_dir():
        raise NotADirectoryError(f"{destination} is a file; give the name of a folder")
    if alone and destination.is_dir():
        raise IsADirectoryError(
            f"{destination} is a folder; give the name of a file, or a folder without a suffix"
        )
    if not overwrite and destination.exists() and (alone or any(destination.iterdir())):
        raise FileExistsError(f"{destination} exists; give another destination, or overwrite to replace it")


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


@contextmanager
def _staging(destination: Path, alone: bool) -> Iterator[Path]:
    """A folder beside the destination to write into, whose content takes its place once all went well."""
    folder = destination.parent / f".{uuid.uuid4().hex}.tmp"
    folder.mkdir(parents=True)
    try:
        yield folder
        if alone:
            (folder / destination.name).replace(destination)
        elif not destination.exists():
            folder.rename(destination)
        else:
            written = {path.name for path in folder.iterdir()}
            for path in folder.iterdir():
                path.replace(destination / path.name)
            for path in destination.iterdir():
                of_model = _WEIGHT_FILE.fullmatch(path.name) or path.name in COMPANIONS
                if of_model and path.name not in written:
                    path.unlink()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
