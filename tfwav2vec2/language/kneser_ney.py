"""Interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999, "An empirical study of smoothing techniques for language
modeling", section 3; Heafield et al. 2013 for the conventions, which are those of KenLM's ``lmplz``).

The probability of a word ``w`` after a context ``h`` is ::

    p(w | h) = (c(h w) - D(c(h w))) / c(h .)  +  gamma(h) p(w | h without its first word)

``c`` counts occurrences for the longest n-grams and for those that begin with ``<s>``, and for all others how many different
words stand before them (the adjusted count). ``D`` is one of three discounts of the n-gram's length: for counts of 1, of 2, and
of 3 and more. ``gamma(h)`` is what the discounts, and the n-grams that are pruned, leave over. Below the single words lies the
uniform distribution over all words, ``</s>`` and ``<unk>``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfwav2vec2.language.arpa import MAX_ORDER, Arpa, Section
from tfwav2vec2.language.ngram_counts import FIRST, Corpus, NGrams, count_ngrams, read_corpus
from tfwav2vec2.language.ngram_lm import NGramModel

DEFAULT_ORDER = 3

# What lmplz falls back to where the counts of counts allow no estimate.
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)

# Logarithms of what has no probability at all, as ARPA files write it.
_LOG10_OF_ZERO = -99.0

Progress = Callable[[Iterable[Any]], Iterable[Any]]


class BadDiscountError(ValueError):
    """The text is too small, or too regular, for discounts to be estimated from it."""


class Estimate(NamedTuple):
    """A model's n-grams, and for each length the three discounts and how many n-grams there were before pruning."""

    arpa: Arpa
    discounts: list[tuple[float, float, float]]
    counted: list[int]


def train_language_model(
    texts: Iterable[str],
    order: int = DEFAULT_ORDER,
    prune: Sequence[int] = (0,),
    discount_fallback: bool | Sequence[float] = False,
) -> NGramModel:
    """Estimate an n-gram language model from sentences.

    Args:
        texts: the sentences, as the recogniser should write them (the same letters, the same case); white space parts words.
        order: the length of the longest n-grams.
        prune: for each length, n-grams that occur so often or less are left out, as ``lmplz --prune`` does it: the first
            number is 0, none is less than the one before it, and the last one goes for all greater lengths.
        discount_fallback: what to do where a text is too small for discounts to be estimated: False for an error, True for
            0.5, 1 and 1.5, or three numbers of one's own.

    Returns:
        The model; its ``write`` writes an ARPA file.

    Raises:
        BadDiscountError: where discounts cannot be estimated.
        ValueError: for a text without words or with ``<s>``, ``</s>`` or ``<unk>`` in it, and for options out of range.
        ImportError: where numba is not installed.
    """
    check_options(order, prune, discount_fallback)
    return NGramModel(estimate(read_corpus(texts), order, prune, discount_fallback).arpa)


def estimate(
    corpus: Corpus,
    order: int = DEFAULT_ORDER,
    prune: Sequence[int] = (0,),
    discount_fallback: bool | Sequence[float] = False,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate the n-grams' probabilities and back-off weights; without numba.

    Args:
        corpus: the sentences.
        order, prune, discount_fallback: as for :func:`train_language_model`.
        progress: wraps the lengths from 1 to ``order``, to show how far it is.

    Raises:
        BadDiscountError, ValueError: as :func:`train_language_model` does.
    """
    thresholds, fallback = check_options(order, prune, discount_fallback)
    levels = list((progress or iter)(count_ngrams(corpus, order)))
    sections: list[Section] = []
    discounts = []
    begins_sentence = np.zeros(1, bool)
    lower = np.array([1 / (len(corpus.words) - 1)])  # <s> is never predicted
    kept_below = np.array([True])
    words_below = np.zeros((1, 0), np.int32)
    for length, level in enumerate(levels, start=1):
        begins_sentence = level.word == FIRST if length == 1 else begins_sentence[level.context]
        counts = adjusted_counts(level, levels[length] if length < order else None, begins_sentence)
        if length == 1:
            counts[FIRST] = 0  # given, never predicted
        discounts.append(estimate_discounts(counts, length, fallback))
        kept = level.count > thresholds[length - 1] if length > 1 else np.ones(len(counts), bool)
        probabilities, gammas = _interpolated(level, counts, discounts[-1], kept, lower)
        if length == 1:
            probabilities[FIRST] = 1  # as lmplz writes it
        else:
            sections[-1].backoffs[:] = _log10(gammas)[kept_below]
        words = np.concatenate([words_below[level.context], level.word[:, None]], axis=1)
        sections.append(
            Section(words[kept], _log10(probabilities[kept]), np.zeros(np.count_nonzero(kept), np.float32))
        )
        lower, kept_below, words_below = probabilities, kept, words
    return Estimate(Arpa(corpus.words, sections), discounts, [len(level.word) for level in levels])


def adjusted_counts(level: NGrams, longer: NGrams | None, begins_sentence: np.ndarray) -> np.ndarray:
    """What Kneser and Ney count: for each n-gram how many different words stand before it in the text.

    Args:
        level: the n-grams.
        longer: those that are a word longer; None for the longest ones, which keep their counts.
        begins_sentence: which of them begin with ``<s>``, before which nothing stands: they keep theirs too.
    """
    if longer is None:
        return level.count
    before = np.bincount(longer.shorter, minlength=len(level.word))
    return np.where(begins_sentence, level.count, before)


def estimate_discounts(
    counts: np.ndarray, length: int, fallback: tuple[float, float, float] | None = None
) -> tuple[float, float, float]:
    """The discounts of n-grams of one length, from how many of them are counted once, twice, three and four times.

    Chen and Goodman (1999), equation 26.

    Raises:
        BadDiscountError: where there is none that is counted once, twice or three times, or one comes out below 0, and
            ``fallback`` is None.
    """
    once, twice, thrice, four = (int(np.count_nonzero(counts == number)) for number in (1, 2, 3, 4))
    fault = ""
    if not (once and twice and thrice):
        number = (once, twice, thrice).index(0) + 1
        fault = f"no {length}-gram is counted {number} time{'s' * (number > 1)}"
    else:
        y = once / (once + 2 * twice)
        amounts = (1 - 2 * y * twice / once, 2 - 3 * y * thrice / twice, 3 - 4 * y * four / thrice)
        if min(amounts) >= 0:
            return amounts
        fault = f"those of {length}-grams come out as {', '.join(f'{amount:.3g}' for amount in amounts)}"
    if fallback is not None:
        return fallback
    raise BadDiscountError(
        f"The text is too small, or too regular, to estimate discounts from it ({fault}); give more sentences, take "
        "repeated ones out, or choose fixed discounts with --discount-fallback (discount_fallback=True)"
    )


def _interpolated(
    level: NGrams,
    counts: np.ndarray,
    discounts: tuple[float, float, float],
    kept: np.ndarray,
    lower: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The n-grams' probabilities (those of pruned ones mean nothing), and for each context what is left to shorter ones."""
    amounts = np.minimum(np.array([0, *discounts])[np.minimum(counts, 3)], counts)
    contexts = len(lower)
    totals = np.bincount(level.context, counts, contexts)
    left = np.bincount(level.context, np.where(kept, amounts, counts), contexts)
    gammas = np.divide(left, totals, out=np.ones(contexts), where=totals > 0)
    shares = np.divide(counts - amounts, totals[level.context])
    return shares + gammas[level.context] * lower[level.shorter], gammas


def _log10(probabilities: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        logarithms = np.log10(probabilities)
    return np.clip(logarithms, _LOG10_OF_ZERO, 0).astype(np.float32)


def check_options(
    order: int, prune: Sequence[int], discount_fallback: bool | Sequence[float]
) -> tuple[list[int], tuple[float, float, float] | None]:
    """The threshold of each length, and the discounts to fall back to, None for an error.

    Raises:
        ValueError: where an option is out of range.
    """
    if not isinstance(order, int) or isinstance(order, bool) or not 1 <= order <= MAX_ORDER:
        raise ValueError(f"order must be a whole number from 1 to {MAX_ORDER}; got {order!r}")
    given = list(prune) or [0]
    whole = all(isinstance(number, int) and number >= 0 for number in given)
    if not whole or given[0] != 0 or sorted(given) != given or len(given) > order:
        raise ValueError(
            f"prune must be at most {order} whole numbers, one for each length of n-grams, the first 0 and none less than "
            f"the one before it; got {' '.join(map(str, given))}"
        )
    thresholds = given + given[-1:] * (order - len(given))
    if discount_fallback is False:
        return thresholds, None
    amounts = FALLBACK_DISCOUNTS if discount_fallback is True else tuple(map(float, discount_fallback))
    if len(amounts) != 3 or not all(0 <= amount <= number for number, amount in enumerate(amounts, start=1)):
        raise ValueError(
            f"discount_fallback must be True, False, or three numbers of at least 0 and at most 1, 2 and 3; got {amounts}"
        )
    return thresholds, (amounts[0], amounts[1], amounts[2])
