"""Words that a search is to favour: names and terms that a language model may not know."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from tfwav2vec2.language.character_trie import CharacterTrie, build_trie

logger = logging.getLogger(__name__)


def hotword_list(hotwords: Iterable[str] | None) -> list[str]:
    """The single words of hotwords and phrases.

    Raises:
        ValueError: where they are not texts.
    """
    if isinstance(hotwords, str):
        raise ValueError(f"hotwords must be a list of words; got the text {hotwords!r}")
    if hotwords is not None and not isinstance(hotwords, Iterable):
        raise ValueError(f"hotwords must be a list of words; got {hotwords!r}")
    hotwords = list(hotwords) if hotwords is not None else []
    wrong = [word for word in hotwords if not isinstance(word, str)]
    if wrong:
        raise ValueError(f"hotwords must be a list of words; it holds {wrong[0]!r}")
    return [word for phrase in hotwords for word in phrase.split()]


def hotword_trie(hotwords: Iterable[str] | None, letters: str) -> CharacterTrie:
    """The tree that a search favours words by; ``letters`` are those of the labels, sorted.

    Words with other letters are remarked on: no text can hold them.

    Raises:
        ValueError: where the hotwords are not texts.
    """
    words = {word: index for index, word in enumerate(hotword_list(hotwords))}
    foreign = sorted(word for word in words if not set(letters).issuperset(word))
    if foreign:
        logger.warning("The labels cannot spell the hotwords %s", ", ".join(map(repr, foreign)))
    return build_trie(words, words, letters)
