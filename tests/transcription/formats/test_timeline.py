import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcription.formats.made_words import any_words, ordered_words, words
from tfwav2vec2.transcription.formats.timeline import clock, one_line, tidy_words
from tfwav2vec2.transcription.transcript import TimedWord


@given(words, st.integers(0, 20))
def test_times_are_in_order_and_apart(words, shortest):
    tidied = tidy_words(words, shortest)
    reached, least = 0.0, shortest / 1000
    for word in tidied:
        assert reached <= word.start <= word.end
        assert word.end - word.start > least - 1e-6
        reached = word.end
    assert all(round(time * 1000) / 1000 == time for word in tidied for time in (word.start, word.end))


@given(ordered_words())
def test_what_is_in_order_stays(words):
    kept = [word for word in words if one_line(word.text)]
    assert [(word.start, word.end) for word in tidy_words(words)] == [(word.start, word.end) for word in kept]


@given(any_words())
def test_starts_move_only_to_keep_the_order(words):
    kept = [word for word in words if one_line(word.text)]
    latest = 0.0
    for word, tidied in zip(kept, tidy_words(words), strict=True):
        latest = max(latest, word.start)
        assert tidied.start == pytest.approx(latest, abs=5e-4)


@given(st.text())
def test_a_text_is_one_line(text):
    line = one_line(text)
    assert line == " ".join(line.split())
    assert len(line.splitlines()) <= 1
    assert line.replace(" ", "") == "".join(
        each
        for each in text
        if (not each.isspace() and each.isprintable()) or (ord(each) > 0x9F and not each.isspace())
    )


def test_a_lone_surrogate_is_replaced():
    assert one_line("a\udce9b") == "a?b"


@pytest.mark.parametrize("time", [math.nan, math.inf, -math.inf])
def test_times_that_are_no_numbers_are_refused(time):
    with pytest.raises(ValueError, match=r"'word' is said from .* times must be finite"):
        tidy_words([TimedWord("word", 0.0, time)])


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "00:00:00,000"),
        (0.0004, "00:00:00,000"),
        (59.9996, "00:01:00,000"),
        (3661.5, "01:01:01,500"),
        (360_000, "100:00:00,000"),
    ],
)
def test_clock(seconds, expected):
    assert clock(seconds, ",") == expected
