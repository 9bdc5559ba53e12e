from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.language.conftest import LETTERS, numbered
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.language.vocabulary import AddedToken, Vocabulary, check_encoder, check_vocabulary

tokens = st.text(alphabet="abc<>", min_size=1, max_size=4)


@given(st.lists(tokens, max_size=6), st.text(alphabet="abc<> ", max_size=30))
def test_splitting_keeps_every_character_and_cuts_at_every_token(added: list[str], text: str) -> None:
    vocabulary = Vocabulary(numbered("xyz"))
    for token in added:
        vocabulary.add(AddedToken(token))
    pieces = vocabulary.split(text)
    assert "".join(pieces) == text
    assert all(pieces)
    for piece in pieces:
        assert vocabulary.added_token(piece) or not any(token in piece for token in added)


def test_the_leftmost_and_longest_token_wins() -> None:
    vocabulary = Vocabulary(numbered("x"))
    for token in ("ab", "abc", "bcd"):
        vocabulary.add(AddedToken(token))
    assert vocabulary.split("zabcdab") == ["z", "abc", "d", "ab"]


@given(st.dictionaries(tokens, st.integers(0, 9), max_size=5), st.lists(tokens, max_size=8, unique=True))
def test_new_tokens_never_take_an_id_that_is_in_use(encoder: dict[str, int], added: list[str]) -> None:
    vocabulary = Vocabulary(dict(encoder))
    known = set(encoder.values())
    for token in added:
        before = set(vocabulary.ids().values())
        is_new = vocabulary.add(AddedToken(token))
        assert is_new == (token not in encoder)
        if is_new:
            assert vocabulary.id_of(token) not in before | known
        assert vocabulary.id_of(token) is not None
    assert len(vocabulary) == len(encoder.keys() | set(added))


def test_new_tokens_follow_the_vocabulary() -> None:
    vocabulary = Vocabulary(numbered("abc"))
    assert [vocabulary.add(AddedToken(token)) for token in ("XY", "b", "Z")] == [True, False, True]
    assert vocabulary.added_ids() == {"b": 1, "XY": 3, "Z": 4}


def test_added_tokens_that_contradict_the_vocabulary_are_left_out() -> None:
    added = {0: AddedToken("a"), 1: AddedToken("other"), 2: AddedToken("a"), 7: AddedToken("new")}
    vocabulary = Vocabulary(numbered("ab"), added)
    assert vocabulary.added_ids() == {"a": 0, "new": 7}
    assert [vocabulary.token_of(index) for index in (0, 1, 7, 9)] == ["a", "b", "new", None]


def test_a_token_comes_from_text_dictionaries_and_foreign_objects() -> None:
    foreign = SimpleNamespace(
        content="x", lstrip=True, rstrip=False, single_word=False, normalized=False, special=True
    )
    assert AddedToken.of(foreign) == AddedToken("x", lstrip=True, normalized=False, special=True)
    assert AddedToken.of({"content": "x", "special": True}) == AddedToken("x", special=True, normalized=False)
    assert AddedToken.of({"content": "x", "__type": "AddedToken", "id": 3}).normalized is True
    assert str(AddedToken.of("x")) == "x"


@pytest.mark.parametrize("token", [3, None, {"lstrip": True}, {"content": 5}, ["x"]])
def test_what_is_no_token_is_refused(token: object) -> None:
    with pytest.raises(TypeError, match="token"):
        AddedToken.of(token)


@pytest.mark.parametrize(
    "encoder", [{}, [], {"a": "1"}, {"a": True}, {"a": -1}, {"a": 1.0}, {"a": None}, "abc"]
)
def test_what_is_no_vocabulary_is_refused(encoder: object) -> None:
    with pytest.raises(ValueError, match=r"vocab\.json must map each token to its id"):
        check_encoder(encoder, "vocab.json")


class TestCheckVocabulary:
    def test_a_fitting_head_passes(self, tokenizer) -> None:
        check_vocabulary(tokenizer, Wav2Vec2Config(vocab_size=32))

    def test_added_special_tokens_may_lie_beyond_the_head(self, make_tokenizer) -> None:
        tokenizer = make_tokenizer(["<pad>", "<unk>", "|", *"abc"])
        assert len(tokenizer) == 8
        for outputs in (6, 8):
            check_vocabulary(tokenizer, Wav2Vec2Config(vocab_size=outputs))

    def test_an_output_without_a_token_is_refused(self, tokenizer) -> None:
        with pytest.raises(
            ValueError, match="33 outputs and the vocabulary 32 tokens: output 32 has no token"
        ):
            check_vocabulary(tokenizer, Wav2Vec2Config(vocab_size=33))

    def test_a_token_without_an_output_is_refused(self, tokenizer) -> None:
        with pytest.raises(ValueError, match=r'31 outputs and the token "\'".*id 31'):
            check_vocabulary(tokenizer, Wav2Vec2Config(vocab_size=31))

    def test_a_blank_beyond_the_head_is_refused(self, make_tokenizer) -> None:
        tokenizer = make_tokenizer(LETTERS[1:])
        with pytest.raises(ValueError, match="The blank, '<pad>', has the id 31"):
            check_vocabulary(tokenizer, Wav2Vec2Config(vocab_size=31))
