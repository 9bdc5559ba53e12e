"""Perplexity: how well a language model foresees a text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tfwav2vec2.language.language_model import WordModel
from tfwav2vec2.language.ngram_lm import LAST_WORD


class Perplexity(NamedTuple):
    """Perplexity for each word, where the end of a sentence counts as a word (as KenLM's ``query`` prints it).

    ``with_unknown``: over all words, of which the unknown ones have the probability of ``<unk>``; ``without_unknown``: over
    those that the model knows; ``words``: how many there are, ends of sentences included; ``unknown``: how many of them the
    model does not know; ``sentences``.
    """

    with_unknown: float
    without_unknown: float
    words: int
    unknown: int
    sentences: int


def perplexity(model: WordModel, texts: Iterable[str]) -> Perplexity:
    """The perplexity of sentences under a model.

    Args:
        model: such as an :class:`~tfwav2vec2.language.ngram_lm.NGramModel`.
        texts: the sentences; white space parts words, and an empty one is none.

    Raises:
        ValueError: where there is no sentence.
    """
    known = unknown = 0.0
    words = missing = sentences = 0
    first = model.start()
    for text in texts:
        sentence = text.split()
        if not sentence:
            continue
        state = first
        for word in sentence:
            score, state = model.score(state, word)
            if word in model:
                known += score
            else:
                unknown += score
                missing += 1
        known += model.score(state, LAST_WORD)[0]
        words += len(sentence) + 1
        sentences += 1
    if not sentences:
        raise ValueError("The text holds no words to measure the perplexity on; give one sentence a line")
    return Perplexity(
        _per_word(known + unknown, words),
        _per_word(known, words - missing),
        words,
        missing,
        sentences,
    )


def _per_word(log10: float, words: int) -> float:
    """10 to the power of the mean negative logarithm; infinite where that is more than a float holds."""
    exponent = -log10 / words
    return 10.0**exponent if exponent < 300 else float("inf")
