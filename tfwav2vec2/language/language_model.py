"""A word n-gram model with the weights by which a beam search trusts it."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from typing import Any, Protocol

import numpy as np

from tfwav2vec2.language.ngram_lm import LAST_WORD, NGramModel

logger = logging.getLogger(__name__)

LN_10 = math.log(10)

DEFAULT_ALPHA = 0.5
DEFAULT_BETA = 1.5
DEFAULT_UNK_SCORE_OFFSET = -10.0
DEFAULT_SCORE_BOUNDARY = True

# Beyond what anybody weighs by; sums of larger products would no longer be finite.
LARGEST_WEIGHT = 1e6

WEIGHTS = ("alpha", "beta", "unk_score_offset", "score_boundary")


class WordModel(Protocol):
    """What scores words one after the other; states are its own."""

    order: int

    def __contains__(self, word: str) -> bool: ...

    def start(self, sentence: bool = True) -> Any:
        """The state before the first word of a sentence, or without any context."""

    def score(self, state: Any, word: str) -> tuple[float, Any]:
        """The logarithm to the base 10 of a word's probability after a state, and the state after it."""


class LanguageModel:
    """A word model, its weights, and the list of known words (reference: ``pyctcdecode.LanguageModel``).

    Args:
        model: an :class:`~tfwav2vec2.language.ngram_lm.NGramModel` or a
            :class:`~tfwav2vec2.language.kenlm_binary.KenlmModel`.
        unigrams: the known words; of these, the ones that the model knows too count. Without them every word that has only
            begun is scored as unknown.
        alpha: the weight of the model's scores beside those of the frames.
        beta: what every word adds to a score.
        unk_score_offset: what an unknown word adds (a logarithm; a word that has only begun takes it as it is, a finished
            one times ``alpha``).
        score_boundary: whether the begin and the end of a sentence are scored.

    Raises:
        ValueError: where a weight is no number, not finite, or beyond a million.
    """

    def __init__(
        self,
        model: WordModel,
        unigrams: Collection[str] | None = None,
        alpha: float = DEFAULT_ALPHA,
        beta: float = DEFAULT_BETA,
        unk_score_offset: float = DEFAULT_UNK_SCORE_OFFSET,
        score_boundary: bool = DEFAULT_SCORE_BOUNDARY,
    ) -> None:
        for name, value in (("alpha", alpha), ("beta", beta), ("unk_score_offset", unk_score_offset)):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{name} must be a finite number; got {value!r}")
            _check_size(name, value)
        if not isinstance(score_boundary, bool):
            raise ValueError(f"score_boundary must be True or False; got {score_boundary!r}")
        self.model = model
        self.unigrams = frozenset(word for word in unigrams or () if word in model)
        if unigrams and len(self.unigrams) < 0.1 * len(unigrams):
            logger.warning(
                "The language model knows %s of the %s listed words", len(self.unigrams), len(unigrams)
            )
        self.alpha, self.beta = float(alpha), float(beta)
        self.unk_score_offset, self.score_boundary = float(unk_score_offset), score_boundary

    @property
    def order(self) -> int:
        """The length of the model's longest n-grams."""
        return self.model.order

    def weights(self) -> dict[str, Any]:
        """What ``attrs.json`` holds."""
        return {name: getattr(self, name) for name in WEIGHTS}

    def reset_params(self, **weights: Any) -> None:
        """Change weights by name; None leaves one as it is.

        Raises:
            ValueError: where a number is not a ``float``, or ``score_boundary`` not a ``bool``, as in the reference.
        """
        for name in WEIGHTS:
            value = weights.get(name)
            kind = bool if name == "score_boundary" else float
            if value is not None and not isinstance(value, kind):
                raise ValueError(f"{name} must be a {kind.__name__}; got {value!r}")
            if value is not None:
                _check_size(name, value)
        for name in WEIGHTS:
            if weights.get(name) is not None:
                setattr(self, name, weights[name])

    def start(self) -> Any:
        """The state before the first word."""
        return self.model.start(self.score_boundary)

    def score(self, state: Any, word: str, is_last: bool = False) -> tuple[float, Any]:
        """What a word adds to a beam's score after a state, with the end of the sentence where it is the last; and the next state."""
        score, after = self.model.score(state, word)
        if (self.unigrams and word not in self.unigrams) or word not in self.model:
            score += self.unk_score_offset
        if is_last and self.score_boundary:
            score += self.model.score(after, LAST_WORD)[0]
        return self.alpha * score * LN_10 + self.beta, after

    def vocabulary(self) -> dict[str, int]:
        """The words that can be told from unknown ones without asking the model, each with the model's id."""
        if isinstance(self.model, NGramModel):
            return {word: index for index, word in enumerate(self.model.words) if index != self.model.unknown}
        return {word: index for index, word in enumerate(sorted(self.unigrams))}

    def unigram_scores(self) -> np.ndarray:
        """Without context the logarithm to the base 10 of the probability of each word of :meth:`vocabulary`, by its number."""
        if isinstance(self.model, NGramModel):
            return self.model.arrays.probability[1 : 1 + len(self.model.words)]
        empty = self.model.start(sentence=False)
        return np.array([self.model.score(empty, word)[0] for word in self.vocabulary()], np.float32)


def _check_size(name: str, value: float) -> None:
    if not abs(value) <= LARGEST_WEIGHT:
        raise ValueError(
            f"{name} must be a finite number, from {-LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}; got {value!r}"
        )
