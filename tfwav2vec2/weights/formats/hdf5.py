"""The part of the HDF5 format in which Keras 2 wrote checkpoints: groups of groups, and arrays that lie as they are.

The format's own library follows a damaged or hostile file wherever it leads: a group whose index leads back to itself fills
the memory before the library gives up, and links, filters, references and virtual arrays reach out of the file. So the
file is taken apart here: every structure has to lie inside the file, is visited once, and counts against a limit, and
whatever a checkpoint does not need is refused. The names and numbers are those of the HDF5 File Format Specification
(version 3.0); the files have version 0 of the superblock and version 1 of everything else.
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import ml_dtypes
import numpy as np

from tfwav2vec2.weights.checkpoint import CheckpointError
from tfwav2vec2.weights.formats.foreign_file import Names, StoredArray

MAGIC = b"\x89HDF\r\n\x1a\n"
# The largest published wav2vec 2.0 has about eight hundred tensors in as many groups; each takes some twenty steps.
MAX_STEPS = 400_000
MAX_DEPTH = 32
MAX_NAME_BYTES = 256
# Keras 2 notes the names of all variables in its headers, in pieces of 64 kB.
MAX_STRUCTURE_BYTES = 16 * 2**20

_UNDEFINED = 2**64 - 1
# Versions of the superblock and of three other parts, sizes of an offset and of a length, sizes of the groups' nodes,
# flags; the file's start, its list of free space, its end, its driver; the root's name, header and kind.
_SUPERBLOCK = struct.Struct("<8s4sxBB1x2HI4QQQI20x")
_OLDEST = bytes(4)
_HEADER = struct.Struct("<BxHIIxxxx")
_MESSAGE = struct.Struct("<HHB3x")
_TREE = struct.Struct("<4sBBH2Q")
_NODE = struct.Struct("<4sBxH")
_ENTRY = struct.Struct("<QQI20x")
_HEAP = struct.Struct("<4sB3x3Q")
_PAIR = struct.Struct("<QQ")
_SOFT_LINK = 2
_SHARED = 0x02

# Kinds of message in an object's header.
_DATASPACE, _DATATYPE, _LAYOUT, _CONTINUATION, _SYMBOL_TABLE = 0x01, 0x03, 0x08, 0x10, 0x11
_REFUSED = {
    0x02: "a group that may hold links to other files",
    0x06: "a link",
    0x07: "an array whose numbers lie in other files",
    0x0B: "a compressed array",
}
_READ = (_DATASPACE, _DATATYPE, _LAYOUT, _SYMBOL_TABLE)

Messages = dict[int, bytes]


def _float_type(sign: int, exponent: tuple[int, int], bias: int) -> bytes:
    """How a header describes a little-endian IEEE number: bits of the sign, the exponent and the mantissa."""
    fields = (0x11, 0x20, sign, 0, (sign + 1) // 8, 0, sign + 1, *exponent, 0, exponent[0], bias)
    return struct.pack("<4BIHH4BI", *fields)


_DTYPES = {
    _float_type(15, (10, 5), 15): np.dtype("<f2"),
    _float_type(31, (23, 8), 127): np.dtype("<f4"),
    _float_type(63, (52, 11), 1023): np.dtype("<f8"),
    # Pairs of bytes without a meaning, which is how Keras 3 keeps bfloat16.
    struct.pack("<4BI", 0x15, 0, 0, 0, 2): np.dtype(ml_dtypes.bfloat16),
}


class Hdf5File:
    """The groups and arrays of an open file, which stays the caller's.

    Every method raises ``CheckpointError`` or, for damage that ``damage_reported`` is to put in words, ``ValueError``.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = file.seek(0, io.SEEK_END)
        self._visited: set[int] = set()
        self._steps = 0

    def objects(self) -> Iterator[tuple[Names, Messages]]:
        """Every object but the groups: the names that lead to it, and the messages of its header."""
        waiting: list[tuple[Names, int]] = [((), self._root())]
        while waiting:
            names, address = waiting.pop()
            messages = self._messages(address)
            if _SYMBOL_TABLE in messages:
                if len(names) == MAX_DEPTH:
                    raise ValueError("its groups lie too deep in one another")
                waiting += [((*names, name), child) for name, child in self._members(messages[_SYMBOL_TABLE])]
            elif names:
                yield names, messages
            else:
                raise ValueError("it has no groups")

    def array(self, names: Names, messages: Messages) -> StoredArray:
        """The array that an object's messages describe, all of whose numbers lie in the file."""
        name = "/".join(names)[:100]
        if any(kind not in messages for kind in (_DATASPACE, _DATATYPE, _LAYOUT)):
            raise ValueError(f"{name!r} is neither a group nor an array")
        dtype = _DTYPES.get(messages[_DATATYPE][:20])
        if dtype is None:
            raise CheckpointError(
                f"{self._path} holds under {name!r} what is no array of float16, float32 or float64; save the model again"
            )
        version, kind = messages[_LAYOUT][:2]
        if (version, kind) != (3, 1):
            raise CheckpointError(
                f"{self._path} holds {name!r} in chunks or in a place apart, where the reference's save_pretrained writes "
                "it in one piece; save the model again"
            )
        shape = _shape(messages[_DATASPACE])
        start, size = _PAIR.unpack_from(messages[_LAYOUT], 2)
        if start == _UNDEFINED:
            raise ValueError(f"{name!r} has a shape but no numbers")
        if size != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name!r} has another shape than its numbers")
        if start + size > self._size:
            raise ValueError(f"{name!r} reaches past the end of the file")
        return StoredArray(dtype, shape, (start,), (size,))

    def _root(self) -> int:
        """The address of the outermost group's header."""
        fields = _SUPERBLOCK.unpack(self._bytes(0, _SUPERBLOCK.size))
        magic, versions, offset_size, length_size = fields[:4]
        base, _, end, driver = fields[7:11]
        if magic != MAGIC:
            raise ValueError("it does not start as an HDF5 file does")
        if versions != _OLDEST or (offset_size, length_size) != (8, 8) or base or driver != _UNDEFINED:
            raise self._another_version()
        if end > self._size:
            raise ValueError(f"it has {self._size} of {end} bytes")
        return fields[12]

    def _another_version(self) -> CheckpointError:
        return CheckpointError(
            f"{self._path} is an HDF5 file in another version of the format than Keras 2 wrote; copy its contents into "
            "an h5py.File(..., libver='earliest')"
        )

    def _messages(self, address: int) -> Messages:
        """What the header of an object says, as far as it matters here."""
        self._visit(address)
        header = self._bytes(address, _HEADER.size)
        if header.startswith(b"OHDR"):
            raise self._another_version()
        version, count, _, size = _HEADER.unpack(header)
        if version != 1:
            raise ValueError("an object has a header of an unknown version")
        blocks = [(address + _HEADER.size, size)]
        messages: Messages = {}
        # The list grows while it is gone through: a header goes on elsewhere where a message says so.
        for start, length in blocks:
            block = self._bytes(start, length)
            position = 0
            while position < length and count:
                self._step()
                kind, size, flags = _MESSAGE.unpack_from(block, position)
                position += _MESSAGE.size
                content = block[position : position + size]
                position += size
                count -= 1
                if len(content) != size:
                    raise ValueError("a header ends inside a message")
                if kind in _REFUSED:
                    raise CheckpointError(
                        f"{self._path} holds {_REFUSED[kind]}, which the reference's tf_model.h5 never does; save the "
                        "model again"
                    )
                if kind == _CONTINUATION:
                    blocks.append(_PAIR.unpack_from(content))
                    self._visit(blocks[-1][0])
                elif kind in _READ:
                    if flags & _SHARED or kind in messages:
                        raise ValueError("a header's message is elsewhere or there twice")
                    messages[kind] = content
        return messages

    def _members(self, table: bytes) -> Iterator[tuple[str, int]]:
        """The names in a group, and the addresses of their headers."""
        tree, heap = _PAIR.unpack_from(table)
        magic, version, size, _, names = _HEAP.unpack(self._bytes(heap, _HEAP.size))
        if magic != b"HEAP" or version != 0:
            raise ValueError("a group has no names")
        nodes = [tree]
        while nodes:
            address = nodes.pop()
            self._visit(address)
            magic = self._bytes(address, 4)
            if magic == b"TREE":
                nodes += self._children(address)
            elif magic == b"SNOD":
                for name, header in self._entries(address):
                    if name >= size:
                        raise ValueError("a name lies outside of its group's names")
                    yield self._name(names + name, size - name), header
            else:
                raise ValueError("a group has no list of its members")

    def _children(self, address: int) -> list[int]:
        """The nodes below a node of a group's tree."""
        _, kind, _, count, _, _ = _TREE.unpack(self._bytes(address, _TREE.size))
        if kind != 0:
            raise ValueError("a group's tree is not one of names")
        pairs = _PAIR.iter_unpack(self._bytes(address + _TREE.size, count * _PAIR.size))
        return [child for _, child in pairs]

    def _entries(self, address: int) -> Iterator[tuple[int, int]]:
        """A list of members: where each one's name lies among the group's names, and where its header lies."""
        _, version, count = _NODE.unpack(self._bytes(address, _NODE.size))
        if version != 1:
            raise ValueError("a list of members has an unknown version")
        for name, header, kind in _ENTRY.iter_unpack(self._bytes(address + _NODE.size, count * _ENTRY.size)):
            self._step()
            if kind == _SOFT_LINK:
                raise CheckpointError(
                    f"{self._path} holds a link, which the reference's tf_model.h5 never does; save the model again"
                )
            yield name, header

    def _name(self, start: int, room: int) -> str:
        room = max(0, min(room, MAX_NAME_BYTES, self._size - start))
        name, end, _ = self._bytes(start, room).partition(b"\0")
        if not end or not name or b"/" in name:
            raise ValueError("a name is missing or too long")
        return name.decode()

    def _visit(self, address: int) -> None:
        """Come to a structure, which a sound file does but once."""
        self._step()
        if address in self._visited:
            raise ValueError("two of its structures lie in one place")
        self._visited.add(address)

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise ValueError("it holds more groups than any checkpoint")

    def _bytes(self, start: int, count: int) -> bytes:
        if start + count > self._size:
            raise ValueError("a structure reaches past the end of the file")
        if count > MAX_STRUCTURE_BYTES:
            raise ValueError("a structure is larger than any of a checkpoint's")
        self._file.seek(start)
        return self._file.read(count)


def _shape(dataspace: bytes) -> tuple[int, ...]:
    version, rank = dataspace[:2]
    if version != 1:
        raise ValueError("an array's shape has an unknown version")
    return struct.unpack_from(f"<{rank}Q", dataspace, 8)
