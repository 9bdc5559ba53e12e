"""Words as files can hold them: one line of text each, at times that never run backwards."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

from tfwav2vec2.transcription.transcript import TimedWord, Transcript

PLACES = 3
"""Decimals of a time in seconds: a frame of the model is twenty milliseconds."""

_MILLISECONDS = 10**PLACES
_CONTROL = "Cc"


def timed_words(transcript: Transcript, kind: str, shortest: int = 0) -> list[TimedWord]:
    """The words of a transcript as :func:`tidy_words` gives them.

    Args:
        transcript: what was heard.
        kind: what is to be made of it, as the message names it.
        shortest: as for :func:`tidy_words`.

    Raises:
        ValueError: where there is a text without word times.
    """
    if transcript.words is None and transcript.text.strip():
        raise ValueError(
            f"{kind} needs to know when each word was said, and the transcript of {transcript.file} does not say: "
            "transcribe with words=True, by a model that gives labels for each frame"
        )
    return tidy_words(transcript.words or (), shortest)


def tidy_words(words: Iterable[TimedWord], shortest: int = 0) -> list[TimedWord]:
    """Words whose text is one line, with times in whole milliseconds that are in order and do not overlap.

    White space inside of a word becomes one space, control characters go, and a word of nothing else goes too. A word begins
    no earlier than the one before, and ends before the next begins; what was in order stays as it is, but for rounding.

    Args:
        words: in the order in which they are read.
        shortest: milliseconds that a word lasts at least, and the next begins later.

    Raises:
        ValueError: for a time that is no number.
    """
    kept = [
        replace(word, text=text, start=_whole(word.start, word), end=_whole(word.end, word))
        for word in words
        if (text := one_line(word.text))
    ]
    starts: list[int] = []
    for word in kept:
        earliest = starts[-1] + shortest if starts else 0
        starts.append(max(int(word.start), earliest))
    tidied = []
    for index, (word, start) in enumerate(zip(kept, starts, strict=True)):
        end = max(int(word.end), start + shortest)
        if index + 1 < len(starts):
            end = min(end, starts[index + 1])
        tidied.append(replace(word, start=start / _MILLISECONDS, end=end / _MILLISECONDS))
    return tidied


def one_line(text: str) -> str:
    """Text without control characters, whose white space of any kind and number is one space."""
    words = "".join(each for each in text if each.isspace() or unicodedata.category(each) != _CONTROL).split()
    # A lone surrogate is no character: no file of text can hold it.
    return " ".join(words).encode("utf-8", "replace").decode("utf-8")


def to_milliseconds(seconds: float) -> int:
    """Whole milliseconds."""
    return round(seconds * _MILLISECONDS)


def clock(seconds: float, mark: str) -> str:
    """``HH:MM:SS``, ``mark`` and milliseconds, as subtitles have it."""
    rest, milliseconds = divmod(to_milliseconds(seconds), _MILLISECONDS)
    minutes, second = divmod(rest, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{mark}{milliseconds:03d}"


def _whole(seconds: float, word: TimedWord) -> int:
    if not math.isfinite(seconds):
        raise ValueError(
            f"The word {word.text!r} is said from {word.start} to {word.end} s: times must be finite numbers"
        )
    return to_milliseconds(seconds)
