"""How often sequences of words occur: n-grams of every length, counted by sorting numbers."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from tfwav2vec2.language.ngram_lm import FIRST_WORD, LAST_WORD, UNKNOWN_WORD

# The ids that every vocabulary begins with, as in KenLM.
SPECIAL_WORDS = (UNKNOWN_WORD, FIRST_WORD, LAST_WORD)
UNKNOWN, FIRST, LAST = range(3)

# So many words are sorted at a time, which bounds the memory beside the words and the n-grams themselves.
_BLOCK = 2**22


class Corpus(NamedTuple):
    """Sentences as numbers.

    ``words``: the vocabulary, ``<unk>``, ``<s>`` and ``</s>`` first and the others in the order of their code points, so that
    the order of the sentences does not matter; ``tokens`` (tokens,) int32: all sentences one after the other, each from its
    ``<s>`` to its ``</s>``.
    """

    words: list[str]
    tokens: np.ndarray

    @property
    def sentences(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.tokens == LAST))


class NGrams(NamedTuple):
    """The different n-grams of one length, in the order of their words' ids.

    ``context`` (n-grams,): the place, among the n-grams that are a word shorter, of the one without the last word;
    ``word``: the last word's id; ``shorter``: the place of the one without the first word; ``count``: how often it occurs.
    Of single words ``context`` and ``shorter`` are 0, and every word of the vocabulary is there, ``<s>`` too.
    """

    context: np.ndarray
    word: np.ndarray
    shorter: np.ndarray
    count: np.ndarray


def read_corpus(sentences: Iterable[str]) -> Corpus:
    """Number the words of sentences; they are what white space parts. An empty sentence is none.

    Raises:
        ValueError: where a sentence holds ``<s>``, ``</s>`` or ``<unk>``, or there is no word at all.
    """
    ids: defaultdict[str, int] = defaultdict()
    ids.default_factory = ids.__len__
    for special in SPECIAL_WORDS:
        ids[special]
    tokens, specials = array("i"), frozenset(SPECIAL_WORDS)
    for number, sentence in enumerate(sentences, start=1):
        words = sentence.split()
        if not words:
            continue
        if not specials.isdisjoint(words):
            found = next(word for word in words if word in specials)
            raise ValueError(
                f"Sentence {number} holds {found}, which language models use for themselves; take it out of the text"
            )
        tokens.append(FIRST)
        tokens.extend(map(ids.__getitem__, words))
        tokens.append(LAST)
    if not tokens:
        raise ValueError("The text holds no words; give one sentence a line")
    written = list(ids)
    words = [*SPECIAL_WORDS, *sorted(written[len(SPECIAL_WORDS) :])]
    places = np.empty(len(words), np.int32)
    places[[ids[word] for word in words]] = np.arange(len(words), dtype=np.int32)
    numbers = np.frombuffer(tokens, np.int32)
    for begin in range(0, len(numbers), _BLOCK):  # in place: the words are what takes the memory
        numbers[begin : begin + _BLOCK] = places[numbers[begin : begin + _BLOCK]]
    return Corpus(words, numbers)


def count_ngrams(corpus: Corpus, order: int) -> Iterator[NGrams]:
    """Count the n-grams of each length from 1 to ``order``. None reaches beyond its sentence.

    An n-gram is known by one number, made of the place of its context and the id of its last word: numbers are sorted and
    counted block by block.
    """
    tokens, vocabulary = corpus.tokens, len(corpus.words)
    everyone = np.arange(vocabulary, dtype=np.int32)
    nothing = np.zeros(vocabulary, np.int32)
    yield NGrams(nothing, everyone, nothing, np.bincount(tokens, minlength=vocabulary))
    keys, shorter = everyone.astype(np.int64), nothing
    # For each token the place of the n-gram that ends there, -1 where the sentence is too short for one.
    places = tokens.copy() if order > 2 else tokens
    for length in range(2, order + 1):
        below, shorter_below = keys, shorter
        keys, counts = _count(places, tokens, vocabulary)
        context, word = (part.astype(np.int32) for part in np.divmod(keys, vocabulary))
        shorter = word
        if length > 2:
            shorter = np.searchsorted(below, shorter_below[context] * np.int64(vocabulary) + word)
            shorter = shorter.astype(np.int32)
        yield NGrams(context, word, shorter, counts)
        if length < order:
            _extend(places, tokens, keys, vocabulary)


def _count(places: np.ndarray, tokens: np.ndarray, vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the n-grams that extend those at ``places`` by a word, sorted, and how often each occurs."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for begin in range(0, len(tokens) - 1, _BLOCK):
        found = _numbers(places, tokens, begin, vocabulary)
        parts.append(np.unique(found[found >= 0], return_counts=True))
        # Joined when they are of about a size, each is joined but a few times.
        while len(parts) > 1 and len(parts[-2][0]) < 2 * len(parts[-1][0]):
            parts[-2:] = [_joined(*parts[-2:])]
    while len(parts) > 1:
        parts[-2:] = [_joined(*parts[-2:])]
    return parts[0]


def _joined(
    one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    keys = np.concatenate([one[0], other[0]])
    place = np.argsort(keys, kind="stable")
    keys = keys[place]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else place
    counts = np.concatenate([one[1], other[1]])[place]
    return keys[first], np.add.reduceat(counts, first) if len(keys) else counts


def _numbers(places: np.ndarray, tokens: np.ndarray, begin: int, vocabulary: int) -> np.ndarray:
    """For a block of tokens the numbers of the n-grams that end at the next ones; negative where there is none."""
    end = min(begin + _BLOCK, len(tokens) - 1)
    last = tokens[begin + 1 : end + 1]
    numbers = places[begin:end] * np.int64(vocabulary) + last
    numbers[last == FIRST] = -1
    return numbers


def _extend(places: np.ndarray, tokens: np.ndarray, keys: np.ndarray, vocabulary: int) -> None:
    """Turn the places of n-grams into those of the ones that are a word longer, from the last block to the first."""
    for begin in reversed(range(0, len(tokens) - 1, _BLOCK)):
        numbers = _numbers(places, tokens, begin, vocabulary)
        there = numbers >= 0
        found = np.full(len(numbers), -1, np.int32)
        found[there] = np.searchsorted(keys, numbers[there])
        places[begin + 1 : begin + 1 + len(found)] = found
    places[0] = -1
