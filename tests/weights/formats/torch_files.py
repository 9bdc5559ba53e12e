"""Files as ``torch.save`` writes them, made without torch, and lying wherever a test wants them to."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

STORAGES = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_VERSION = 1001


@dataclass
class Entry:
    """A tensor as its pickle describes it; by default as it is."""

    array: np.ndarray
    storage: str
    offset: Any = 0
    shape: Any = None
    stride: Any = None
    count: int | None = None

    @property
    def claimed_shape(self) -> tuple[int, ...]:
        return self.array.shape if self.shape is None else self.shape

    @property
    def claimed_stride(self) -> tuple[int, ...]:
        if self.stride is not None:
            return self.stride
        shape = self.claimed_shape
        return tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))


def text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def number(value: int) -> bytes:
    return pickle.dumps(value, protocol=2)[2:-1]


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def state_pickle(entries: dict[str, Entry], legacy: bool = False) -> bytes:
    """The pickle of a state dict."""
    items = [_item(key, entry, legacy) for key, entry in entries.items()]
    return b"\x80\x02}(" + b"".join(items) + b"u."


def _item(key: str, entry: Entry, legacy: bool) -> bytes:
    storage = f"ctorch\n{STORAGES[str(entry.array.dtype)]}\n".encode()
    count = entry.array.size if entry.count is None else entry.count
    view = b"N" if legacy else b""
    identity = (
        b"(" + text("storage") + storage + text(entry.storage) + text("cpu") + number(count) + view + b"tQ"
    )
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = number(entry.offset) + numbers(entry.claimed_shape) + numbers(entry.claimed_stride)
    return (
        text(key) + b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + arguments + b"\x89" + hooks + b"tR"
    )


def zip_file(pickled: bytes, storages: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """The archive that torch writes since version 1.6."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for key, content in storages.items():
            archive.writestr(f"archive/data/{key}", content)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


def legacy_file(pickled: bytes, storages: dict[str, np.ndarray]) -> bytes:
    """The row of pickles and numbers that torch wrote before."""
    system = {"protocol_version": LEGACY_VERSION, "little_endian": True, "type_sizes": {"long": 4}}
    head = b"".join(pickle.dumps(part, protocol=2) for part in (MAGIC, LEGACY_VERSION, system))
    keys = pickle.dumps(sorted(storages), protocol=2)
    numbers = b"".join(
        struct.pack("<q", storages[key].size) + storages[key].tobytes() for key in sorted(storages)
    )
    return head + pickled + keys + numbers


def entries_of(arrays: dict[str, np.ndarray]) -> dict[str, Entry]:
    """Every array in a storage of its own."""
    return {key: Entry(array, str(index)) for index, (key, array) in enumerate(arrays.items())}


def save_zip(arrays: dict[str, np.ndarray]) -> bytes:
    """What ``torch.save`` makes of a dictionary of tensors."""
    entries = entries_of(arrays)
    return zip_file(
        state_pickle(entries), {entry.storage: entry.array.tobytes() for entry in entries.values()}
    )


def save_legacy(arrays: dict[str, np.ndarray]) -> bytes:
    """The same in the old format."""
    entries = entries_of(arrays)
    return legacy_file(
        state_pickle(entries, legacy=True), {entry.storage: entry.array for entry in entries.values()}
    )
