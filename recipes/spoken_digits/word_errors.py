"""Word error rate: how many words have to be changed to turn a transcript into what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WordErrors:
    """Counts over one or more sentences; they add up with ``+``."""

    words: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    sentences: int = 0
    correct_sentences: int = 0

    @property
    def errors(self) -> int:
        """Words to change: substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Word error rate: errors for each word that was said; 0 where nothing was said and nothing was found."""
        return self.errors / max(self.words, 1)

    @property
    def accuracy(self) -> float:
        """The part of the sentences without any error."""
        return self.correct_sentences / max(self.sentences, 1)

    def __add__(self, other: WordErrors) -> WordErrors:
        return WordErrors(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def aligned(said: Sequence[str], found: Sequence[str]) -> list[tuple[str | None, str | None]]:
    """What was said beside what was found, None where one of them has nothing: the alignment with the fewest errors (Levenshtein)."""
    # cost[i, j]: fewest changes that turn the first i words said into the first j found.
    cost = np.zeros((len(said) + 1, len(found) + 1), int)
    cost[:, 0] = np.arange(len(said) + 1)
    cost[0, :] = np.arange(len(found) + 1)
    for i, word in enumerate(said):
        for j, other in enumerate(found):
            cost[i + 1, j + 1] = min(cost[i, j] + (word != other), cost[i, j + 1] + 1, cost[i + 1, j] + 1)

    pairs: list[tuple[str | None, str | None]] = []
    i, j = len(said), len(found)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (said[i - 1] != found[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((said[i], found[j]))
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            pairs.append((said[i], None))
        else:
            j -= 1
            pairs.append((None, found[j]))
    return pairs[::-1]


def word_errors(said: Sequence[str], found: Sequence[str]) -> WordErrors:
    """Count the errors of one sentence."""
    return count_errors(aligned(said, found))


def count_errors(pairs: Sequence[tuple[str | None, str | None]]) -> WordErrors:
    """Count the errors of one sentence, given as :func:`aligned` gives it."""
    deletions = sum(other is None for _, other in pairs)
    insertions = sum(word is None for word, _ in pairs)
    wrong = sum(word != other for word, other in pairs)
    return WordErrors(
        len(pairs) - insertions, wrong - deletions - insertions, deletions, insertions, 1, int(not wrong)
    )
