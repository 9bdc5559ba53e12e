"""Pronunciations: what eSpeak NG says, in the characters that the model writes."""

from __future__ import annotations

import pytest

from recipes.spoken_digits import synthesizers
from recipes.spoken_digits.architecture import encode, make_processor, spelt, vocabulary
from recipes.spoken_digits.corpus import WORDS
from recipes.spoken_digits.phonemes import PHONEMES, pronunciation


@pytest.mark.usefixtures("espeak_ng")
def test_words_are_spelt_as_they_are_said() -> None:
    found = {word: pronunciation(word) for word in ("ONE", "WON", "EIGHT", "JUDGES", "THE", "BUTTER")}
    assert found == {
        "ONE": "wʌn", "WON": "wʌn", "EIGHT": "eɪt", "JUDGES": "dʒʌdʒɪz", "THE": "ðə", "BUTTER": "bʌɾɚ"
    }  # fmt: skip
    assert len({pronunciation(word) for word in WORDS}) == len(WORDS)


@pytest.mark.usefixtures("espeak_ng")
def test_digits_among_other_words_are_written_as_digits() -> None:
    assert spelt(("SEVEN", "EYES", "TWO"), "both") == "7aɪz2"
    ids = vocabulary("both")
    assert encode(("SEVEN", "EYES", "TWO"), "both") == [ids[symbol] for symbol in "7aɪz2"]
    assert list(ids)[: len(vocabulary("digits"))] == list(vocabulary("digits"))


@pytest.mark.usefixtures("espeak_ng")
def test_the_tokenizer_spells_the_same() -> None:
    processor = make_processor("phonemes")
    text = spelt(WORDS, "phonemes")
    assert set(text) <= {*PHONEMES, "|"}
    assert encode(WORDS, "phonemes") == list(processor.tokenizer(text.replace("|", " ")).input_ids)


def test_without_espeak_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesizers.shutil, "which", lambda _: None)
    with pytest.raises(FileNotFoundError, match="apt-get install espeak-ng"):
        pronunciation("A-WORD-THAT-NOTHING-ELSE-ASKS-FOR")
