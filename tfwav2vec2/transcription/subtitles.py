"""Words to subtitles: lines that fit the screen, for long enough to be read, changed where the speaker pauses.

The defaults follow what broadcasters ask for:

- Netflix, "Timed Text Style Guide: General Requirements" (duration, lines, where they break, frame gap) and "English Timed Text
  Style Guide" (characters in a line, reading speed), https://partnerhelp.netflixstudios.com
- BBC, "Subtitle Guidelines" (natural breaks, single sentences, gaps, how long a subtitle may stay after the words),
  https://www.bbc.co.uk/accessibility/forproducts/guides/subtitles/
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tfwav2vec2.transcription.formats.timeline import tidy_words, to_milliseconds
from tfwav2vec2.transcription.subtitle_lines import (
    break_cost,
    break_lines,
    inside_cost,
    lines_needed,
    split_word,
    width,
)
from tfwav2vec2.transcription.transcript import TimedWord

# Netflix, English: 42 characters in a line, two lines, at most 20 characters a second for adults and 17 for children.
CHARACTERS_IN_A_LINE = 42
LINES = 2
COMFORTABLE_SPEED = 17.0
FASTEST_SPEED = 20.0
# Netflix: five sixths of a second at least, seven seconds at most, and two frames between two subtitles: at 25 frames a second.
SHORTEST_SECONDS = 5 / 6
LONGEST_SECONDS = 7.0
GAP_SECONDS = 2 / 25
# Netflix: shorter gaps than half a second are closed to two frames, since a blink of the screen disturbs.
CLOSED_GAP_SECONDS = 0.5
# Netflix: a subtitle may stay for twelve frames after the sound has ended, half a second at 24 frames a second. It does where there
# is time: a CTC model marks the last letter of a word while it is still being said.
TAIL_SECONDS = 12 / 24
# BBC: a subtitle does not hang on the screen for more than 1.5 s after speech has stopped; a pause of that length ends one.
LINGER_SECONDS = 1.5
PAUSE_SECONDS = 1.5

# Costs in terms of one subtitle more (1): of a tenth of the reading speed too much, of a subtitle that is on the screen for no
# time, of one that is empty where others are full, and of an end at the worst place.
_TOO_FAST, _UNCOMFORTABLE, _TOO_SHORT, _UNEVEN, _PARTING = 1.0, 0.1, 2.0, 0.5, 2.0


@dataclass(frozen=True)
class SubtitleRules:
    """How much a subtitle holds and how long it stays.

    Attributes:
        characters: in a line at most; a wide character of East Asian scripts counts as two.
        lines: at most.
        comfortable_speed: characters a second for which a subtitle stays longer than its words, where there is time.
        fastest_speed: characters a second that are exceeded only where the speaker leaves no choice.
        shortest: seconds that a subtitle stays at least, where there is time.
        longest: seconds that it stays at most.
        gap: seconds between two subtitles that follow one another.
        pause: seconds without speech that end a subtitle.

    Raises:
        ValueError: for values that no subtitle can have.
    """

    characters: int = CHARACTERS_IN_A_LINE
    lines: int = LINES
    comfortable_speed: float = COMFORTABLE_SPEED
    fastest_speed: float = FASTEST_SPEED
    shortest: float = SHORTEST_SECONDS
    longest: float = LONGEST_SECONDS
    gap: float = GAP_SECONDS
    pause: float = PAUSE_SECONDS

    def __post_init__(self) -> None:
        # Two columns hold one wide character.
        for name, least in (("characters", 2), ("lines", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{name} must be a whole number from {least} on; got {value!r}")
        for name in ("comfortable_speed", "fastest_speed", "longest", "pause"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0; got {getattr(self, name)!r}")
        if not self.comfortable_speed <= self.fastest_speed:
            raise ValueError(
                f"comfortable_speed ({self.comfortable_speed}) must not be above fastest_speed ({self.fastest_speed})"
            )
        if not 0 <= self.shortest <= self.longest:
            raise ValueError(
                f"shortest must lie between 0 and longest ({self.longest}) seconds; got {self.shortest!r}"
            )
        if not 0 <= self.gap < math.inf:
            raise ValueError(f"gap must be a number of seconds from 0 on; got {self.gap!r}")


@dataclass(frozen=True)
class Cue:
    """One subtitle.

    Attributes:
        start: when it appears, in seconds; its first word begins then.
        end: when it goes, in seconds.
        words: its words.
        line_starts: the index of each line's first word, 0 first.
    """

    start: float
    end: float
    words: tuple[TimedWord, ...]
    line_starts: tuple[int, ...] = (0,)

    @property
    def text(self) -> str:
        """All in one line."""
        return " ".join(word.text for word in self.words)

    @property
    def lines(self) -> tuple[str, ...]:
        """As it stands on the screen."""
        return tuple(" ".join(line) for line in self.words_by_line())

    @property
    def speed(self) -> float:
        """The characters that have to be read in a second."""
        return width(self.text) / (self.end - self.start)

    def words_by_line(self) -> tuple[tuple[str, ...], ...]:
        """The words of each line."""
        ends = [*self.line_starts[1:], len(self.words)]
        return tuple(
            tuple(word.text for word in self.words[first:end])
            for first, end in zip(self.line_starts, ends, strict=True)
        )


def subtitle_cues(
    words: Iterable[TimedWord], rules: SubtitleRules | None = None, *, seconds: float | None = None
) -> list[Cue]:
    """Words as subtitles, of least cost over all ways to part them: a new one begins at pauses and ends of sentences.

    No word is left out, whatever its speed: where somebody speaks faster than can be read, a subtitle is fast as well. Words
    that are longer than a line are parted, as writing without spaces has to be.

    Args:
        words: in their order, with times in seconds.
        rules: how much a subtitle holds and how long it stays; :class:`SubtitleRules` by default.
        seconds: the recording's length: no subtitle stays after its end.

    Returns:
        Subtitles in order, which do not overlap; each lasts a millisecond at least.

    Raises:
        ValueError: for a time that is no finite number.
    """
    rules = SubtitleRules() if rules is None else rules
    pieces = [piece for word in tidy_words(words) for piece in split_word(word, rules.characters)]
    pieces = tidy_words(pieces, shortest=1)
    bounds = _partition(pieces, rules)
    groups = [pieces[first:end] for first, end in pairwise(bounds)]
    starts = [to_milliseconds(group[0].start) for group in groups]
    last = math.inf if seconds is None else to_milliseconds(seconds)
    cues = []
    for index, group in enumerate(groups):
        following = starts[index + 1] if index + 1 < len(groups) else None
        end = _end(group, following, last, rules)
        cues.append(
            Cue(group[0].start, end / 1000, tuple(group), tuple(break_lines(group, rules.characters)))
        )
    return cues


def _partition(words: Sequence[TimedWord], rules: SubtitleRules) -> list[int]:
    """The index of each subtitle's first word, and the number of words at the end."""
    costs, previous = [0.0], [0]
    widths = [width(word.text) for word in words]
    for end in range(1, len(words) + 1):
        best, begun = math.inf, end - 1
        inside = 0.0
        parting = _PARTING * break_cost(words[end - 1], words[end]) if end < len(words) else 0.0
        for first in range(end - 1, -1, -1):
            if first < end - 1:
                if not _goes_on(words, first, end, rules):
                    break
                inside += inside_cost(words[first], words[first + 1])
            taken = widths[first:end]
            if first < end - 1 and lines_needed(taken, rules.characters) > rules.lines:
                break
            cost = (
                costs[first] + inside + parting + _cost(words, first, end, sum(taken) + len(taken) - 1, rules)
            )
            if cost < best:
                best, begun = cost, first
        costs.append(best)
        previous.append(begun)
    bounds = [len(words)]
    while bounds[-1]:
        bounds.append(previous[bounds[-1]])
    return bounds[::-1]


def _goes_on(words: Sequence[TimedWord], first: int, end: int, rules: SubtitleRules) -> bool:
    """Whether the words from ``first`` on may be in one subtitle with those after it."""
    pause = words[first + 1].start - words[first].end
    return pause < rules.pause and words[end - 1].end - words[first].start <= rules.longest


def _cost(words: Sequence[TimedWord], first: int, end: int, length: int, rules: SubtitleRules) -> float:
    """What a subtitle of the words from ``first`` up to ``end`` costs by itself."""
    start, stop = words[first].start, words[end - 1].end + LINGER_SECONDS
    if end < len(words):
        stop = min(stop, words[end].start - rules.gap)
    available = max(min(stop - start, rules.longest), 1e-3)
    cost = 1.0
    speed = length / available
    cost += _TOO_FAST * max(0.0, speed / rules.fastest_speed - 1)
    cost += _UNCOMFORTABLE * max(0.0, min(speed, rules.fastest_speed) / rules.comfortable_speed - 1)
    if available < rules.shortest:
        cost += _TOO_SHORT * (1 - available / rules.shortest)
    return cost + _UNEVEN * (1 - length / (rules.characters * rules.lines)) ** 2


def _end(words: Sequence[TimedWord], following: int | None, last: float, rules: SubtitleRules) -> int:
    """When a subtitle goes, in milliseconds: after it could be read, if the next, at ``following``, leaves the time."""
    start, spoken = to_milliseconds(words[0].start), to_milliseconds(words[-1].end)
    length = sum(width(word.text) for word in words) + len(words) - 1
    read = start + to_milliseconds(max(rules.shortest, length / rules.comfortable_speed))
    end = max(spoken + to_milliseconds(TAIL_SECONDS), min(read, spoken + to_milliseconds(LINGER_SECONDS)))
    gap = to_milliseconds(rules.gap)
    if following is not None and following - end < max(to_milliseconds(CLOSED_GAP_SECONDS), gap):
        # Where words follow so fast that the gap would take the subtitle's time, it takes half of it.
        end = max(following - gap, start + (following - start + 1) // 2)
    end = min(end, start + to_milliseconds(rules.longest), max(last, spoken))
    return int(max(end, to_milliseconds(words[-1].start) + 1))
