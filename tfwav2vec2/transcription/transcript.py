"""What was heard in a recording: its text, and when each word and character was said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class TimedCharacter(NamedTuple):
    """A character and when it was said: ``start`` and ``end`` in seconds from the recording's start."""

    char: str
    start: float
    end: float


@dataclass(frozen=True)
class TimedWord:
    """A word and when it was said.

    Attributes:
        text: the word.
        start: in seconds from the recording's start.
        end: the same of its end, which is not before its start.
        confidence: how sure the model is of it, from 0 to 1; None where that was not asked.
        characters: its characters and their times; none where they were not asked for.
    """

    text: str
    start: float
    end: float
    confidence: float | None = None
    characters: tuple[TimedCharacter, ...] = ()


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording.

    Attributes:
        file: its path; ``<bytes>``, ``<file>`` or ``<array>`` where it has none.
        text: the transcript; empty where there is an ``error``.
        seconds: the recording's length.
        error: why it could not be transcribed, where it could not.
        words: its words and when they were said; None where they were not asked for, or what runs the model cannot tell.
    """

    file: str
    text: str
    seconds: float
    error: str | None = None
    words: tuple[TimedWord, ...] | None = None
