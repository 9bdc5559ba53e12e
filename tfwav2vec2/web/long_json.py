"""JSON of many megabytes, read and written in pieces.

Python's parser and writer do not let go of the interpreter until they are done, half a second for fifteen megabytes of numbers, and
nothing else would be answered meanwhile, whatever thread they run in. Between two pieces others get their turn. Long
arrays of numbers become numpy arrays at once, which take an eighth of the memory of Python's lists.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

# Characters of a piece: about a millisecond.
PIECE = 2**16

_DECODER = json.JSONDecoder()
_SPACE = " \t\n\r"


def loads(body: bytes, piece: int = PIECE) -> Any:
    """What ``json.loads`` gives, but for long arrays of numbers, which may be numpy arrays (n,) of float64.

    Args:
        body: the text, in UTF-8 or whatever else JSON may be in.
        piece: how many characters are read at once.

    Raises:
        ValueError: for what is not JSON.
        RecursionError: where it is nested too deeply.
    """
    text = body.decode(json.detect_encoding(body), "surrogatepass")
    if len(text) <= piece:
        return json.loads(text)
    value, end = _value(text, _skip(text, 0), piece)
    if (end := _skip(text, end)) != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def dumps(value: Any) -> str:
    """What ``json.dumps`` gives."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {dumps(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list) and value and isinstance(value[0], (list, dict)):
        return "[" + ", ".join(map(dumps, value)) + "]"
    return json.dumps(value)


def _value(text: str, at: int, piece: int) -> tuple[Any, int]:
    """The value that begins at ``at``, and where it ends."""
    first = text[at : at + 1]
    if first == "{":
        return _object(text, at, piece)
    if first == "[":
        return _array(text, at, piece)
    return _whole(text, at)


def _whole(text: str, at: int) -> tuple[Any, int]:
    """A value by Python's own parser."""
    return _DECODER.raw_decode(text, at)


def _object(text: str, at: int, piece: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return found, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = _whole(text, at)
        at = _expect(text, at, ":")
        found[key], at = _value(text, at, piece)
        at = _skip(text, at)
        if text[at : at + 1] == "}":
            return found, at + 1
        at = _expect(text, at, ",")


def _array(text: str, at: int, piece: int) -> tuple[Any, int]:
    begin, at = at, _skip(text, at + 1)
    if text[at : at + 1] == "]":
        return [], at + 1
    if text[at : at + 1] not in "[{":
        numbers = _numbers(text, at, piece)
        return _whole(text, begin) if numbers is None else numbers
    found = []
    while True:
        value, at = _value(text, at, piece)
        found.append(value)
        at = _skip(text, at)
        if text[at : at + 1] == "]":
            return found, at + 1
        at = _expect(text, at, ",")


def _numbers(text: str, at: int, piece: int) -> tuple[np.ndarray, int] | None:
    """A long array whose first number begins at ``at``; nothing where it is short, or not of numbers alone."""
    end = text.find("]", at)
    if end - at <= piece:
        return None
    parts = []
    while at < end:
        # A piece ends before a comma. Where that comma stands in a string, one of the two pieces is not JSON.
        cut = text.find(",", at + piece, end)
        cut = end if cut < 0 else cut
        try:
            numbers = json.loads(f"[{text[at:cut]}]")
            if not set(map(type, numbers)) <= {int, float} or not numbers:
                return None
            parts.append(np.array(numbers, np.float64))
        except (ValueError, OverflowError):
            return None
        at = cut + 1
    if text[end - 1 : end] == ",":
        return None
    return np.concatenate(parts), end + 1


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACE and at < len(text):
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r} delimiter", text, at)
    return _skip(text, at + 1)
