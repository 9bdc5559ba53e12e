"""Transcripts become what a model can learn, and nothing that was said is lost on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.language.transcripts import in_letters_of, new_vocabulary, plain

UPPER = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", "HELLO WORLD"),
        ("It\u2019s  a well-known \u201cfact\u201d.", "IT'S A WELL KNOWN FACT"),
        ("either/or", "EITHER OR"),
        ("room 12", "ROOM 12"),  # what the model cannot write is kept, to be counted
        ("", ""),
    ],
)
def test_text_takes_the_form_of_the_vocabulary(text, expected):
    assert in_letters_of(text, UPPER) == expected


def test_a_vocabulary_with_both_cases_keeps_them():
    assert in_letters_of("McKay", set("McKay")) == "McKay"


def test_punctuation_that_the_vocabulary_has_stays():
    assert in_letters_of("yes. no", set("yesno.")) == "yes. no"


def test_accents_that_are_typed_apart_are_one_letter():
    assert in_letters_of("fu\u0308r", {"f", "\u00fc", "r"}) == "f\u00fcr"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'Tis John's dogs'.", "tis john's dogs"),
        ("A\u2014B", "a b"),
        ("...", ""),
        ("Gr\u00f6\u00dfe 3", "gr\u00f6\u00dfe 3"),
    ],
)
def test_plain_text(text, expected):
    assert plain(text) == expected


def test_a_new_vocabulary_holds_every_letter_once():
    vocabulary = new_vocabulary(["ja nein", "ach"])
    assert list(vocabulary) == ["<pad>", "<s>", "</s>", "<unk>", "|", *"acehijn"]
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))


def test_no_letters_no_vocabulary():
    with pytest.raises(ValueError, match="no letters"):
        new_vocabulary(["", " "])


def test_a_bar_parts_words_as_it_does_in_vocabularies():
    assert plain("ja|nein |") == "ja nein"
    assert in_letters_of("ja|nein |", {"|", *"aeijn"}) == "ja nein"


@given(st.text())
def test_a_vocabulary_made_of_plain_texts_writes_them(text):
    made = plain(text)
    if not made:
        return
    vocabulary = new_vocabulary([made])
    assert in_letters_of(made, vocabulary) == made
    assert plain(made) == made


@given(st.text(alphabet="abc' -.,"), st.text(alphabet="ABC"))
def test_words_are_never_joined_by_spaces(text, letters):
    written = in_letters_of(text, set(letters))
    assert "  " not in written
    assert written == written.strip()
