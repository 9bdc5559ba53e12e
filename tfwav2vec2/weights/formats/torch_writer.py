"""Write a state dict as ``torch.save`` does, without torch: ``torch.load(weights_only=True)`` reads it."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tfwav2vec2.weights.checkpoint import LazyTensor
from tfwav2vec2.weights.files import write_atomically

_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
_ROOT = "archive"
_VERSION = b"3\n"
# Where mapped into memory, numbers must lie where the processor can read them; torch aligns them so, with the same label.
_ALIGNMENT = 64
_PADDING_LABEL = b"FB"
_PADDING_HEADER = 4
# Bytes of an entry's header without its name and extra fields, and of the extra field for sizes of eight bytes, which
# entries of a certain size get.
_HEADER = 30
_LARGE_EXTRA = 20
_LARGE = 2**30
# The same for the same tensors, whenever they are written.
_DATE = (1980, 1, 1, 0, 0, 0)

_PROTOCOL = b"\x80\x02"
_EMPTY_ORDERED_DICT = b"ccollections\nOrderedDict\n)R"
_STOP = b"."


def write_torch(path: str | Path, tensors: Mapping[str, LazyTensor]) -> None:
    """Write tensors by their torch keys to a ``.bin`` or ``.pt`` file, one at a time; an old file is replaced at the end.

    Args:
        path: the file.
        tensors: the tensors, in torch's layout.

    Raises:
        OSError: where the file cannot be written; what was there is untouched.
        ValueError: for a dtype that torch has no storage for, or a tensor that is not as announced.
    """
    with (
        write_atomically(path) as temporary,
        temporary.open("wb") as file,
        zipfile.ZipFile(file, "w") as archive,
    ):
        _write(file, archive, "data.pkl", _pickled(tensors))
        _write(file, archive, "byteorder", b"little")
        for index, (key, tensor) in enumerate(tensors.items()):
            _write(file, archive, f"data/{index}", _numbers_of(key, tensor))
        _write(file, archive, "version", _VERSION)


def _numbers_of(key: str, tensor: LazyTensor) -> memoryview:
    array = tensor.read()
    if array.shape != tensor.shape or array.dtype != tensor.dtype:
        raise ValueError(
            f"{key} was announced as {tensor.dtype} {tensor.shape} and is {array.dtype} {array.shape}"
        )
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data


def _write(file: BinaryIO, archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    """One entry, whose bytes begin at a multiple of the alignment."""
    entry = zipfile.ZipInfo(f"{_ROOT}/{name}", _DATE)
    entry.file_size = len(content)
    large = len(content) >= _LARGE
    header = _HEADER + len(entry.filename) + (_LARGE_EXTRA if large else 0) + _PADDING_HEADER
    padding = -(file.tell() + header) % _ALIGNMENT
    entry.extra = struct.pack("<2sH", _PADDING_LABEL, padding) + bytes(padding)
    with archive.open(entry, "w", force_zip64=large) as stream:
        stream.write(content)


def _pickled(tensors: Mapping[str, LazyTensor]) -> bytes:
    """The pickle of an ``OrderedDict`` of tensors, each in a storage of its own."""
    items = b"".join(
        _text(key) + _tensor(key, str(index), tensor) for index, (key, tensor) in enumerate(tensors.items())
    )
    return _PROTOCOL + _EMPTY_ORDERED_DICT + b"(" + items + b"u" + _STOP


def _tensor(key: str, storage: str, tensor: LazyTensor) -> bytes:
    """A call of ``torch._utils._rebuild_tensor_v2`` with storage, offset, sizes, strides, requires_grad and hooks."""
    name = tensor.dtype.name
    if name not in _STORAGES:
        raise ValueError(f"{key} is of dtype {name}, which torch's files do not hold; convert it to float32")
    kind = f"ctorch\n{_STORAGES[name]}\n".encode()
    identity = _text("storage") + kind + _text(storage) + _text("cpu") + _number(tensor.elements)
    strides = [1]
    for size in tensor.shape[:0:-1]:
        strides.append(strides[-1] * size)
    place = _number(0) + _sizes(tensor.shape) + _sizes(strides[: len(tensor.shape)][::-1])
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(("
        + identity
        + b"tQ"
        + place
        + b"\x89"
        + _EMPTY_ORDERED_DICT
        + b"tR"
    )


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _number(value: int) -> bytes:
    return pickle.dumps(value, protocol=2)[len(_PROTOCOL) : -len(_STOP)]


def _sizes(values: list[int] | tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_number, values)) + b"t"
