"""Words as a tree of letters, in compact arrays."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from tfwav2vec2.language.compiled import compiled


class CharacterTrie(NamedTuple):
    """Words letter by letter; node 0 is the empty beginning, and the children of a node lie side by side, sorted.

    ``letter`` (nodes,) the number of the letter that leads there; ``begin`` (nodes + 1,) where a node's children begin;
    ``word`` (nodes,) the number of the word that ends there, or -1; ``listed`` (nodes,) whether a listed word ends there;
    ``shortest`` (nodes,) the length in letters of the shortest listed word that passes or ends there, or 0.
    """

    letter: np.ndarray
    begin: np.ndarray
    word: np.ndarray
    listed: np.ndarray
    shortest: np.ndarray


def build_trie(words: Mapping[str, int], listed: Collection[str], letters: str) -> CharacterTrie:
    """Make the tree of words; of one with a foreign letter, of what comes before it.

    Args:
        words: each with its number.
        listed: which of them count as known.
        letters: sorted; a letter's number is its place.

    Raises:
        ImportError: where numba is not installed.
    """
    ordered = sorted(words)
    codes, known = _codes("".join(ordered)), _codes(letters)
    if len(known):
        place = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        spelled = np.where(known[place] == codes, place, -1).astype(np.int32)
    else:
        spelled = np.full(len(codes), -1, np.int32)
    ends = np.cumsum([len(word) for word in ordered], dtype=np.int64)
    numbers = np.array([words[word] for word in ordered], np.int32)
    is_listed = np.array([word in listed for word in ordered], np.bool_)
    depth, parent, *columns = _branches(spelled, ends, numbers, is_listed)
    # Level by level: within one, the branches of sorted words stand parent by parent and letter by letter.
    order = np.argsort(depth, kind="stable")
    renumbered = np.empty_like(order)
    renumbered[order] = np.arange(len(order))
    parents = renumbered[parent[order[1:]]]
    begin = 1 + np.searchsorted(parents, np.arange(len(order) + 1))
    letter, word, listed_here, shortest = (column[order] for column in columns)
    return CharacterTrie(letter, begin.astype(np.int32), word, listed_here, shortest)


@compiled
def best_below(trie: Any, values: Any) -> Any:
    """For each node the largest value (nodes,) of a listed word that passes or ends there; minus infinity where there is none."""
    best = np.full(len(trie.letter), -np.inf, np.float32)
    for node in range(len(best) - 1, -1, -1):  # children come after their parents
        if trie.listed[node]:
            best[node] = values[trie.word[node]]
        for child in range(trie.begin[node], trie.begin[node + 1]):
            best[node] = max(best[node], best[child])
    return best


def _codes(text: str) -> np.ndarray:
    return np.array(bytearray(text.encode("utf-32-le", "surrogatepass")), np.uint8).view(np.uint32)


@compiled
def _branches(spelled: Any, ends: Any, numbers: Any, listed: Any) -> Any:
    """One branch for each beginning, in the order in which sorted words open them: depth, parent, and the tree's columns."""
    size = len(spelled) + 1
    depth, parent, letter = np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros(size, np.int32)
    word, ends_listed = np.full(size, -1, np.int32), np.zeros(size, np.bool_)
    shortest = np.zeros(size, np.int32)
    longest, begin = 0, 0
    for row in range(len(ends)):
        longest = max(longest, ends[row] - begin)
        begin = ends[row]
    path = np.zeros(longest + 1, np.int32)
    shared, count, begin = 0, 1, 0
    for row in range(len(ends)):
        length = ends[row] - begin
        step = 0
        while step < min(shared, length) and letter[path[step + 1]] == spelled[begin + step]:
            step += 1
        while step < length and spelled[begin + step] >= 0:
            parent[count], depth[count], letter[count] = path[step], step + 1, spelled[begin + step]
            step += 1
            path[step] = count
            count += 1
        shared = step
        if step == length and length > 0:
            word[path[step]] = numbers[row]
            ends_listed[path[step]] = listed[row]
        if listed[row]:
            for passed in range(step + 1):
                node = path[passed]
                if shortest[node] == 0 or length < shortest[node]:
                    shortest[node] = length
        begin = ends[row]
    return depth[:count], parent[:count], letter[:count], word[:count], ends_listed[:count], shortest[:count]
