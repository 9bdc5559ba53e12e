"""Checkpoints that ``torch.save`` wrote (``.bin``, ``.pt``), read without torch.

Since version 1.6 torch writes a zip archive: ``data.pkl`` describes the tensors, ``data/0``, ``data/1``, ... hold the
numbers, uncompressed. Before, it wrote a row of pickles and then the numbers, one storage after the other.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError, damage_reported
from tfwav2vec2.weights.formats.stored_zip import ZIP_MAGIC, locate
from tfwav2vec2.weights.formats.torch_pickle import MAX_PICKLE_BYTES, Pickled, UnsafePickleError, read_pickle
from tfwav2vec2.weights.formats.torch_tensors import StoredTensor

# The pickle of the number that opens every file in the old format.
LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_VERSION = 1001


@dataclass(frozen=True)
class _Block:
    """Where a storage lies in the file, in bytes; ``checksum`` is None where none was written."""

    start: int
    size: int
    checksum: int | None = None


class TorchCheckpoint(Checkpoint):
    """A state dict in a file that ``torch.save`` wrote, alone or as fairseq keeps it.

    Attributes:
        training: what a fairseq file holds beside the state dict, as inert data; None where the file is no such file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path.open("rb")
        self._size = path.stat().st_size
        self._cached: tuple[_Block, np.ndarray] | None = None
        try:
            with damage_reported(path):
                zipped = self._file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
                self._file.seek(0)
                pickled, self._blocks = self._open_zip() if zipped else self._open_legacy()
                state, self.training = self._parts(pickled)
                self._tensors = self._state_dict(state)
        except BaseException:
            self._file.close()
            raise
        self.shapes = {key: tensor.shape for key, tensor in self._tensors.items()}

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key."""
        tensor = self._tensors[key]
        with damage_reported(self.path):
            view = np.ndarray(
                tensor.shape,
                tensor.dtype,
                buffer=self._storage(self._blocks[tensor.storage.key]),
                offset=tensor.offset * tensor.dtype.itemsize,
                strides=[stride * tensor.dtype.itemsize for stride in tensor.strides],
            )
        # Two tensors may share a storage; two variables must not.
        return view.copy()

    def dtype(self, key: str) -> np.dtype:
        """The dtype of the tensor with this key."""
        return self._tensors[key].dtype

    def close(self) -> None:
        """Close the file."""
        self._cached = None
        self._file.close()

    def _storage(self, block: _Block) -> np.ndarray:
        """The bytes of a storage. The last one is kept, because neighbours may be views of the same storage."""
        if self._cached is None or self._cached[0] != block:
            self._cached = None
            self._file.seek(block.start)
            content = np.fromfile(self._file, np.uint8, block.size)
            if content.size != block.size:
                raise ValueError("the file ends inside a tensor")
            if block.checksum is not None and zlib.crc32(content.data) != block.checksum:
                raise ValueError("a tensor does not match its checksum")
            self._cached = (block, content)
        return self._cached[1]

    def _parts(self, pickled: Pickled) -> tuple[Any, dict[Any, Any] | None]:
        """The state dict, and what fairseq keeps beside it. Traces of other libraries are for fairseq's files alone."""
        content = pickled.content
        described = isinstance(content, dict) and not {"args", "cfg"}.isdisjoint(content)
        if described and isinstance(content.get("model"), dict):
            return content["model"], {name: value for name, value in content.items() if name != "model"}
        if pickled.inert is not None:
            raise UnsafePickleError(self.path, f"asks for {pickled.inert!r}")
        return content, None

    def _state_dict(self, content: Any) -> dict[str, StoredTensor]:
        """Check that the pickle held tensors by name and nothing else, and that each lies inside its storage."""
        if not isinstance(content, dict):
            raise CheckpointError(f"{self.path} does not hold a state dict; save model.state_dict()")
        for key, tensor in content.items():
            if not isinstance(tensor, StoredTensor) or not isinstance(key, str):
                raise CheckpointError(
                    f"{self.path} holds under {str(key)[:100]!r} what is not a tensor; save model.state_dict() alone"
                )
            block = self._blocks.get(tensor.storage.key)
            if block is None or (tensor.offset + tensor.extent) * tensor.dtype.itemsize > block.size:
                raise ValueError(f"the tensor {key[:100]!r} reaches past the end of its storage")
        return content

    def _open_zip(self) -> tuple[Pickled, dict[str, _Block]]:
        archive = zipfile.ZipFile(self._file)
        entries = {entry.filename: entry for entry in archive.infolist()}
        roots = [name.removesuffix("data.pkl") for name in entries if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError("it is a zip archive, but not one of torch's")
        root = roots[0]
        if f"{root}byteorder" in entries and self._bytes(entries[f"{root}byteorder"], 16) != b"little":
            raise CheckpointError(
                f"{self.path} was written on a big-endian machine; save it as safetensors there"
            )
        pickle = self._bytes(entries[f"{root}data.pkl"], MAX_PICKLE_BYTES)
        blocks = {
            name.removeprefix(f"{root}data/"): self._block(entry)
            for name, entry in entries.items()
            if name.startswith(f"{root}data/")
        }
        return read_pickle(io.BytesIO(pickle), self.path), blocks

    def _block(self, entry: zipfile.ZipInfo) -> _Block:
        """Where an entry's bytes lie: torch compresses nothing, so what claims to be compressed is refused."""
        start, size = locate(self._file, entry, "torch")
        # torch writes 0 where it was told to leave checksums out.
        return _Block(start, size, entry.CRC or None)

    def _bytes(self, entry: zipfile.ZipInfo, limit: int) -> bytes:
        block = self._block(entry)
        if block.size > limit:
            raise ValueError(f"its {entry.filename[:100]!r} has more than {limit} bytes")
        return self._storage(block).tobytes()

    def _open_legacy(self) -> tuple[Pickled, dict[str, _Block]]:
        stream: Any = _Limited(self._file, MAX_PICKLE_BYTES)
        if (
            stream.read(len(LEGACY_MAGIC)) != LEGACY_MAGIC
            or read_pickle(stream, self.path).content != _LEGACY_VERSION
        ):
            raise ValueError("it is neither a zip archive nor a file in torch's old format")
        if not read_pickle(stream, self.path).content["little_endian"]:
            raise CheckpointError(
                f"{self.path} was written on a big-endian machine; save it as safetensors there"
            )
        pickled = read_pickle(stream, self.path)
        keys = read_pickle(stream, self.path).content
        blocks = {}
        start = self._file.tell()
        for key in keys:
            self._file.seek(start)
            (count,) = struct.unpack("<q", self._file.read(8))
            blocks[key] = _Block(start + 8, count * pickled.storages[key].dtype.itemsize)
            start += 8 + blocks[key].size
            if count < 0 or start > self._size:
                raise ValueError("the file ends inside a tensor")
        return pickled, blocks


class _Limited:
    """A stream that ends after so many bytes, whatever lengths are asked of it."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int) -> bytes:
        return self._take(self._stream.read(min(size, self._left)))

    def readline(self) -> bytes:
        return self._take(self._stream.readline(self._left))

    def _take(self, content: bytes) -> bytes:
        self._left -= len(content)
        return content
