from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recipes.spoken_digits.word_errors import WordErrors, aligned, word_errors

SENTENCES = st.lists(st.sampled_from(["ONE", "TWO", "SIX"]), max_size=7)


@pytest.mark.parametrize(
    ("said", "found", "substitutions", "deletions", "insertions"),
    [
        ("ONE TWO THREE", "ONE TWO THREE", 0, 0, 0),
        ("ONE TWO THREE", "ONE FIVE THREE", 1, 0, 0),
        ("ONE TWO THREE", "ONE THREE", 0, 1, 0),
        ("ONE TWO THREE", "ONE TWO TWO THREE", 0, 0, 1),
        ("ONE TWO", "", 0, 2, 0),
        ("", "SIX", 0, 0, 1),
        ("", "", 0, 0, 0),
        ("ONE TWO THREE FOUR", "TWO THREE FIVE FOUR", 0, 1, 1),
        ("ONE TWO", "THREE FOUR FIVE", 2, 0, 1),
    ],
)
def test_hand_counted(said, found, substitutions, deletions, insertions):
    errors = word_errors(said.split(), found.split())
    assert (errors.substitutions, errors.deletions, errors.insertions) == (
        substitutions,
        deletions,
        insertions,
    )
    assert errors.words == len(said.split())
    assert (errors.sentences, errors.correct_sentences) == (1, int(said == found))


@given(SENTENCES, SENTENCES)
def test_fewest_changes(said, found):
    @cache
    def distance(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        change = distance(i - 1, j - 1) + (said[i - 1] != found[j - 1])
        return min(change, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    errors = word_errors(said, found)
    assert errors.errors == distance(len(said), len(found))
    assert len(said) - errors.deletions + errors.insertions == len(found)
    assert errors.correct_sentences == (said == found)


def test_counts_add_up_and_rates_are_of_the_words_said():
    errors = word_errors(["ONE", "TWO", "THREE", "FOUR"], ["ONE", "TWO"]) + word_errors(["SIX"], ["SIX"])
    assert errors == WordErrors(5, 0, 2, 0, 2, 1)
    assert errors.rate == 2 / 5
    assert errors.accuracy == 0.5
    assert WordErrors().rate == 0.0
    assert word_errors([], ["ONE", "TWO"]).rate == 2.0


def test_words_stand_beside_what_was_made_of_them():
    said, found = ("ONE", "TWO", "THREE", "FOUR"), ("ONE", "NINE", "FOUR")
    pairs = [("ONE", "ONE"), ("TWO", "NINE"), ("THREE", None), ("FOUR", "FOUR")]
    assert aligned(said, found) in (
        pairs,
        [("ONE", "ONE"), ("TWO", None), ("THREE", "NINE"), ("FOUR", "FOUR")],
    )
    assert aligned(("ONE",), ("ONE", "FIVE")) == [("ONE", "ONE"), (None, "FIVE")]
    assert aligned((), ()) == []
