from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.language.offsets import runs

frames = st.lists(st.integers(0, 31), max_size=40).map(lambda ids: [i for i in ids for _ in range(1 + i % 3)])


@pytest.fixture(scope="module")
def tokenizer(make_tokenizer):
    return make_tokenizer()


@given(frames)
def test_offsets_are_inside_ordered_and_agree_with_the_text(tokenizer, ids: list[int]) -> None:
    out = tokenizer.decode(ids, output_char_offsets=True, output_word_offsets=True)
    for offsets in (out.char_offsets, out.word_offsets):
        bounds = [frame for item in offsets for frame in (item["start_offset"], item["end_offset"])]
        assert bounds == sorted(bounds)
        assert not bounds or (bounds[0] >= 0 and bounds[-1] <= len(ids))
        assert all(item["start_offset"] < item["end_offset"] for item in offsets)
        assert all(type(frame) is int for frame in bounds)
    assert "".join(item["char"] for item in out.char_offsets).strip() == out.text
    assert [item["word"] for item in out.word_offsets] == out.text.split()
    for item in out.char_offsets:
        token = "|" if item["char"] == " " else item["char"]
        spanned = ids[item["start_offset"] : item["end_offset"]]
        assert set(tokenizer.convert_ids_to_tokens(spanned)) == {token}


@given(frames)
def test_a_word_has_the_frames_of_its_characters(tokenizer, ids: list[int]) -> None:
    out = tokenizer.decode(ids, output_char_offsets=True, output_word_offsets=True)
    for word in out.word_offsets:
        inside = [
            item
            for item in out.char_offsets
            if word["start_offset"] <= item["start_offset"] and item["end_offset"] <= word["end_offset"]
        ]
        assert "".join(item["char"] for item in inside) == word["word"]
        assert (inside[0]["start_offset"], inside[-1]["end_offset"]) == (
            word["start_offset"],
            word["end_offset"],
        )


@given(st.lists(frames, min_size=1, max_size=4))
def test_a_batch_gives_what_single_sequences_give(tokenizer, batch: list[list[int]]) -> None:
    assert tokenizer.batch_decode(batch) == [tokenizer.decode(ids) for ids in batch]
    out = tokenizer.batch_decode(batch, output_word_offsets=True)
    assert list(out) == ["text", "word_offsets"]
    assert out.word_offsets == [tokenizer.decode(ids, output_word_offsets=True).word_offsets for ids in batch]
    assert out.char_offsets is None


@given(frames, st.booleans())
def test_runs_cover_every_frame_once(ids: list[int], group: bool) -> None:
    result = runs([str(i) for i in ids], group)
    assert [frame for run in result for frame in range(run.start, run.end)] == list(range(len(ids)))
    assert not group or all(a.token != b.token for a, b in pairwise(result))


def test_blanks_separate_doubled_letters_unless_special_tokens_are_skipped(tokenizer) -> None:
    ids = tokenizer.convert_tokens_to_ids(["H", "E", "L", "<pad>", "L", "O", "O"])
    assert tokenizer.decode(ids) == "HELLO"
    assert tokenizer.decode(ids, skip_special_tokens=True) == "HELO"
    assert tokenizer.decode(ids, skip_special_tokens=True, output_char_offsets=True).char_offsets[-1] == {
        "char": "O",
        "start_offset": 4,
        "end_offset": 6,
    }


def test_double_spaces_inside_stay(tokenizer) -> None:
    ids = tokenizer.convert_tokens_to_ids(["|", "A", "|", "<pad>", "|", "B", "|"])
    assert tokenizer.decode(ids) == "A  B"


@pytest.mark.parametrize("make", [list, tuple, np.array, lambda ids: np.array(ids, np.int64)])
def test_any_container_of_ids(tokenizer, make) -> None:
    assert tokenizer.decode(make([5, 6])) == "AB"
    assert tokenizer.batch_decode(make([[5, 6], [7, 0]])) == ["AB", "C"]


def test_tensorflow_and_jax_ids(tokenizer) -> None:
    import jax.numpy as jnp
    import tensorflow as tf

    for make in (tf.constant, jnp.asarray):
        assert tokenizer.batch_decode(make([[5, 6], [7, 0]])) == ["AB", "C"]
        assert tokenizer.decode(make([5, 6])) == "AB"


def test_single_ids(tokenizer) -> None:
    assert (tokenizer.decode(5), tokenizer.decode(np.int64(5)), tokenizer.decode(0)) == ("A", "A", "")


def test_unknown_ids_read_as_the_unknown_token(tokenizer) -> None:
    assert tokenizer.decode([5, 999]) == "A<unk>"


def test_unknown_ids_without_unknown_token_are_an_error(make_tokenizer) -> None:
    tokenizer = make_tokenizer(["<pad>", "|", "a"], unk_token=None, bos_token=None, eos_token=None)
    with pytest.raises(ValueError, match="not in the vocabulary"):
        tokenizer.decode([2, 9])


def test_a_batch_is_not_one_sequence(tokenizer) -> None:
    with pytest.raises(ValueError, match="use batch_decode"):
        tokenizer.decode([[5], [6]])


def test_spaces_before_punctuation_are_taken_out_on_demand(make_tokenizer) -> None:
    tokenizer = make_tokenizer(["<pad>", "<s>", "</s>", "<unk>", "|", *"ab.,'nt"])
    ids = tokenizer("a , b n't .")["input_ids"]
    assert tokenizer.decode(ids) == "a , b n't ."
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=True) == "a, bn't."
    tokenizer.clean_up_tokenization_spaces = True
    assert tokenizer.decode(ids) == "a, bn't."


def test_offsets_answer_to_attribute_key_and_position(tokenizer) -> None:
    out = tokenizer.decode([5], output_char_offsets=True)
    assert out.text == out["text"] == out[0] == "A"
    assert out.char_offsets == out[1] == [{"char": "A", "start_offset": 0, "end_offset": 1}]
    assert out.word_offsets is None
