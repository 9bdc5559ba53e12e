"""Zip archives whose entries are stored as they are, as torch's and Keras's: where an entry's bytes lie in the file."""

from __future__ import annotations

import io
import struct
import zipfile
from typing import BinaryIO

ZIP_MAGIC = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s22xHH")


def locate(file: BinaryIO, entry: zipfile.ZipInfo, writer: str) -> tuple[int, int]:
    """Where an entry's bytes lie in the archive of a ``writer``: start and size.

    Raises:
        ValueError: for an entry that is compressed or reaches past the end of the file.
    """
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
        raise ValueError(f"its {entry.filename[:100]!r} is compressed, which {writer} never does")
    file.seek(entry.header_offset)
    magic, name_size, extra_size = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
    start = entry.header_offset + _LOCAL_HEADER.size + name_size + extra_size
    if magic != ZIP_MAGIC or start + entry.file_size > file.seek(0, io.SEEK_END):
        raise ValueError("an entry of the archive reaches past the end of the file")
    return start, entry.file_size
