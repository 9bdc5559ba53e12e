"""An n-gram language model in compact arrays: one state is one number."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfwav2vec2.language import ngram_cache
from tfwav2vec2.language.arpa import Arpa, Section, read_arpa
from tfwav2vec2.language.beam_core import score_word
from tfwav2vec2.language.compiled import compiled

UNKNOWN_WORD, FIRST_WORD, LAST_WORD = "<unk>", "<s>", "</s>"

# What an unknown word gets from a model that has no <unk>, as in KenLM (a logarithm to the base 10).
_UNKNOWN_LOG10 = -100.0


class NGramArrays(NamedTuple):
    """The n-grams as a tree of contexts with back-off links.

    Node 0 is the empty context, node ``1 + word`` a unigram, then follow the bigrams, and so on; an n-gram hangs under the
    context of its first words, and the children of a node lie side by side in the order of their words.

    ``word`` (nodes,) the last word; ``probability`` (nodes,) log10; ``shorter`` (nodes,) the n-gram without its first
    word, or the longest one that there is; ``begin`` (contexts + 1,) where the children of a context begin;
    ``backoff`` (contexts,) log10. Nodes from ``contexts`` on are n-grams of the greatest length, which have no children.
    """

    word: np.ndarray
    probability: np.ndarray
    shorter: np.ndarray
    begin: np.ndarray
    backoff: np.ndarray


class NGramModel:
    """A back-off n-gram model (Katz 1987, section III; the ARPA format of Doug Paul).

    Args:
        arpa: the n-grams.
        path: the file that they were read from, which is what is copied where the model is saved.

    Raises:
        ValueError: where the n-grams are no model: ``<s>`` or ``</s>`` is missing, an n-gram occurs twice, or the context of
            one is missing.
    """

    def __init__(self, arpa: Arpa, path: str | Path | None = None) -> None:
        words, sections = list(arpa.words), list(arpa.sections)
        if "<UNK>" in words and UNKNOWN_WORD not in words:
            words[words.index("<UNK>")] = UNKNOWN_WORD
        if UNKNOWN_WORD not in words:
            words.append(UNKNOWN_WORD)
            sections[0] = _with_unknown(sections[0])
        self._know(words, path)
        self.order = len(sections)
        missing = [word for word in (FIRST_WORD, LAST_WORD) if word not in self._ids]
        if missing:
            raise ValueError(
                f"The language model has no {' and no '.join(missing)} among its words; train it on whole sentences"
            )
        self.arrays = _tree(sections)

    def _know(self, words: list[str], path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self.words = words
        self._ids = {word: index for index, word in enumerate(words)}
        self.unknown = self._ids[UNKNOWN_WORD]

    @classmethod
    def read(cls, path: str | Path) -> NGramModel:
        """Read an ARPA file, plain or gzipped; of a large one a copy is kept (:mod:`tfwav2vec2.language.ngram_cache`).

        Raises:
            OSError: where it cannot be read or is damaged.
            ImportError: where numba is not installed.
        """
        stored = ngram_cache.load(Path(path))
        if stored is not None:
            words, arrays = stored
            return cls._restored(words, NGramArrays(*arrays), path)
        key = ngram_cache.copy_of(Path(path))
        try:
            model = cls(read_arpa(path), path)
        except ValueError as error:
            raise OSError(f"{path} cannot be used: {error}") from None
        ngram_cache.store(key, Path(path), model.words, model.arrays)
        return model

    @classmethod
    def _restored(cls, words: list[str], arrays: NGramArrays, path: str | Path) -> NGramModel:
        model = cls.__new__(cls)
        model._know(words, path)
        model.arrays = arrays
        model.order, level = 1, 1
        while arrays.begin[level] < len(arrays.word):
            model.order, level = model.order + 1, int(arrays.begin[level])
        return model

    def write(self, path: str | Path) -> None:
        """Write an ARPA file, gzipped where the name ends in ``.gz``; read back, it is the same model.

        Raises:
            OSError: where it cannot be written.
        """
        from tfwav2vec2.language.arpa_writer import write_arpa

        write_arpa(Arpa(self.words, self._sections()), path)

    def _sections(self) -> list[Section]:
        """The n-grams as an ARPA file lists them, in the order of their words' ids."""
        word, probability, _, begin, backoff = self.arrays
        sections: list[Section] = []
        words = np.zeros((1, 0), np.int32)
        above, first = 0, 1
        for order in range(1, self.order + 1):
            end = int(begin[first])
            context = np.repeat(np.arange(first - above), np.diff(begin[above : first + 1]))
            words = np.concatenate([words[context], word[first:end, None]], axis=1)
            weights = backoff[first:end] if order < self.order else np.zeros(end - first, np.float32)
            sections.append(Section(words, probability[first:end], weights))
            above, first = first, end
        return sections

    def __contains__(self, word: str) -> bool:
        """Whether the model knows a word."""
        return self._ids.get(word, self.unknown) != self.unknown

    def id_of(self, word: str) -> int:
        """A word's id, that of ``<unk>`` for one that the model does not know."""
        return self._ids.get(word, self.unknown)

    def start(self, sentence: bool = True) -> int:
        """The state at the begin of a sentence, or without any context, which is all that a model of unigrams has."""
        return 1 + self._ids[FIRST_WORD] if sentence and self.order > 1 else 0

    def score(self, state: int, word: str) -> tuple[float, int]:
        """The logarithm to the base 10 of a word's probability after ``state``, and the state after it."""
        score, state = score_word(self.arrays, state, self.id_of(word))
        return float(score), int(state)


def _with_unknown(unigrams: Section) -> Section:
    return Section(
        np.concatenate([unigrams.words, np.int32([[len(unigrams.words)]])]),
        np.concatenate([unigrams.probabilities, np.float32([_UNKNOWN_LOG10])]),
        np.concatenate([unigrams.backoffs, np.float32([0])]),
    )


def _tree(sections: list[Section]) -> NGramArrays:
    """Hang every n-gram under its context."""
    vocabulary = len(sections[0].words)
    nodes = 1 + sum(len(section.words) for section in sections)
    contexts = nodes - len(sections[-1].words)
    word, shorter = np.zeros(nodes, np.int32), np.zeros(nodes, np.int32)
    probability, backoff = np.zeros(nodes, np.float32), np.zeros(contexts, np.float32)
    begin = np.full(contexts + 1, nodes, np.int32)
    above, first = 0, 1
    for order, section in enumerate(sections, start=1):
        parents = _contexts(word, begin, section.words)
        if (parents < 0).any():
            raise ValueError(f"an n-gram of {order} words follows a context of {order - 1} that is missing")
        keys = parents.astype(np.int64) * vocabulary + section.words[:, -1]
        place = np.argsort(keys, kind="stable")
        keys = keys[place]
        if (keys[1:] == keys[:-1]).any():
            raise ValueError(f"an n-gram of {order} words occurs twice")
        end = first + len(keys)
        word[first:end] = section.words[place, -1]
        probability[first:end] = section.probabilities[place]
        if order < len(sections):
            backoff[first:end] = section.backoffs[place]
        begin[above:first] = first + np.searchsorted(keys // vocabulary, np.arange(above, first))
        if order < len(sections):
            begin[first] = end
        _link(word, begin, shorter, (keys // vocabulary).astype(np.int32), first, end)
        above, first = first, end
    return NGramArrays(word, probability, shorter, begin, backoff)


@compiled
def _contexts(word: np.ndarray, begin: np.ndarray, ngrams: np.ndarray) -> np.ndarray:
    """The node of each n-gram's context, -1 where there is none."""
    contexts = np.zeros(len(ngrams), np.int32)
    for row in range(len(ngrams)):
        node = np.int32(0)
        for position in range(ngrams.shape[1] - 1):
            wanted = ngrams[row, position]
            low, end = begin[node], begin[node + 1]
            high = end
            while low < high:
                middle = (low + high) >> 1
                if word[middle] < wanted:
                    low = middle + 1
                else:
                    high = middle
            if low >= end or word[low] != wanted:
                node = np.int32(-1)
                break
            node = low
        contexts[row] = node
    return contexts


@compiled
def _link(
    word: np.ndarray, begin: np.ndarray, shorter: np.ndarray, parents: np.ndarray, first: int, end: int
) -> None:
    """Link each n-gram to the longest one that it ends with: that of its context's link and its last word, and so on."""
    for node in range(first, end):
        context = parents[node - first]
        found = np.int32(0)
        while context > 0 and found == 0:
            context = shorter[context]
            low, stop = begin[context], begin[context + 1]
            high = stop
            while low < high:
                middle = (low + high) >> 1
                if word[middle] < word[node]:
                    low = middle + 1
                else:
                    high = middle
            if low < stop and word[low] == word[node]:
                found = low
        shorter[node] = found
