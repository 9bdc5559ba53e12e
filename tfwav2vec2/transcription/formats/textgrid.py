"""Praat's TextGrid in its long text format: a tier of words, and one of characters where their times are known.

Source: Praat's manual, "TextGrid file formats", https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html
"""

from __future__ import annotations

from collections.abc import Sequence

from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.timeline import PLACES, tidy_words, timed_words
from tfwav2vec2.transcription.transcript import TimedWord, Transcript

# Praat has no interval that lasts nothing.
_SHORTEST_MS = 1
_SHORTEST = _SHORTEST_MS / 1000

_INDENT = " " * 4


def textgrid(transcript: Transcript, options: FormatOptions) -> str:
    """Tiers whose intervals follow one another from 0 to the recording's end, those of silence with an empty text.

    Raises:
        ValueError: where there is a text without word times.
    """
    words = timed_words(transcript, "A TextGrid", _SHORTEST_MS)
    characters = tidy_words(
        (TimedWord(*character) for word in words for character in word.characters), _SHORTEST_MS
    )
    tiers = {"words": words} | ({"characters": characters} if characters else {})
    ends = [spans[-1].end for spans in tiers.values() if spans]
    end = max([round(transcript.seconds, PLACES), _SHORTEST, *ends])
    lines = [
        'File type = "ooTextFile"',
        'Object class = "TextGrid"',
        "",
        "xmin = 0 ",
        f"xmax = {end:.{PLACES}f} ",
        "tiers? <exists> ",
        f"size = {len(tiers)} ",
        "item []: ",
    ]
    for number, (name, spans) in enumerate(tiers.items(), start=1):
        lines += _tier(number, name, _contiguous(spans, end), end)
    return "\n".join(lines) + "\n"


def _contiguous(spans: Sequence[TimedWord], end: float) -> list[TimedWord]:
    """The spans with empty ones between them."""
    filled, reached = [], 0.0
    for span in spans:
        if span.start > reached:
            filled.append(TimedWord("", reached, span.start))
        filled.append(span)
        reached = span.end
    if end > reached:
        filled.append(TimedWord("", reached, end))
    return filled


def _tier(number: int, name: str, intervals: Sequence[TimedWord], end: float) -> list[str]:
    lines = [
        f"{_INDENT}item [{number}]:",
        f'{_INDENT * 2}class = "IntervalTier" ',
        f'{_INDENT * 2}name = "{name}" ',
        f"{_INDENT * 2}xmin = 0 ",
        f"{_INDENT * 2}xmax = {end:.{PLACES}f} ",
        f"{_INDENT * 2}intervals: size = {len(intervals)} ",
    ]
    for index, interval in enumerate(intervals, start=1):
        lines += [
            f"{_INDENT * 2}intervals [{index}]:",
            f"{_INDENT * 3}xmin = {interval.start:.{PLACES}f} ",
            f"{_INDENT * 3}xmax = {interval.end:.{PLACES}f} ",
            f'{_INDENT * 3}text = "{_quoted(interval.text)}" ',
        ]
    return lines


def _quoted(text: str) -> str:
    """A quotation mark inside of a text is written twice."""
    return text.replace('"', '""')
