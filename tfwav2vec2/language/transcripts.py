"""Transcripts as people write them to transcripts that a model can learn: in its letters, without punctuation."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable

# What stands for each special token in a new vocabulary, in the order of the reference's own (wav2vec2-base-960h).
SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
WORD_DELIMITER = "|"

# Quotation marks that people type in place of an apostrophe.
_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'", "\u00b4": "'"})


def in_letters_of(text: str, vocabulary: Collection[str]) -> str:
    """A transcript in the letters of a vocabulary: their case, no punctuation that it lacks, single spaces.

    What the vocabulary lacks besides, such as digits, stays: dropping it would teach the model something that was not said.

    Args:
        text: as a person wrote it.
        vocabulary: the letters that the model knows.
    """
    letters = (known_form(letter, vocabulary) for letter in composed(text))
    return " ".join("".join(letters).split())


def known_form(letter: str, vocabulary: Collection[str]) -> str:
    """A letter as a vocabulary has it; nothing or a space for a mark that it lacks; any other letter as it is."""
    for form in (letter, letter.upper(), letter.lower()):
        if form in vocabulary and form != WORD_DELIMITER:
            return form
    return _separator(letter)


def _separator(letter: str) -> str:
    """Nothing for a mark that stands inside words or at their ends, a space for one between words, else the letter.

    A bar parts words, since that is what vocabularies write in place of a space.
    """
    category = unicodedata.category(letter)
    if category == "Pd" or letter in ("/", WORD_DELIMITER):
        return " "
    return "" if category[0] in "PC" and not letter.isspace() else letter


def composed(text: str) -> str:
    """One code point for a letter and its accents, and one apostrophe for all that look like it."""
    return unicodedata.normalize("NFC", text).translate(_APOSTROPHES)


def plain(text: str) -> str:
    """A transcript in lower case without punctuation; apostrophes stay inside words, where they belong to the spelling."""
    letters = [letter if letter == "'" else _separator(letter) for letter in composed(text).lower()]
    words = (
        word.strip("'") for word in composed("".join(letters)).split()
    )  # what stood apart may have come together
    return " ".join(word for word in words if word)


def new_vocabulary(transcripts: Iterable[str]) -> dict[str, int]:
    """Ids for the letters of transcripts: the special tokens, the blank (``<pad>``) first, the word delimiter, the letters.

    Raises:
        ValueError: where the transcripts hold no letters.
    """
    letters = sorted(set().union(*transcripts) - {" ", WORD_DELIMITER})
    if not letters:
        raise ValueError(
            "The transcripts hold no letters to make a vocabulary of; check the manifest's column of texts"
        )
    return {token: index for index, token in enumerate((*SPECIAL_TOKENS, WORD_DELIMITER, *letters))}
