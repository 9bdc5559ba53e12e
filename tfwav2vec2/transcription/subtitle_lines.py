"""Where lines of subtitles may end: widths, breaks at sensible places, and words longer than a line."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace

from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord

# What ends a sentence, and what ends a part of one, in the scripts that have such marks.
_SENTENCE_ENDS = frozenset(".!?…。！？؟।։")  # noqa: RUF001
_CLAUSE_ENDS = frozenset(",;:–—，；：、،؛")  # noqa: RUF001
# Letters and full stop of a title or an initial.
_LONGEST_ABBREVIATION = 4
_CLOSING = "\"'”’»)]}」』）"  # noqa: RUF001

# Netflix: a line ends before conjunctions and prepositions, and never between an article and its noun. Function words of most
# languages are short, so that a line had better not end in a short word: no list of words knows every language.
_SHORT_WORD = 3

# Costs, each in terms of a whole subtitle more (1). Chosen by looking at subtitles of readings in English, German and Spanish.
_AFTER_CLAUSE, _ELSEWHERE, _AFTER_SHORT_WORD = 0.2, 0.6, 0.4
_SENTENCE_INSIDE = 1.0
_UNBALANCED, _TOP_HEAVY = 2.0, 0.1
# The pause, in seconds, inside of a subtitle that is as bad as one subtitle more: the reader is ahead of the speaker.
_PAUSE_INSIDE = 0.75
# The pause that is as good a place as the end of a sentence.
_CLEAR_PAUSE = 0.6


def width(text: str) -> int:
    """How many columns a text takes: 2 for each wide character of East Asian scripts, 0 for combining marks, 1 for others."""
    if text.isascii():
        return len(text)
    return sum(_columns(each) for each in text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def ends_sentence(word: str) -> bool:
    """Whether a word bears the mark of a sentence's end; a full stop after up to three letters, as in "Mr.", is an abbreviation's."""
    word = word.rstrip(_CLOSING)
    if word.endswith(".") and len(word) <= _LONGEST_ABBREVIATION and word[0].isupper():
        return False
    return word[-1:] in _SENTENCE_ENDS if word else False


def break_cost(before: TimedWord, after: TimedWord) -> float:
    """How bad it is to end a line, or a subtitle, between two words: 0 at the end of a sentence or in a clear pause, 1 at worst."""
    word = before.text
    if ends_sentence(word):
        return 0.0
    if word.rstrip(_CLOSING)[-1:] in _CLAUSE_ENDS:
        cost = _AFTER_CLAUSE
    else:
        cost = _ELSEWHERE + (_AFTER_SHORT_WORD if width(word) <= _SHORT_WORD else 0.0)
    pause = max(0.0, after.start - before.end)
    return cost * (1 - min(1.0, pause / _CLEAR_PAUSE))


def inside_cost(before: TimedWord, after: TimedWord) -> float:
    """How bad it is to go on between two words within one subtitle, which should hold one sentence and no clear pause."""
    pause = max(0.0, after.start - before.end)
    return (_SENTENCE_INSIDE if ends_sentence(before.text) else 0.0) + (pause / _PAUSE_INSIDE) ** 2


def break_lines(words: Sequence[TimedWord], longest: int) -> list[int]:
    """Where the lines of a subtitle begin, as few as there can be: the index of each line's first word, 0 first.

    One line where all fits. Otherwise the breaks of least cost: at sensible places, lines about as long as one another, and
    the lower longer rather than the upper.
    """
    widths = [width(word.text) for word in words]
    count = lines_needed(widths, longest)
    ideal = (sum(widths) + len(widths) - count) / count
    # best[line][index]: the least cost of so many lines that hold the words before the index, and where the last begins.
    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for line in range(count):
        found: dict[int, tuple[float, int]] = {}
        for first, (cost, _) in best[line].items():
            length = -1
            for end in range(first + 1, len(words) + 1):
                length += 1 + widths[end - 1]
                if length > longest and end > first + 1:
                    break
                total = cost + _UNBALANCED * ((length - ideal) / longest) ** 2
                if end < len(words):
                    total += break_cost(words[end - 1], words[end])
                total += _TOP_HEAVY * max(0.0, (length - ideal) / longest) * (count - 1 - line)
                if end not in found or total < found[end][0]:
                    found[end] = (total, first)
        best.append(found)
    starts, end = [], len(words)
    for line in range(count, 0, -1):
        end = best[line][end][1]
        starts.append(end)
    return starts[::-1]


def lines_needed(widths: Sequence[int], longest: int) -> int:
    """How many lines words of these widths fill, each as full as may be."""
    lines, length = 1, -1
    for each in widths:
        if length >= 0 and length + 1 + each > longest:
            lines, length = lines + 1, -1
        length += 1 + each
    return lines


def split_word(word: TimedWord, longest: int) -> list[TimedWord]:
    """A word in pieces of at most ``longest`` columns, as writing without spaces needs; most words are one piece.

    The pieces share the word's time by the times of its characters where they are known, otherwise by their number.
    """
    if width(word.text) <= longest:
        return [word]
    cuts, columns = [0], 0
    for index, character in enumerate(word.text):
        columns += _columns(character)
        if columns > longest:
            cuts.append(index)
            columns = _columns(character)
    bounds = [*cuts, len(word.text)]
    times = [_time_at(word, cut) for cut in bounds]
    return [
        replace(word, text=word.text[first:end], start=start, end=stop, characters=())
        for first, end, start, stop in zip(bounds, bounds[1:], times, times[1:], strict=False)
    ]


def _time_at(word: TimedWord, index: int) -> float:
    """When the character at an index begins; at the text's end, when the word ends."""
    if index == len(word.text):
        return word.end
    if _spells(word.characters, word.text):
        return min(max(word.characters[index].start, word.start), word.end)
    return word.start + (word.end - word.start) * index / len(word.text)


def _spells(characters: Sequence[TimedCharacter], text: str) -> bool:
    return len(characters) == len(text) and all(
        timed.char == each for timed, each in zip(characters, text, strict=True)
    )
