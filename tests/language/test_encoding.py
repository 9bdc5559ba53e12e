from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.language.conftest import LETTERS
from tfwav2vec2 import BatchEncoding
from tfwav2vec2.language.vocabulary import AddedToken

texts = st.text(alphabet="ABCXYZ' |<s>é\n", max_size=20)
words = st.lists(st.text(alphabet="ABCDE'", min_size=1, max_size=8), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def tokenizer(make_tokenizer):
    return make_tokenizer()


@given(words)
def test_decoding_gives_the_text_back(tokenizer, words: list[str]) -> None:
    text = " ".join(words)
    assert tokenizer.decode(tokenizer(text)["input_ids"], group_tokens=False) == text


@given(words)
def test_lower_case_text_comes_back_in_lower_case(make_tokenizer, words: list[str]) -> None:
    tokenizer = make_tokenizer(do_lower_case=True)
    for text in (" ".join(words), " ".join(words).lower()):
        assert tokenizer.decode(tokenizer(text)["input_ids"], group_tokens=False) == text.lower()


@given(
    st.lists(texts, min_size=1, max_size=4), st.sampled_from([None, 8]), st.sampled_from(["left", "right"])
)
def test_a_batch_gives_what_single_texts_give(tokenizer, texts, multiple, side) -> None:
    batch = tokenizer(texts, padding=True, pad_to_multiple_of=multiple, padding_side=side)
    for text, ids, mask in zip(texts, batch["input_ids"], batch["attention_mask"], strict=True):
        single = tokenizer(text)["input_ids"]
        assert [i for i, valid in zip(ids, mask, strict=True) if valid] == single
        assert sum(mask) == len(single)
        assert mask == sorted(mask, reverse=side == "right")
        assert len(ids) == len(batch["input_ids"][0])
        assert multiple is None or len(ids) % multiple == 0


@given(texts, st.integers(1, 30), st.integers(0, 5))
def test_truncation_keeps_the_beginning(tokenizer, text: str, limit: int, stride: int) -> None:
    whole = tokenizer(text)["input_ids"]
    cut = tokenizer(text, truncation=True, max_length=limit, return_overflowing_tokens=True, stride=stride)
    assert cut["input_ids"] == whole[:limit]
    assert cut["overflowing_tokens"] == (whole[max(limit - stride, 0) :] if len(whole) > limit else [])
    assert cut["num_truncated_tokens"] == len(whole) - limit


def test_truncation_on_the_left_keeps_the_end(make_tokenizer) -> None:
    tokenizer = make_tokenizer(truncation_side="left")
    assert tokenizer.decode(tokenizer("ABCD", truncation=True, max_length=2)["input_ids"]) == "CD"


def test_a_length_alone_truncates(tokenizer) -> None:
    assert len(tokenizer("ABCDE", max_length=3)["input_ids"]) == 3
    assert len(tokenizer("ABCDE", max_length=3, truncation=False)["input_ids"]) == 5
    assert len(tokenizer("ABCDE", max_length=3, padding="max_length")["input_ids"]) == 5


def test_tokens_of_several_characters_swallow_spaces(tokenizer) -> None:
    assert tokenizer.tokenize("A <s> B") == ["A", "<s>", "B"]
    assert tokenizer.tokenize("A <s> B", split_special_tokens=True) == [*"A|<s>|B"]


def test_a_word_delimiter_of_several_characters_is_one_token(make_tokenizer) -> None:
    tokenizer = make_tokenizer(["<pad>", "<unk>", "<space>", *"AB"], word_delimiter_token="<space>")
    ids = tokenizer("A B")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["A", "<space>", "B"]
    assert tokenizer.decode(ids) == "A B"


def test_special_tokens_survive_lower_casing(make_tokenizer) -> None:
    tokenizer = make_tokenizer(do_lower_case=True, additional_special_tokens=["[Noise]"])
    assert tokenizer.tokenize("Ab[Noise]c") == ["A", "B", "[Noise]", "C"]


def test_a_single_word_token_dissolves_inside_a_word(make_tokenizer) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(AddedToken("XY", single_word=True, normalized=False))
    assert tokenizer.tokenize("A XY B") == ["A", "|", "XY", "|", "B"]
    assert tokenizer.tokenize("AXYB") == [*"AXYB"]


def test_missing_special_tokens_follow_the_vocabulary(make_tokenizer) -> None:
    tokenizer = make_tokenizer(["|", "a", "b"])
    assert tokenizer.convert_tokens_to_ids(["<s>", "</s>", "<unk>", "<pad>"]) == [3, 4, 5, 6]
    assert (tokenizer.vocab_size, len(tokenizer)) == (3, 7)
    assert tokenizer("a?")["input_ids"] == [1, 5]


def test_an_unknown_character_without_unknown_token_is_an_error(make_tokenizer) -> None:
    tokenizer = make_tokenizer(["<pad>", "|", "a"], unk_token=None, bos_token=None, eos_token=None)
    assert tokenizer.convert_tokens_to_ids("?") is None
    with pytest.raises(ValueError, match=r"token '\?' is not in the vocabulary"):
        tokenizer("a?")


def test_targets_become_labels(tokenizer) -> None:
    both = tokenizer("AB", text_target="C")
    assert both["labels"] == tokenizer("C")["input_ids"] == tokenizer(text_target="C")["input_ids"]


def test_encode_takes_texts_tokens_and_ids(tokenizer) -> None:
    assert tokenizer.encode("AB") == tokenizer.encode(["A", "B"]) == tokenizer.encode([5, 6]) == [5, 6]
    assert tokenizer.encode(["AB", "C"], is_split_into_words=True) == tokenizer.encode(" AB C")


@pytest.mark.parametrize("kind", ["np", "tf", "jax"])
def test_tensors_of_each_framework(tokenizer, kind: str) -> None:
    batch = tokenizer(["AB", "C"], padding=True, return_tensors=kind)
    assert isinstance(batch, BatchEncoding)
    assert np.asarray(batch.input_ids).tolist() == [[5, 6], [7, 0]]
    assert np.asarray(tokenizer("AB", return_tensors=kind).attention_mask).tolist() == [[1, 1]]
    assert np.asarray(tokenizer("", return_tensors=kind)["input_ids"]).dtype.kind == "i"
    padded = tokenizer.pad({"input_ids": batch.input_ids}, padding="max_length", max_length=4)
    assert type(padded.input_ids) is type(batch.input_ids)


def test_rows_of_different_lengths_cannot_be_one_tensor(tokenizer) -> None:
    ragged = tokenizer(["AB", "C"], return_tensors="np")["input_ids"]
    assert [row.tolist() for row in ragged] == [[5, 6], [7]]
    with pytest.raises(ValueError, match=r"rows of input_ids differ in length.*padding=True"):
        tokenizer(["AB", "C"], return_tensors="tf")


@given(st.lists(st.lists(st.integers(0, 40), max_size=6), min_size=1, max_size=4))
def test_padding_leaves_the_callers_lists_alone(tokenizer, rows: list[list[int]]) -> None:
    examples = [{"input_ids": list(row)} for row in rows]
    padded = tokenizer.pad(examples)
    assert examples == [{"input_ids": row} for row in rows]
    assert [ids[: len(row)] for ids, row in zip(padded["input_ids"], rows, strict=True)] == rows


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((), {}, "nothing to encode"),
        (("A", "B"), {}, "Pairs of texts"),
        ((5,), {}, "must be a string or a list"),
        (([5],), {}, "must hold strings"),
        (([["A"]],), {}, "must hold strings"),
        (([],), {}, "list of texts is empty"),
        (("A",), {"padding": "sometimes"}, "padding is 'sometimes'"),
        (("A",), {"truncation": "sometimes"}, "truncation is 'sometimes'"),
        (("A",), {"padding": True, "padding_side": "top"}, "padding_side is 'top'"),
        (("A",), {"return_tensors": "xx"}, "return_tensors is 'xx'"),
        (
            ("A",),
            {"padding": True, "truncation": True, "max_length": 5, "pad_to_multiple_of": 4},
            "not a multiple",
        ),
    ],
)
def test_bad_arguments_are_named(tokenizer, arguments, options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer(*arguments, **options)


def test_offsets_in_the_text_are_not_available(tokenizer) -> None:
    with pytest.raises(NotImplementedError, match="not available"):
        tokenizer("A", return_offsets_mapping=True)


def test_padding_needs_a_padding_token(make_tokenizer) -> None:
    with pytest.raises(ValueError, match="needs a padding token"):
        make_tokenizer(LETTERS, pad_token=None)(["A", "BC"], padding=True)


@pytest.mark.parametrize("bad", [{}, {"labels": [[1]]}])
def test_padding_needs_ids(tokenizer, bad) -> None:
    with pytest.raises(ValueError, match="needs a field input_ids"):
        tokenizer.pad(bad)


def test_padding_needs_fields_of_one_batch_size(tokenizer) -> None:
    with pytest.raises(ValueError, match="same number of rows"):
        tokenizer.pad({"input_ids": [[1], [2]], "attention_mask": [[1]]})


def test_unlimited_lengths_are_mentioned_and_ignored(tokenizer, caplog) -> None:
    with caplog.at_level(logging.WARNING, logger="tfwav2vec2"):
        assert tokenizer("AB", padding="max_length", truncation=True)["input_ids"] == [5, 6]
    assert "Neither max_length nor a limit" in caplog.text
