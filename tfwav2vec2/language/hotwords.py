"""Words that a search is to favour: names and terms that a language model may not know."""

from __future__ import annotations

from collections.abc import Iterable

from tfwav2vec2.language.character_trie import CharacterTrie, build_trie


def hotword_list(hotwords: Iterable[str] | None) -> list[str]:
    """The single words of hotwords and phrases.

    Raises:
        ValueError: where they are not texts.
    """
    if isinstance(hotwords, str):
        raise ValueError(f"hotwords must be a list of words; got the text {hotwords!r}")
    hotwords = list(hotwords or ())
    wrong = [word for word in hotwords if not isinstance(word, str)]
    if wrong:
        raise ValueError(f"hotwords must be a list of words; it holds {wrong[0]!r}")
    return [word for phrase in hotwords for word in phrase.split()]


def hotword_trie(hotwords: Iterable[str] | None, letters: str) -> CharacterTrie:
    """The tree that a search favours words by; ``letters`` are those of the labels, sorted."""
    words = {word: index for index, word in enumerate(hotword_list(hotwords))}
    return build_trie(words, words, letters)
