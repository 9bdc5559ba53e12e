"""Writing ARPA files."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from tfwav2vec2.language.arpa import Arpa, Section
from tfwav2vec2.weights.files import write_atomically

# How many n-grams are turned into text at a time.
_BLOCK = 2**16


def write_arpa(arpa: Arpa, path: str | Path) -> None:
    """Write n-grams as an ARPA file, gzipped where the name ends in ``.gz``.

    Numbers have as many digits as it takes to read back the same float32. An n-gram of less than the greatest length has its
    back-off weight, even where that is 0. The same n-grams always give the same bytes.

    Raises:
        OSError: where the file cannot be written; what it held before is untouched then.
        ValueError: where a word cannot stand in such a file: it holds white space, or is no text.
    """
    path = Path(path)
    words = [_encoded(word) for word in arpa.words]
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        if path.name.endswith(".gz"):
            # Neither a time nor a name inside, so that the bytes depend on the n-grams alone.
            with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
                _write(arpa, words, cast(BinaryIO, packed))
        else:
            _write(arpa, words, file)


def _encoded(word: str) -> bytes:
    try:
        encoded = word.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The word {word!r} is no text that can be written as UTF-8 ({error.reason})"
        ) from None
    if not encoded or any(byte in encoded for byte in b" \t\r\n\0"):
        raise ValueError(
            f"The word {word!r} is empty or holds white space, which parts words in an ARPA file"
        )
    return encoded


def _write(arpa: Arpa, words: list[bytes], file: BinaryIO) -> None:
    file.write(b"\\data\\\n")
    for order, section in enumerate(arpa.sections, start=1):
        file.write(b"ngram %d=%d\n" % (order, len(section.words)))
    for order, section in enumerate(arpa.sections, start=1):
        file.write(b"\n\\%d-grams:\n" % order)
        for lines in _lines(section, words, order == len(arpa.sections)):
            file.write(lines)
    file.write(b"\n\\end\\\n")


def _lines(section: Section, words: list[bytes], last: bool) -> Iterator[bytes]:
    for begin in range(0, len(section.words), _BLOCK):
        rows = slice(begin, begin + _BLOCK)
        fields = [_numbers(section.probabilities[rows])]
        columns = [map(words.__getitem__, column) for column in section.words[rows].T.tolist()]
        fields.append(map(b" ".join, zip(*columns, strict=True)) if len(columns) > 1 else columns[0])
        if not last:
            fields.append(_numbers(section.backoffs[rows]))
        yield b"".join(b"%s\n" % b"\t".join(line) for line in zip(*fields, strict=True))


def _numbers(values: np.ndarray) -> list[bytes]:
    """The shortest decimal numbers that are the same in float32."""
    return np.asarray(values, np.float32).astype("S16").tolist()
