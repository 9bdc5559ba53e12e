"""Word and character error rates of texts, with the errors one by one: for reports, after decoding by any means.

:mod:`tfwav2vec2.metrics.head_metrics` measures the same rates of greedy decoding inside ``fit`` and ``evaluate``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np


class Edit(NamedTuple):
    """One place of an alignment: what was said and what was found there; None is nothing."""

    said: Hashable | None
    found: Hashable | None


@dataclass(frozen=True)
class ErrorRate:
    """Errors over one or more transcripts; they add up with ``+``, so that one speaker's, or all, have one rate.

    ``units`` is the number of words, or characters, that were said. ``substituted``, ``deleted`` and ``inserted`` count
    what was taken for what, what was left out and what was made up.
    """

    units: int = 0
    transcripts: int = 0
    correct_transcripts: int = 0
    substituted: Counter[tuple[Hashable, Hashable]] = field(default_factory=Counter)
    deleted: Counter[Hashable] = field(default_factory=Counter)
    inserted: Counter[Hashable] = field(default_factory=Counter)

    @classmethod
    def of(cls, reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> ErrorRate:
        """The errors of one transcript, by :func:`align`."""
        edits = [edit for edit in align(reference, hypothesis) if edit.said != edit.found]
        return cls(
            units=len(reference),
            transcripts=1,
            correct_transcripts=int(not edits),
            substituted=Counter(tuple(edit) for edit in edits if None not in edit),
            deleted=Counter(edit.said for edit in edits if edit.found is None),
            inserted=Counter(edit.found for edit in edits if edit.said is None),
        )

    @property
    def substitutions(self) -> int:
        """How many units were taken for another."""
        return self.substituted.total()

    @property
    def deletions(self) -> int:
        """How many units were left out."""
        return self.deleted.total()

    @property
    def insertions(self) -> int:
        """How many units were found that nobody said."""
        return self.inserted.total()

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors for each unit that was said; above 1 where much is made up. Where nothing was said, their number."""
        return self.errors / max(self.units, 1)

    def __add__(self, other: ErrorRate) -> ErrorRate:
        if not isinstance(other, ErrorRate):
            return NotImplemented
        return ErrorRate(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


def word_error_rate(references: str | Sequence[str], hypotheses: str | Sequence[str]) -> ErrorRate:
    """The word error rate of transcripts: all errors over all words that were said.

    Words are what white space separates. Case and punctuation count: bring both sides to one form before.

    Args:
        references: what was said, a text or one for each clip.
        hypotheses: what was found, as many.

    Returns:
        The rate (``.rate``) with its errors one by one.

    Raises:
        ValueError: for unequal numbers of texts.
    """
    return _error_rate(references, hypotheses, str.split)


def character_error_rate(references: str | Sequence[str], hypotheses: str | Sequence[str]) -> ErrorRate:
    """The character error rate of transcripts: all errors over all characters that were said.

    Spaces are characters, except at the ends of a text, where they are left out. Arguments, result and errors are those
    of :func:`word_error_rate`.
    """
    return _error_rate(references, hypotheses, lambda text: list(text.strip()))


def align(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> list[Edit]:
    """An alignment of two sequences with the fewest errors (Levenshtein), from the first place to the last.

    Where several have the fewest, errors stand as early as they can, and a substitution is preferred to an insertion
    and a deletion.

    Source: Wagner and Fischer 1974, "The String-to-String Correction Problem".

    Args:
        reference: what was said; no item may be None.
        hypothesis: what was found; no item may be None.

    Returns:
        One :class:`Edit` for each pair of items, and for each item that has no partner.
    """
    distance = _distances(reference, hypothesis)
    edits = []
    i, j = distance.shape[0] - 1, distance.shape[1] - 1
    while i or j:
        here = distance[i, j]
        if i and j and here == distance[i - 1, j - 1] + (reference[i - 1] != hypothesis[j - 1]):
            i, j = i - 1, j - 1
            edits.append(Edit(reference[i], hypothesis[j]))
        elif i and here == distance[i - 1, j] + 1:
            i -= 1
            edits.append(Edit(reference[i], None))
        else:
            j -= 1
            edits.append(Edit(None, hypothesis[j]))
    return edits[::-1]


def _distances(reference: Sequence[Hashable], hypothesis: Sequence[Hashable]) -> np.ndarray:
    """(n + 1, m + 1): the fewest errors between the first items of the one and the first items of the other."""
    ids: dict[Hashable, int] = {}
    said, found = (
        np.array([ids.setdefault(item, len(ids)) for item in items], int) for items in (reference, hypothesis)
    )
    steps = np.arange(len(found) + 1)
    rows = [steps]
    for token in said:
        above = rows[-1]
        row = above + 1
        row[1:] = np.minimum(row[1:], above[:-1] + (found != token))
        # The cheapest way in from the left, for all columns at once.
        rows.append(np.minimum.accumulate(row - steps) + steps)
    return np.stack(rows)


def _error_rate(
    references: str | Sequence[str], hypotheses: str | Sequence[str], units: Callable[[str], list[str]]
) -> ErrorRate:
    said, found = ([texts] if isinstance(texts, str) else list(texts) for texts in (references, hypotheses))
    if len(said) != len(found):
        raise ValueError(
            f"There are {len(said)} references and {len(found)} hypotheses; give one hypothesis for each reference"
        )
    pairs = zip(said, found, strict=True)
    return sum((ErrorRate.of(units(one), units(other)) for one, other in pairs), ErrorRate())
