from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcription.formats.made_words import ordered_words, words
from tfwav2vec2.transcription.formats.timeline import tidy_words
from tfwav2vec2.transcription.subtitle_lines import break_lines, lines_needed, split_word, width
from tfwav2vec2.transcription.subtitles import (
    FASTEST_SPEED,
    GAP_SECONDS,
    LONGEST_SECONDS,
    SHORTEST_SECONDS,
    SubtitleRules,
    subtitle_cues,
)
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord

SONNET = """Shall I compare thee to a summer's day? Thou art more lovely and more temperate: rough winds do shake the
darling buds of May, and summer's lease hath all too short a date."""


def spoken(text: str, pauses: dict[int, float] | None = None, letter: float = 0.075) -> list[TimedWord]:
    """Words at so many seconds a letter, 60 ms apart, with longer pauses after some of them."""
    at, found = 0.5, []
    for index, word in enumerate(text.split()):
        end = at + letter * len(word)
        found.append(TimedWord(word, at, end))
        at = end + (pauses or {}).get(index, 0.06)
    return found


rules = st.builds(
    SubtitleRules,
    characters=st.integers(2, 60),
    lines=st.integers(1, 4),
    comfortable_speed=st.floats(5, 17),
    fastest_speed=st.floats(17, 30),
    shortest=st.floats(0, 1),
    longest=st.floats(1, 10),
    gap=st.sampled_from([0.0, 0.08, 0.5]),
    pause=st.sampled_from([0.3, 1.5, math.inf]),
)


@given(words, rules)
def test_every_word_is_in_a_subtitle_that_fits(words, rules):
    cues = subtitle_cues(words, rules)
    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == "".join(
        word.text for word in tidy_words(words)
    ).replace(" ", "")
    for cue in cues:
        assert 1 <= len(cue.lines) <= rules.lines
        assert all(line and width(line) <= rules.characters for line in cue.lines)
        assert cue.start == cue.words[0].start
        assert cue.end > cue.words[-1].start
    for cue, following in pairwise(cues):
        assert cue.end <= following.start


@given(ordered_words())
def test_times_follow_the_guidelines(words):
    cues = subtitle_cues(words)
    for cue in cues:
        assert cue.end - cue.start <= LONGEST_SECONDS + 1e-6 or len(cue.words) == 1
    for cue, following in pairwise(cues):
        # Where there is time: never a shorter gap than two frames, unless the subtitle would lose more than half of its own.
        available = following.start - cue.start
        if available >= 2 * GAP_SECONDS:
            assert following.start - cue.end >= GAP_SECONDS - 2e-3
        if available >= SHORTEST_SECONDS + GAP_SECONDS:
            assert cue.end - cue.start >= SHORTEST_SECONDS - 2e-3


@given(ordered_words(), st.integers(1, 12))
def test_parts_between_long_silences_are_independent(words, cut):
    """What is said after a pause changes nothing in the subtitles before it."""
    moved = [TimedWord(word.text, word.start + 1000, word.end + 1000) for word in words[cut:]]
    before = subtitle_cues(words[:cut])
    assert subtitle_cues([*words[:cut], *moved])[: len(before)] == before


def test_lines_end_at_sensible_places():
    cues = subtitle_cues(spoken(SONNET, {7: 0.5, 14: 0.4, 23: 0.4}))
    assert [cue.lines for cue in cues] == [
        ("Shall I compare thee to a summer's day?",),
        ("Thou art more lovely and more temperate:",),
        ("rough winds do shake", "the darling buds of May,"),
        ("and summer's lease hath", "all too short a date."),
    ]
    assert all(cue.speed <= FASTEST_SPEED for cue in cues)


def test_pauses_part_what_has_no_punctuation():
    cues = subtitle_cues(spoken("one two three four five six seven eight", {2: 1.0, 5: 2.0}))
    assert [cue.text for cue in cues] == ["one two three", "four five six", "seven eight"]


def test_a_subtitle_stays_until_it_can_be_read():
    cues = subtitle_cues([TimedWord("congratulations!", 1.0, 1.1), TimedWord("yes", 9.0, 9.1)])
    assert cues[0].end == pytest.approx(1.0 + 16 / 17, abs=1e-3)
    assert cues[1].end == pytest.approx(9.0 + SHORTEST_SECONDS, abs=1e-3)
    assert subtitle_cues([TimedWord("yes", 9.0, 9.1)], seconds=9.5)[0].end == 9.5


def test_a_subtitle_outlasts_its_last_letter():
    spoken = [TimedWord("seven", 1.0, 2.0), TimedWord("eight", 4.0, 5.0)]
    assert [cue.end for cue in subtitle_cues(spoken)] == [2.5, 5.5]


def test_a_short_gap_is_closed_to_two_frames():
    rules = SubtitleRules(characters=12, lines=1)
    first, second = subtitle_cues(
        [TimedWord("summer's day", 1.0, 2.0), TimedWord("and more", 2.4, 3.0)], rules
    )
    assert (first.end, second.start) == (2.32, 2.4)


def test_a_subtitle_does_not_hang_on():
    """A word of one second that a slow reader would need long for: 1.5 s after speech has ended it is gone."""
    cue = subtitle_cues([TimedWord("x" * 42, 1.0, 1.1)])[0]
    assert cue.end == pytest.approx(2.6, abs=1e-3)
    held = subtitle_cues([TimedWord("so", 1.0, 31.0)])[0]
    assert held.end == 8.0


def test_speech_too_fast_to_read_is_all_there():
    cues = subtitle_cues(spoken("quickly " * 60, letter=0.01))
    assert sum(len(cue.words) for cue in cues) == 60
    assert max(cue.speed for cue in cues) > FASTEST_SPEED


@given(st.lists(st.integers(1, 12), min_size=1, max_size=14), st.integers(2, 30))
def test_lines_are_as_few_as_there_can_be(lengths, longest):
    taken = [min(length, longest) for length in lengths]
    found = [TimedWord("x" * length, at, at + 0.5) for at, length in enumerate(taken)]
    starts = break_lines(found, longest)
    assert starts[0] == 0
    assert len(starts) == lines_needed(taken, longest)
    bounds = [*starts, len(found)]
    assert all(
        first < end and sum(taken[first:end]) + end - first - 1 <= longest for first, end in pairwise(bounds)
    )


def test_wide_characters_count_as_two():
    assert [width(text) for text in ("abc", "你好", "ｱ", "e\u0301", "\u200f", "")] == [3, 4, 1, 1, 0, 0]
    cues = subtitle_cues([TimedWord("你好世界" * 13, 0.0, 10.4)])
    assert all(width(line) <= 42 for cue in cues for line in cue.lines)
    assert "".join("".join(cue.lines) for cue in cues) == "你好世界" * 13


@given(
    st.text(min_size=1, max_size=60).map(lambda text: "".join(text.split())).filter(bool), st.integers(2, 20)
)
def test_a_long_word_is_parted(text, longest):
    pieces = split_word(TimedWord(text, 1.0, 3.0, 0.5), longest)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text and width(piece.text) <= longest for piece in pieces)
    assert pieces[0].start == 1.0
    assert pieces[-1].end == 3.0
    assert all(piece.end == following.start for piece, following in pairwise(pieces))


def test_pieces_take_the_times_of_their_characters():
    characters = tuple(
        TimedCharacter(each, at, at + 0.5) for each, at in zip("abcd", (1.0, 1.5, 5.0, 5.5), strict=True)
    )
    pieces = split_word(TimedWord("abcd", 1.0, 6.0, None, characters), 2)
    assert [(piece.text, piece.start, piece.end) for piece in pieces] == [("ab", 1.0, 5.0), ("cd", 5.0, 6.0)]
    without = split_word(TimedWord("abcd", 1.0, 6.0), 2)
    assert [piece.start for piece in without] == [1.0, 3.5]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"characters": 1}, "characters must be a whole number from 2 on; got 1"),
        ({"lines": 0}, "lines must be a whole number from 1 on; got 0"),
        ({"lines": 2.0}, "lines must be a whole number"),
        ({"comfortable_speed": 25.0}, "must not be above fastest_speed"),
        ({"fastest_speed": math.nan}, "fastest_speed must be more than 0"),
        ({"longest": 0.5}, "shortest must lie between 0 and longest"),
        ({"gap": -1.0}, "gap must be a number of seconds from 0 on; got -1"),
        ({"pause": 0}, "pause must be more than 0; got 0"),
    ],
)
def test_rules_that_no_subtitle_can_have(wrong, message):
    with pytest.raises(ValueError, match=message):
        SubtitleRules(**wrong)


def test_an_hour_is_quick():
    """Twelve thousand words, as an hour has them, take no more than linear time and a few seconds."""
    import time

    began = time.process_time()
    cues = subtitle_cues(spoken(f"{SONNET} " * 380))
    assert time.process_time() - began < 20
    assert sum(len(cue.words) for cue in cues) == 380 * len(SONNET.split())
