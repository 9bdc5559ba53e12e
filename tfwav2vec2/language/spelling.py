"""The words of a text as labels of a model: what there is to align."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfwav2vec2.language.alignment import WILDCARD
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.language.transcripts import composed, known_form

Unknown = Literal["error", "wildcard"]

# How many of the characters that a model lacks a message names.
_NAMED = 10


@dataclass(frozen=True)
class SpelledWord:
    """A word of a text and where its labels are.

    Attributes:
        text: as it was written, with its punctuation.
        line: the number of its line in the text, from 0 on; empty lines have none.
        characters: what each of its labels stands for, as it was written.
        labels: (characters,), the indices of its labels among those of the text.
    """

    text: str
    line: int
    characters: tuple[str, ...]
    labels: np.ndarray


@dataclass(frozen=True)
class Spelling:
    """A text in the labels of a model.

    Attributes:
        ids: (labels,), the labels of all words in their order, with the word delimiter between them.
        words: the words.
        lines: the lines of the text that hold words, each as it was written but for white space.
    """

    ids: np.ndarray
    words: tuple[SpelledWord, ...]
    lines: tuple[str, ...]


def spell(text: str, tokenizer: Wav2Vec2CTCTokenizer, *, unknown: Unknown = "error") -> Spelling:
    """A text in a tokenizer's letters: in their case, without the punctuation that it lacks, a delimiter between words.

    Words are what white space parts. One without a letter, such as a dash, belongs to the word before it, the first to the word
    after it. A hyphen inside of a word parts its letters as a space would, since so they are in transcripts to learn from.

    Args:
        text: of one line or of several.
        tokenizer: the model's.
        unknown: what becomes of letters and digits that the tokenizer lacks: ``"error"``, or ``"wildcard"``, which lets each
            run of them inside of a word stand for whatever is said there.

    Raises:
        ValueError: where the text has no letters, or has characters that the tokenizer lacks.
    """
    if unknown not in ("error", "wildcard"):
        raise ValueError(f"unknown must be 'error' or 'wildcard'; got {unknown!r}")
    speller = _Speller(tokenizer)
    for line in text.splitlines():
        speller.add_line(line.split())
    if speller.unknown and unknown == "error":
        named = ", ".join(f"{character!r}" for character in list(speller.unknown)[:_NAMED])
        more = f" and {len(speller.unknown) - _NAMED} more" if len(speller.unknown) > _NAMED else ""
        word = next(iter(speller.unknown.values()))
        raise ValueError(
            f"The model has no letters for {named}{more} (as in {word!r}): write the text as it is said, numbers as words, or "
            "let them stand for whatever is said there with unknown='wildcard'"
        )
    if not speller.words:
        raise ValueError("There is nothing to align: the text has no letters")
    return Spelling(
        np.array(speller.ids), tuple(speller.words), tuple(" ".join(line) for line in speller.lines)
    )


class _Speller:
    """Spells a text word by word."""

    def __init__(self, tokenizer: Wav2Vec2CTCTokenizer) -> None:
        special = set(tokenizer.all_special_tokens) | {tokenizer.word_delimiter_token}
        self._letters = {
            token: index for token, index in tokenizer.get_vocab().items() if token not in special
        }
        self._delimiter = tokenizer.get_vocab().get(tokenizer.word_delimiter_token)
        self.ids: list[int] = []
        self.words: list[SpelledWord] = []
        self.lines: list[list[str]] = []
        # Characters without a label, and a word in which each was found.
        self.unknown: dict[str, str] = {}
        self._waiting: list[str] = []  # words without a letter at the text's beginning

    def add_line(self, words: list[str]) -> None:
        """Spell the words of a line."""
        line: list[str] = []
        for written in words:
            characters, labels = self._spell(written)
            if labels:
                if not line:
                    self.lines.append(line)
                text = " ".join([*self._waiting, written])
                self._waiting.clear()
                line.append(text)
                self.words.append(SpelledWord(text, len(self.lines) - 1, tuple(characters), np.array(labels)))
            elif self.words:
                self._lengthen(written)
            else:
                self._waiting.append(written)

    def _lengthen(self, written: str) -> None:
        """Put what has no letters behind the last word."""
        last = self.words[-1]
        self.words[-1] = SpelledWord(f"{last.text} {written}", last.line, last.characters, last.labels)
        self.lines[-1][-1] = self.words[-1].text

    def _spell(self, written: str) -> tuple[list[str], list[int]]:
        """The characters of a word that have labels, and the labels' indices."""
        characters: list[str] = []
        labels: list[int] = []
        parted = bool(self.ids)
        as_written = unicodedata.normalize("NFC", written)
        for character, plain in zip(as_written, composed(written), strict=True):
            form = known_form(plain, self._letters)
            if not form or form == " ":
                parted = parted or (form == " " and bool(labels))
                continue
            label = self._letters.get(form, WILDCARD)
            if label == WILDCARD:
                self.unknown.setdefault(character, written)
                if labels and not parted and self.ids[-1] == WILDCARD:
                    characters[-1] += character
                    continue
            if parted and self._delimiter is not None:
                self.ids.append(self._delimiter)
            parted = False
            characters.append(character)
            labels.append(len(self.ids))
            self.ids.append(label)
        return characters, labels
