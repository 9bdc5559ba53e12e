"""``.keras`` files as archives: which zip file is one, and where its parts lie. Nothing in them is unpacked or run."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import BinaryIO

from tfwav2vec2.weights.formats.stored_zip import locate

KERAS_SUFFIX, WEIGHTS_SUFFIX = ".keras", ".weights.h5"
CONFIG_ENTRY, METADATA_ENTRY, WEIGHTS_ENTRY = "config.json", "metadata.json", "model.weights.h5"


def is_keras(path: Path) -> bool:
    """Whether a zip archive is a ``.keras`` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {CONFIG_ENTRY, WEIGHTS_ENTRY} <= set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return False


def parts(file: BinaryIO) -> dict[str, tuple[int, int]]:
    """Where each entry's bytes lie in an open archive: start and size.

    Raises:
        ValueError: where an entry is compressed or reaches past the end.
    """
    return {entry.filename: locate(file, entry, "Keras") for entry in zipfile.ZipFile(file).infolist()}


class Part:
    """A part of a file that is read as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._end = start + size

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, counted from the part's start or, with ``SEEK_END``, from its end."""
        base = self._end if whence == io.SEEK_END else self._start
        return self._file.seek(base + offset) - self._start

    def read(self, size: int) -> bytes:
        """So many bytes, or fewer where the part ends."""
        return self._file.read(min(size, max(0, self._end - self._file.tell())))
