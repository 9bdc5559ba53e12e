"""ARPA files: the text format of n-gram language models, plain or gzipped, read into arrays."""

from __future__ import annotations

import gzip
import mmap
import re
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfwav2vec2.language.compiled import compiled

MAX_ORDER = 10

# Text of n-grams shrinks to about a fourth; what grows beyond this is no language model.
_MAX_EXPANSION = 200

_GZIP_MAGIC = b"\x1f\x8b"
_HEADER_BYTES = 2**16
_COUNT = re.compile(rb"ngram[ \t]+(\d{1,2})[ \t]*=[ \t]*(\d{1,12})[ \t\r]*")
_CHUNK = 2**24

# What the compiled reader answers with.
_GOOD, _SHORT, _NUMBER, _WORDS, _UNKNOWN, _POSITIVE, _TWICE = range(7)
_FAULTS = {
    _SHORT: "fewer n-grams than the header says",
    _NUMBER: "something that is no number where a logarithm is expected",
    _WORDS: "another number of words than the section's n-grams have",
    _UNKNOWN: "a word that the unigrams lack",
    _POSITIVE: "a probability above 1 (its logarithm is positive)",
    _TWICE: "a word for the second time",
}


class Section(NamedTuple):
    """The n-grams of one length: word ids (n-grams, length), logarithms to the base 10 of probability and back-off weight."""

    words: np.ndarray
    probabilities: np.ndarray
    backoffs: np.ndarray


class Arpa(NamedTuple):
    """What an ARPA file holds: its words, whose ids are their places, and its n-grams, the unigrams first."""

    words: list[str]
    sections: list[Section]


def read_arpa(path: str | Path) -> Arpa:
    """Read an ARPA file.

    Raises:
        OSError: where it cannot be read or is damaged; the message names the line.
        ImportError: where numba is not installed.
    """
    path = Path(path)
    data = _read(path)
    try:
        counts, position = _header(path, data)
        table = np.zeros(1 << (2 * counts[0] + 1).bit_length(), np.int32)
        spans = np.zeros((counts[0], 2), np.int64)
        sections = []
        for order, count in enumerate(counts, start=1):
            position = _section_start(path, data, position, order)
            section = Section(
                np.zeros((count, order), np.int32), np.zeros(count, np.float32), np.zeros(count, np.float32)
            )
            position, fault = _parse(data, position, order, order == len(counts), *section, table, spans)
            if fault != _GOOD:
                raise _damaged(path, data, position, _FAULTS[fault])
            sections.append(section)
        _expect(path, data, position, b"\\end\\")
        return Arpa(_words(path, data, spans), sections)
    finally:
        del data  # an open mapping cannot be closed while an array looks into it


def _read(path: Path) -> np.ndarray:
    """The file's bytes, unpacked if need be."""
    size = path.stat().st_size
    with path.open("rb") as file:
        magic = file.read(2)
        if magic == _GZIP_MAGIC:
            return np.frombuffer(_unpacked(path, _MAX_EXPANSION * size + _CHUNK), np.uint8)
        if size == 0:
            raise OSError(f"{path} is empty; download or write it again")
        return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)


def _unpacked(path: Path, limit: int) -> bytearray:
    content = bytearray()
    try:
        with gzip.open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                content += chunk
                if len(content) > limit:
                    raise OSError(
                        f"{path} unpacks to more than {limit} bytes, which no ARPA file of its size does"
                    )
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise OSError(f"{path} is a damaged gzip file ({error}); download or write it again") from None
    return content


def _header(path: Path, data: np.ndarray) -> tuple[list[int], int]:
    """How many n-grams there are of each length, and where the header ends."""
    head = data[:_HEADER_BYTES].tobytes()
    start = re.search(rb"(?:\A|\n)\\data\\[ \t\r]*\n", head)
    if start is None:
        raise OSError(f"{path} has no section \\data\\ and is no ARPA file; check that it is the right file")
    counts: list[int] = []
    position = start.end()
    for line in head[position:].splitlines(keepends=True):
        found = _COUNT.fullmatch(line.rstrip(b"\n"))
        if found is None:
            if line.strip():
                break
        elif int(found[1]) != len(counts) + 1:
            raise _damaged(
                path,
                data,
                position,
                f"the count of {int(found[1])}-grams where {len(counts) + 1}-grams are due",
            )
        else:
            counts.append(int(found[2]))
        position += len(line)
    if not counts or len(counts) > MAX_ORDER:
        raise OSError(f"{path} counts n-grams of {len(counts)} lengths; 1 to {MAX_ORDER} can be read")
    # The shortest line of an n-gram: a digit, then a tab and a letter for each word, and the end of the line.
    needed = sum(count * (2 * order + 2) for order, count in enumerate(counts, start=1))
    if counts[0] < 1 or needed > len(data) or sum(counts) >= 2**31 - 2:
        raise OSError(
            f"{path} counts {counts[0]} words and {sum(counts)} n-grams in {len(data)} bytes, which cannot be; download or write it again"
        )
    return counts, position


def _section_start(path: Path, data: np.ndarray, position: int, order: int) -> int:
    return _expect(path, data, position, b"\\%d-grams:" % order)


def _expect(path: Path, data: np.ndarray, position: int, mark: bytes) -> int:
    """Where the line after ``mark`` begins, which only empty lines may stand before."""
    while position < len(data):
        end = position + _to_line_end(data, position)
        line = data[position:end].tobytes().strip()
        if line == mark:
            return end
        if line:
            break
        position = end
    raise _damaged(
        path,
        data,
        position,
        f"no {mark.decode()} where it is due: the header's counts or the sections are wrong",
    )


def _to_line_end(data: np.ndarray, position: int) -> int:
    """How many bytes are left of a line, its end included."""
    step = 256
    while True:
        window = data[position : position + step]
        ends = np.flatnonzero(window == ord("\n"))
        if len(ends):
            return int(ends[0]) + 1
        if position + step >= len(data):
            return len(data) - position
        step *= 16


def _words(path: Path, data: np.ndarray, spans: np.ndarray) -> list[str]:
    """The unigrams' words; ``spans`` are where each begins and ends."""
    words = []
    for begin, end in spans.tolist():
        try:
            words.append(data[begin:end].tobytes().decode("utf-8"))
        except UnicodeDecodeError:
            raise _damaged(path, data, begin, "a word that is not UTF-8") from None
    return words


def _damaged(path: Path, data: np.ndarray, position: int, fault: str) -> OSError:
    line = int(np.count_nonzero(data[:position] == ord("\n"))) + 1
    return OSError(f"{path} has {fault} (line {line}); download or write it again")


@compiled
def _parse(
    data: Any,
    position: int,
    order: int,
    last: bool,
    words: Any,
    probabilities: Any,
    backoffs: Any,
    table: Any,
    spans: Any,
) -> Any:
    """Read one section's lines; returns where it stopped and what was wrong there.

    ``table`` finds a word's id by its bytes: open addressing, id + 1, 0 for empty. The unigrams fill it and ``spans``.
    """
    mask = len(table) - 1
    size = len(data)
    for row in range(len(probabilities)):
        start = position
        field = 0  # 0: the probability, 1 to order: words, then perhaps the back-off weight
        while True:
            while position < size and (data[position] == 32 or data[position] == 9 or data[position] == 13):
                position += 1
            if position >= size or data[position] == 10:
                break
            begin = position
            while position < size and not (
                data[position] == 32 or data[position] == 9 or data[position] == 13 or data[position] == 10
            ):
                position += 1
            if field == 0 or field == order + 1:
                if field == 0 and data[begin] == 92:  # a backslash: the next section
                    return start, _SHORT
                number, good = _number(data, begin, position)
                if not good:
                    return start, _NUMBER
                if field == 0:
                    if number > 0:
                        return start, _POSITIVE
                    probabilities[row] = number
                else:
                    backoffs[row] = number
            elif field <= order:
                code = np.int64(-3750763034362895579)  # FNV-1a
                for index in range(begin, position):
                    code = (code ^ np.int64(data[index])) * np.int64(1099511628211)
                slot = (code ^ (code >> 29)) & mask
                found = -1
                while table[slot] > 0:
                    other = table[slot] - 1
                    length = spans[other, 1] - spans[other, 0]
                    if length == position - begin:
                        same = True
                        for index in range(length):
                            if data[spans[other, 0] + index] != data[begin + index]:
                                same = False
                                break
                        if same:
                            found = other
                            break
                    slot = (slot + 1) & mask
                if order == 1:
                    if found >= 0:
                        return start, _TWICE
                    table[slot] = row + 1
                    spans[row, 0] = begin
                    spans[row, 1] = position
                    found = row
                elif found < 0:
                    return start, _UNKNOWN
                words[row, field - 1] = found
            else:
                return start, _WORDS
            field += 1
        if field == 0:
            return start, _SHORT
        if field < order + 1 or (last and field > order + 2):
            return start, _WORDS
        position += 1
    return position, _GOOD


@compiled
def _number(data: Any, begin: int, end: int) -> Any:
    """A decimal number, and whether it is one."""
    negative = data[begin] == 45
    if negative or data[begin] == 43:
        begin += 1
    mantissa, exponent, digits, point = 0.0, 0, 0, False
    while begin < end:
        byte = data[begin]
        if byte == 46 and not point:
            point = True
        elif 48 <= byte <= 57:
            mantissa = mantissa * 10.0 + (byte - 48)
            digits += 1
            if point:
                exponent -= 1
        else:
            break
        begin += 1
    if digits == 0 or digits > 40:
        return 0.0, False
    if begin < end:
        if (data[begin] != 101 and data[begin] != 69) or begin + 1 >= end:
            return 0.0, False
        begin += 1
        down = data[begin] == 45
        if down or data[begin] == 43:
            begin += 1
        power = 0
        if begin >= end or end - begin > 3:
            return 0.0, False
        while begin < end:
            if not 48 <= data[begin] <= 57:
                return 0.0, False
            power = power * 10 + (data[begin] - 48)
            begin += 1
        exponent += -power if down else power
    value = mantissa / 10.0**-exponent if exponent < 0 else mantissa * 10.0**exponent
    if not value < 1e9:  # no logarithm; infinity and NaN neither
        return 0.0, False
    return (-value if negative else value), True
