from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.language.alignment import WILDCARD
from tfwav2vec2.language.spelling import Spelling, spell
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.language.transcripts import in_letters_of


def spelled(spelling: Spelling, tokenizer: Wav2Vec2CTCTokenizer) -> str:
    tokens = (
        "*" if index == WILDCARD else tokenizer.convert_ids_to_tokens(int(index)) for index in spelling.ids
    )
    return "".join(tokens)


@pytest.mark.parametrize(
    ("text", "labels", "words"),
    [
        ("Hello, world!", "HELLO|WORLD", ["Hello,", "world!"]),
        ("It\u2019s  self-made.", "IT'S|SELF|MADE", ["It\u2019s", "self-made."]),
        ("\u2014 yes \u2013 no \u2026", "YES|NO", ["\u2014 yes \u2013", "no \u2026"]),
        ("-a-b-", "A|B", ["-a-b-"]),
        ("a/b c|d", "A|B|C|D", ["a/b", "c|d"]),
        ("\ta\n\n b \r\n", "A|B", ["a", "b"]),
    ],
)
def test_words_stay_as_they_were_written(
    tokenizer: Wav2Vec2CTCTokenizer, text: str, labels: str, words: list[str]
) -> None:
    spelling = spell(text, tokenizer)
    assert spelled(spelling, tokenizer) == labels
    assert [word.text for word in spelling.words] == words


def test_characters_are_those_of_the_text(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    first, second = spell("Don\u2019t co-op", tokenizer).words
    assert first.characters == tuple("Don\u2019t")
    assert second.characters == tuple("coop")
    assert first.labels.tolist() == [0, 1, 2, 3, 4]
    assert second.labels.tolist() == [6, 7, 9, 10]  # between them the delimiters


def test_lines(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    spelling = spell("One, two\n\n  \u2014\nthree   four!\n", tokenizer)
    assert spelling.lines == ("One, two \u2014", "three four!")
    assert [word.line for word in spelling.words] == [0, 0, 1, 1]


def test_accents_that_are_typed_apart_are_one_letter(make_tokenizer) -> None:
    tokenizer = make_tokenizer(["<pad>", "<unk>", "|", "f", "\u00fc", "r"])
    assert spelled(spell("Fu\u0308r", tokenizer), tokenizer) == "f\u00fcr"
    assert spell("Fu\u0308r", tokenizer).words[0].characters == ("F", "\u00fc", "r")


def test_without_a_delimiter_words_follow_one_another(make_tokenizer) -> None:
    tokenizer = make_tokenizer(["<pad>", "<unk>", "a", "b"])
    assert spelled(spell("ab b", tokenizer), tokenizer) == "abb"


def test_special_tokens_are_no_letters(make_tokenizer) -> None:
    """A blank may be a single character, and the text may hold it."""
    tokenizer = make_tokenizer(["_", "?", "|", "a"], pad_token="_", unk_token="?")
    assert spell("a_?a", tokenizer).ids.tolist() == [3, 3]


def test_unknown_letters_are_named(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    with pytest.raises(
        ValueError, match=r"no letters for '7', '\u20ac' \(as in '7\u20ac,'\): write .* unknown='wildcard'"
    ):
        spell("about 7\u20ac, or 77\u20ac", tokenizer)
    with pytest.raises(ValueError, match=r"'9' and 1 more \(as in"):
        spell("0123456789\u20ac", tokenizer)


@pytest.mark.parametrize(
    ("text", "labels"),
    [("about 77\u20ac", "ABOUT|*"), ("a7b", "A*B"), ("7-7", "*|*"), ("7.7", "*"), ("7 7", "*|*")],
)
def test_unknown_letters_may_stand_for_whatever_is_said(
    tokenizer: Wav2Vec2CTCTokenizer, text: str, labels: str
) -> None:
    spelling = spell(text, tokenizer, unknown="wildcard")
    assert spelled(spelling, tokenizer) == labels
    for word in spelling.words:
        assert len(word.characters) == len(word.labels)


@pytest.mark.parametrize("text", ["", " \n ", "...", "\u2014 !"])
def test_a_text_without_letters(tokenizer: Wav2Vec2CTCTokenizer, text: str) -> None:
    with pytest.raises(ValueError, match="the text has no letters"):
        spell(text, tokenizer)


def test_other_choices_are_refused(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    with pytest.raises(ValueError, match="must be 'error' or 'wildcard'; got 'skip'"):
        spell("a", tokenizer, unknown="skip")  # type: ignore[arg-type]


@given(text=st.text(st.sampled_from("abcXYZ'\u2019 .,-\u2013/|\n\t\u00a0!") | st.characters(), max_size=40))
def test_no_text_is_lost_and_labels_are_what_training_has(make_tokenizer, text: str) -> None:
    tokenizer = make_tokenizer()
    try:
        spelling = spell(text, tokenizer)
    except ValueError:
        return
    assert " ".join(word.text for word in spelling.words).split() == text.split()
    assert " ".join(spelling.lines).split() == text.split()
    letters = set("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")
    assert spelled(spelling, tokenizer) == in_letters_of(text, letters).replace(" ", "|")
    labels = [index for word in spelling.words for index in word.labels]
    delimiters = [
        index for index, label in enumerate(spelling.ids) if label == tokenizer.word_delimiter_token_id
    ]
    assert sorted(labels + delimiters) == list(range(len(spelling.ids)))
