"""Perplexity, by its definition."""

from __future__ import annotations

import pytest

from tfwav2vec2 import perplexity, train_language_model


def test_words_and_unknown_words() -> None:
    model = train_language_model(["a b", "a c", "b a"], 2, discount_fallback=True)
    measured = perplexity(model, ["a zebra", "", "b"])
    state, scores = model.start(), []
    for word in ("a", "zebra", "</s>"):
        score, state = model.score(state, word)
        scores.append(score)
    state = model.start()
    for word in ("b", "</s>"):
        score, state = model.score(state, word)
        scores.append(score)
    assert (measured.words, measured.unknown, measured.sentences) == (5, 1, 2)
    assert measured.with_unknown == pytest.approx(10 ** (-sum(scores) / 5))
    assert measured.without_unknown == pytest.approx(10 ** (-(sum(scores) - scores[1]) / 4))


def test_a_text_without_words_has_none() -> None:
    model = train_language_model(["a b"], 1, discount_fallback=True)
    with pytest.raises(ValueError, match="holds no words"):
        perplexity(model, ["", " "])


def test_a_word_that_cannot_be_is_infinitely_surprising(tmp_path) -> None:
    model = train_language_model(["a b"], 1, discount_fallback=(0, 0, 0))
    assert perplexity(model, ["x y z"]).without_unknown == pytest.approx(3)
    assert perplexity(model, ["x y z"]).with_unknown > 1e70
