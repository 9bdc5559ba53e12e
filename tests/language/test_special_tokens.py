from __future__ import annotations

import copy
import pickle

import pytest

from tests.language.conftest import LETTERS
from tfwav2vec2.language.vocabulary import AddedToken


def test_roles_have_tokens_and_ids(tokenizer) -> None:
    assert tokenizer.special_tokens_map == {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
    }
    assert tokenizer.all_special_tokens == ["<s>", "</s>", "<unk>", "<pad>"]
    assert tokenizer.all_special_ids == [1, 2, 3, 0]
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id) == (0, 1)
    assert (tokenizer.mask_token, tokenizer.mask_token_id) == (None, None)
    assert tokenizer.additional_special_tokens == []


def test_roles_can_be_set_by_token_and_by_id(tokenizer) -> None:
    tokenizer.pad_token = "'"
    assert tokenizer.pad_token_id == 31
    tokenizer.pad_token_id = 0
    assert tokenizer.pad_token == "<pad>"
    tokenizer.mask_token = AddedToken("A", lstrip=True)
    assert (tokenizer.mask_token, tokenizer.mask_token_id) == ("A", 5)
    tokenizer.mask_token = None
    assert tokenizer.mask_token_id is None
    tokenizer.additional_special_tokens_ids = [5, 6]
    assert tokenizer.additional_special_tokens == ["A", "B"]
    tokenizer.word_delimiter_token_id = 31
    assert tokenizer.word_delimiter_token == "'"


def test_adding_roles_adds_what_is_missing(tokenizer) -> None:
    assert tokenizer.add_special_tokens({"mask_token": "[MASK]", "pad_token": "<pad>"}) == 1
    assert tokenizer.mask_token_id == 32
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<x>", "A"]}) == 1
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<y>", "<x>"]}, False) == 1
    assert tokenizer.additional_special_tokens == ["<x>", "A", "<y>"]
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<z>"]}) == 1
    assert tokenizer.additional_special_tokens == ["<z>"]
    assert tokenizer.get_added_vocab()["<y>"] == 34
    assert len(tokenizer) == 36


def test_adding_tokens(tokenizer) -> None:
    assert tokenizer.add_tokens(["XY", "A", "", "XY"]) == 1
    assert tokenizer.add_tokens("Z!", special_tokens=True) == 1
    assert tokenizer.additional_special_tokens == ["Z!"]
    assert tokenizer.tokenize("AXYZ!") == ["A", "XY", "Z!"]
    assert tokenizer.decode(tokenizer("XYZ!")["input_ids"]) == "XYZ!"
    assert tokenizer.decode(tokenizer("XYZ!")["input_ids"], skip_special_tokens=True) == "XY"


def test_callers_tokens_are_left_alone(tokenizer) -> None:
    token = AddedToken("Foo", normalized=True)
    tokenizer.do_lower_case = True
    tokenizer.add_tokens(token, special_tokens=False)
    tokenizer.add_special_tokens({"mask_token": token})
    assert token == AddedToken("Foo", normalized=True)
    assert "foo" in tokenizer.get_vocab()


def test_special_ids_are_marked(tokenizer) -> None:
    assert tokenizer.get_special_tokens_mask([0, 5, 1], already_has_special_tokens=True) == [1, 0, 1]
    assert tokenizer.get_special_tokens_mask([0, 5, 1]) == [0, 0, 0]
    assert tokenizer.num_special_tokens_to_add() == 0


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (TypeError, lambda t: setattr(t, "pad_token", 3)),
        (TypeError, lambda t: setattr(t, "additional_special_tokens", "abc")),
        (TypeError, lambda t: t.add_tokens([3])),
        (ValueError, lambda t: t.add_special_tokens({"noise_token": "x"})),
    ],
)
def test_what_is_no_token_or_role_is_refused(tokenizer, error, change) -> None:
    with pytest.raises(error, match="token"):
        change(tokenizer)


def test_bad_arguments_are_named(make_tokenizer) -> None:
    with pytest.raises(TypeError, match="pad_token must be text or an AddedToken; got 3"):
        make_tokenizer(LETTERS, pad_token=3)
    with pytest.raises(ValueError, match="padding_side is 'top'"):
        make_tokenizer(LETTERS, padding_side="top")


def test_a_tokenizer_can_be_copied_and_pickled(tokenizer) -> None:
    tokenizer.add_tokens(["XY"])
    for twin in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert twin("AXYZ")["input_ids"] == tokenizer("AXYZ")["input_ids"]
    assert "Wav2Vec2CTCTokenizer" in repr(tokenizer)
