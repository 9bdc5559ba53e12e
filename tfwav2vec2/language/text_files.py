"""Files of sentences to learn a language model from: plain or gzipped text, a sentence a line, and manifests."""

from __future__ import annotations

import functools
import gzip
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from tfwav2vec2.language.transcripts import in_letters_of

MANIFESTS = (".tsv", ".csv", ".jsonl", ".ndjson")

_GZIP_MAGIC = b"\x1f\x8b"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# No sentence is as long; what has no ends of lines is no text.
_LONGEST_LINE = 2**24

# How many different words are normalised once and for all.
_REMEMBERED_WORDS = 2**20


def read_sentences(path: str | Path, drop_first_column: bool = False) -> Iterator[str]:
    """The sentences of a file, one by one.

    Args:
        path: text in UTF-8, a sentence a line, plain or gzipped; or a manifest (``.tsv``, ``.csv``, ``.jsonl``), whose
            transcripts are taken (:func:`~tfwav2vec2.data.manifest.read_manifest`).
        drop_first_column: whether the first word of each line is no part of the sentence, such as LibriSpeech's ids.

    Raises:
        OSError: where it cannot be read, or holds something other than text; the message names the line.
        ManifestError: where a manifest cannot be used.
    """
    path = Path(path)
    if path.suffix.lower() in MANIFESTS:
        yield from _transcripts(path)
        return
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        try:
            lines = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
            yield from _lines(path, lines, drop_first_column)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise OSError(f"{path} is a damaged gzip file ({error}); download or write it again") from None


def _lines(path: Path, file: BinaryIO, drop_first_column: bool) -> Iterator[str]:
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise OSError(
                f"{path} has a line of more than {_LONGEST_LINE} bytes (line {number}); give one sentence a line"
            )
        if b"\0" in line:
            raise OSError(f"{path} is no text in UTF-8: it holds a zero byte (line {number}); convert it")
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        try:
            sentence = line.decode("utf-8")
        except UnicodeDecodeError:
            raise OSError(f"{path} has something that is not UTF-8 (line {number}); convert it") from None
        if drop_first_column:
            columns = sentence.split(None, 1)
            sentence = columns[1] if len(columns) > 1 else ""
        yield sentence


def _transcripts(path: Path) -> Iterator[str]:
    from tfwav2vec2.data.manifest import read_manifest

    for example in read_manifest(path):
        if isinstance(example.target, str):
            yield example.target


def normaliser(letters: Collection[str]) -> Callable[[str], str]:
    """What brings sentences to a vocabulary's letters, word by word (:func:`~tfwav2vec2.language.transcripts.in_letters_of`);
    a word that was seen before costs nothing.
    """
    known = frozenset(letters)

    @functools.lru_cache(_REMEMBERED_WORDS)
    def word_in_letters(word: str) -> str:
        return in_letters_of(word, known)

    return lambda sentence: " ".join(map(word_in_letters, sentence.split()))
