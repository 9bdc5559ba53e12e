"""What was read from a large ARPA file, kept so that it opens at once the next time, in another process too.

The copies lie in ``tfwav2vec2/ngram-models`` of the user's cache folder (``XDG_CACHE_HOME``, else ``~/.cache``), or in the folder
that the environment variable ``TFWAV2VEC2_CACHE`` names; where that is set to nothing there are none. A copy is known by its
file's path, size and time of change. One that is damaged or does not fit is read anew from the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.weights.files import write_atomically

VARIABLE = "TFWAV2VEC2_CACHE"

# Goes up whenever the arrays mean something else.
_FORMAT = 1

# Smaller files are read about as fast as their copies.
_SMALLEST_FILE = 2**20

# The least recently used copies beyond so many are removed.
_MOST_COPIES = 8

_UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    EOFError,
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
)

Content = tuple[list[str], list[np.ndarray]]


def load(path: Path) -> Content | None:
    """The words and the arrays that were stored for a file as it is now; None where there are none."""
    copy = copy_of(path)
    if copy is None or not copy.is_file():
        return None
    try:
        with copy.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            words = stored["words"].tobytes().decode("utf-8").split("\n")
            arrays = [stored[str(number)] for number in range(len(stored.files) - 1)]
        os.utime(copy)
    except _UNREADABLE:
        return None
    return (words, arrays) if _fits(words, arrays) else None


def store(copy: Path | None, path: Path, words: list[str], arrays: Any) -> None:
    """Keep a file's words and arrays; where that is impossible, nothing happens.

    Args:
        copy: what :func:`copy_of` said before the file was read: one that has changed since is not stored.
        path: the file.
        words, arrays: what was read.
    """
    if copy is None or copy != copy_of(path) or not _fits(words, list(arrays)):
        return
    with contextlib.suppress(OSError):
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = np.frombuffer("\n".join(words).encode("utf-8"), np.uint8)
        with write_atomically(copy) as temporary, temporary.open("wb") as file:
            np.savez(file, words=text, **{str(number): array for number, array in enumerate(arrays)})
        copies = sorted(copy.parent.glob("*.npz"), key=lambda other: other.stat().st_mtime)
        for old in copies[:-_MOST_COPIES]:
            old.unlink(missing_ok=True)


def copy_of(path: Path) -> Path | None:
    """Where the copy of a file lies, None where it has none."""
    try:
        path = path.resolve()
        status = path.stat()
        folder = _folder()
    except (OSError, RuntimeError):
        return None
    if folder is None or status.st_size < _SMALLEST_FILE:
        return None
    key = f"{_FORMAT}\n{path}\n{status.st_size}\n{status.st_mtime_ns}"
    name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return folder / f"{name}.npz"


def _folder() -> Path | None:
    chosen = os.environ.get(VARIABLE)
    if chosen is not None:
        return Path(chosen).expanduser() / "ngram-models" if chosen else None
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".cache"
    return base / "tfwav2vec2" / "ngram-models"


def _fits(words: list[str], arrays: list[np.ndarray]) -> bool:
    """Whether the arrays are a tree of n-grams: compiled loops follow their numbers without asking."""
    if len(arrays) != 5 or any(array.ndim != 1 for array in arrays):
        return False
    word, probability, shorter, begin, backoff = arrays
    kinds = [array.dtype for array in arrays]
    if not {"<unk>", "<s>", "</s>"}.issubset(words):
        return False
    nodes, contexts = len(word), len(backoff)
    return (
        kinds == [np.int32, np.float32, np.int32, np.int32, np.float32]
        and len(probability) == len(shorter) == nodes
        and len(begin) == contexts + 1
        and nodes > 1
        and 0 < contexts < nodes
        and bool(begin[0] == 1 and begin[-1] == nodes and (np.diff(begin) >= 0).all())
        and bool((begin > np.arange(contexts + 1)).all())
        and bool((word >= 0).all() and word.max() < len(words))
        and bool((shorter >= 0).all() and shorter.max() < contexts)
        and bool(np.isfinite(probability).all() and np.isfinite(backoff).all())
    )
