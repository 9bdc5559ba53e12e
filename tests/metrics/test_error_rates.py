"""Error rates of texts: the alignment against a recursion, and what the rates count."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.metrics.error_rates import (
    Edit,
    ErrorRate,
    align,
    character_error_rate,
    word_error_rate,
)

texts = st.text(alphabet="ab ", max_size=9)


def fewest_errors(said: str, found: str) -> int:
    """Levenshtein's distance as it is defined."""

    @cache
    def errors(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        substituted = errors(i - 1, j - 1) + (said[i - 1] != found[j - 1])
        return min(substituted, errors(i - 1, j) + 1, errors(i, j - 1) + 1)

    return errors(len(said), len(found))


@given(texts, texts)
def test_alignment_spells_both_texts_with_the_fewest_errors(said: str, found: str) -> None:
    edits = align(said, found)
    assert "".join(edit.said for edit in edits if edit.said is not None) == said
    assert "".join(edit.found for edit in edits if edit.found is not None) == found
    assert sum(one != other for one, other in edits) == fewest_errors(said, found)
    assert Edit(None, None) not in edits


@given(st.lists(st.tuples(texts, texts), max_size=4))
def test_rates_count_units_over_all_texts(pairs: list[tuple[str, str]]) -> None:
    said, found = ([pair[side] for pair in pairs] for side in (0, 1))
    words, characters = word_error_rate(said, found), character_error_rate(said, found)
    assert words.units == sum(len(text.split()) for text in said)
    assert words.errors == sum(fewest_errors(a.split(), b.split()) for a, b in pairs)
    assert characters.units == sum(len(text.strip()) for text in said)
    assert characters.errors == sum(fewest_errors(a.strip(), b.strip()) for a, b in pairs)
    assert words.rate == words.errors / max(words.units, 1)
    assert words.correct_transcripts == sum(a.split() == b.split() for a, b in pairs)
    assert words.transcripts == len(pairs)
    # What was found is what was said, less what was left out, plus what was made up.
    assert sum(len(text.split()) for text in found) == words.units - words.deletions + words.insertions


def test_errors_are_told_one_by_one() -> None:
    rate = word_error_rate(["the cat sat down", "the cat"], ["a cat sat", "the the cat"])
    assert rate.substituted == {("the", "a"): 1}
    assert rate.deleted == {"down": 1}
    assert rate.inserted == {"the": 1}
    assert (rate.substitutions, rate.deletions, rate.insertions) == (1, 1, 1)
    assert rate.rate == 3 / 6
    assert rate.correct_transcripts == 0


def test_rates_add_up() -> None:
    one, other = word_error_rate("a b", "a"), word_error_rate("c", "c d")
    assert one + other == word_error_rate(["a b", "c"], ["a", "c d"])
    assert sum([one, other], ErrorRate()).rate == 2 / 3
    with pytest.raises(TypeError):
        one + 1


def test_nothing_said_is_no_division_by_zero() -> None:
    assert word_error_rate("", "").rate == 0
    assert word_error_rate(" ", "made up").rate == 2


def test_characters_and_words_of_any_script() -> None:
    assert character_error_rate("naïve 日本", "naive 日本").rate == 1 / 8
    assert word_error_rate("日本 語", "日本　語").rate == 0


def test_hundreds_of_characters_take_no_time() -> None:
    rng = np.random.default_rng(0)
    said, found = ("".join(rng.choice(list("abcdefgh "), 600)) for _ in range(2))
    assert character_error_rate(said, found).units == len(said.strip())


def test_unequal_numbers_of_texts_are_refused() -> None:
    with pytest.raises(ValueError, match="2 references and 1 hypotheses"):
        word_error_rate(["a", "b"], "a")
