"""Checkpoints that the reference's Flax classes wrote (``flax_model.msgpack``), read without Flax.

The file is one MessagePack value (https://github.com/msgpack/msgpack/blob/master/spec.md): maps of maps, whose leaves
are arrays. Flax writes an array as the extension type 1, which holds, as MessagePack again, the shape, the dtype's name
and the numbers; where these exceed a gigabyte, as a map of flat arrays to be joined.

The few kinds of value that occur are taken apart here, and the numbers are stepped over: a general parser would hold
each array while it looks for the next, where all that is needed is to know where they lie.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from tfwav2vec2.weights.checkpoint import CheckpointError
from tfwav2vec2.weights.formats.foreign_file import (
    WEIGHT_NORM_DIRECTION,
    WEIGHT_NORM_SIZE,
    ForeignCheckpoint,
    Names,
    StoredArray,
    Word,
    translate,
)

# The largest published wav2vec 2.0 has about eight hundred tensors, nine levels deep.
MAX_VALUES = 40_000
MAX_DEPTH = 32
MAX_NAME_BYTES = 256
MAX_AXES = 32

TABLE = {
    "kernel": Word("weight", reversed=True),
    "scale": Word("weight"),
    "weight_g": Word(WEIGHT_NORM_SIZE),
    "weight_v": Word(WEIGHT_NORM_DIRECTION),
}

_FLOATS = (np.float64, np.float32, np.float16, ml_dtypes.bfloat16)
_WHOLE_NUMBERS = tuple(np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64))
_DTYPES = {dtype.name: dtype for dtype in map(np.dtype, (*_FLOATS, *_WHOLE_NUMBERS))}

_ARRAY_TYPE = 1
_CHUNKED = "__msgpack_chunked_array__"

# Values whose size, or number of entries, follows in so many bytes.
_SIZED = {
    **{0xC4 + index: ("bytes", 1 << index) for index in range(3)},
    **{0xC7 + index: ("extension", 1 << index) for index in range(3)},
    **{0xCC + index: ("number", 1 << index) for index in range(4)},
    **{0xD9 + index: ("text", 1 << index) for index in range(3)},
    **{0xDC + index: ("list", 2 << index) for index in range(2)},
    **{0xDE + index: ("map", 2 << index) for index in range(2)},
}
# Values whose first byte, less the number given here, is the size, or the value itself.
_SHORT = (
    (range(0x80), "number", 0),
    (range(0x80, 0x90), "map", 0x80),
    (range(0x90, 0xA0), "list", 0x90),
    (range(0xA0, 0xC0), "text", 0xA0),
)
_SHORT_EXTENSIONS = {0xD4 + index: 1 << index for index in range(5)}
_TRUE = 0xC3

# A map with at least one entry, whose first key is a name.
_START = re.compile(
    rb"(?:[\x81-\x8f]|\xde..|\xdf....)(?:[\xa1-\xbf]|\xd9.|\xda..|\xdb....)[0-9A-Za-z_]", re.DOTALL
)


def is_flax(start: bytes) -> bool:
    """Whether a file that starts with these bytes (16 or more) is a MessagePack map of names."""
    return _START.match(start) is not None


def torch_key(name: str) -> str:
    """The torch key of a tensor that the index of a checkpoint in several files names."""
    return translate(name.split("/"), TABLE)[0]


class FlaxCheckpoint(ForeignCheckpoint):
    """A ``flax_model.msgpack`` file, or one of several that make up a checkpoint."""

    table = TABLE

    def _scan(self) -> Iterator[tuple[Names, StoredArray]]:
        return _leaves((), _Scanner(self._file, self.path).scan())


class _Scanner:
    """Goes through a file once and notes where the arrays lie."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._end = path.stat().st_size
        self._values = 0

    def scan(self) -> dict[str, Any]:
        """The file's one value: maps of maps of :class:`StoredArray`, numbers and True."""
        self._file.seek(0)
        content = self._value(MAX_DEPTH)
        if not isinstance(content, dict):
            raise ValueError("it is not a map of names")
        if self._file.tell() != self._end:
            raise ValueError("the file goes on after its end")
        return content

    def _value(self, depth: int) -> Any:
        self._values += 1
        if not depth or self._values > MAX_VALUES:
            raise ValueError("it holds more values than any checkpoint")
        kind, size = self._head()
        if kind == "map":
            content: dict[str, Any] = {}
            # A map may claim billions of entries; the file ends before.
            for _ in range(size):
                name = self._text()
                if name in content:
                    raise ValueError(f"it holds {name!r} twice")
                content[name] = self._value(depth - 1)
            return content
        if kind == "extension":
            return self._array(size)
        if kind in ("number", "true"):
            return size
        raise ValueError(f"it holds a {kind} where an array was expected")

    def _array(self, size: int) -> StoredArray:
        (type_code,) = self._bytes(1)
        end = self._file.tell() + size
        if end > self._end:
            raise ValueError("the file ends inside a tensor")
        if type_code != _ARRAY_TYPE:
            raise CheckpointError(
                f"{self._path} holds a MessagePack extension of type {type_code}, which is no array of Flax's; save the "
                "model's parameters alone"
            )
        if self._expect("list", MAX_AXES) != 3:
            raise ValueError("an array is not made of a shape, a dtype and numbers")
        shape = tuple(self._expect("number") for _ in range(self._expect("list", MAX_AXES)))
        name = self._text()
        if name not in _DTYPES:
            raise CheckpointError(
                f"{self._path} holds a tensor as {name!r}; save the model in float32, float16 or bfloat16"
            )
        stored = self._expect("bytes")
        start = self._file.tell()
        if start + stored != end or stored != math.prod(shape) * _DTYPES[name].itemsize:
            raise ValueError("a tensor's size is not that of its numbers")
        self._file.seek(end)
        return StoredArray(_DTYPES[name], shape, (start,), (stored,))

    def _head(self) -> tuple[str, int]:
        """The kind of the next value, and its size, its number of entries, or itself."""
        (code,) = self._bytes(1)
        for codes, kind, less in _SHORT:
            if code in codes:
                return kind, code - less
        if code in _SHORT_EXTENSIONS:
            return "extension", _SHORT_EXTENSIONS[code]
        if code in _SIZED:
            kind, width = _SIZED[code]
            return kind, int.from_bytes(self._bytes(width))
        if code == _TRUE:
            return "true", True
        raise ValueError(f"it holds a value of the kind 0x{code:02x} where an array was expected")

    def _expect(self, wanted: str, most: int | None = None) -> int:
        kind, size = self._head()
        if kind != wanted or (most is not None and size > most):
            raise ValueError(f"it holds a {kind} of {size} where a {wanted} was expected")
        return size

    def _text(self) -> str:
        return self._bytes(self._expect("text", MAX_NAME_BYTES)).decode()

    def _bytes(self, count: int) -> bytes:
        content = self._file.read(count)
        if len(content) != count:
            raise ValueError("the file ends too early")
        return content


def _leaves(above: Names, content: dict[str, Any]) -> Iterator[tuple[Names, StoredArray]]:
    """Every array with the names that lead to it."""
    for name, value in content.items():
        names = (*above, name)
        if isinstance(value, dict):
            if _CHUNKED in value:
                yield names, _joined(value)
            else:
                yield from _leaves(names, value)
        elif isinstance(value, StoredArray):
            yield names, value
        else:
            raise ValueError(f"it holds under {'/'.join(names)[:100]!r} a number where an array was expected")


def _joined(content: dict[str, Any]) -> StoredArray:
    """The array that was written in chunks."""
    shape, chunks = _listed(content["shape"], int), _listed(content["chunks"], StoredArray)
    dtypes = {chunk.dtype for chunk in chunks}
    starts = tuple(start for chunk in chunks for start in chunk.starts)
    sizes = tuple(size for chunk in chunks for size in chunk.sizes)
    if len(dtypes) != 1 or sum(sizes) != math.prod(shape) * chunks[0].dtype.itemsize:
        raise ValueError("the chunks of a tensor do not make it up")
    return StoredArray(chunks[0].dtype, shape, starts, sizes)


def _listed(content: Any, kind: type) -> tuple[Any, ...]:
    """A tuple that was written as a map from "0", "1", ... on."""
    values = tuple(content[str(index)] for index in range(len(content)))
    if not all(isinstance(value, kind) for value in values):
        raise ValueError("a tensor in chunks is not made up of a shape and arrays")
    return values
