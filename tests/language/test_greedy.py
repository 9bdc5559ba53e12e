from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.language.greedy import best_path, greedy_decode


@pytest.fixture(scope="module")
def tokenizer(make_tokenizer):
    return make_tokenizer()


def one_hot(rows: list[list[int]]) -> np.ndarray:
    return np.eye(32, dtype=np.float32)[np.array(rows)]


rectangles = st.integers(1, 8).flatmap(
    lambda frames: st.lists(
        st.lists(st.integers(0, 31), min_size=frames, max_size=frames), min_size=1, max_size=3
    )
)


@given(rectangles, st.data())
def test_frames_beyond_the_length_are_not_read(tokenizer, rows, data) -> None:
    lengths = [data.draw(st.integers(0, len(row))) for row in rows]
    logits = one_hot(rows)
    for row, length in enumerate(lengths):
        logits[row, length:] = np.nan
    cut = [row[:length] for row, length in zip(rows, lengths, strict=True)]
    assert [path.tolist() for path in best_path(logits, lengths)] == cut
    assert greedy_decode(logits, lengths, tokenizer) == [tokenizer.decode(ids) for ids in cut]


def test_doubled_letters_stay(tokenizer) -> None:
    ids = tokenizer.convert_tokens_to_ids(["H", "E", "L", "<pad>", "L", "O"])
    assert greedy_decode(one_hot([ids]), None, tokenizer) == ["HELLO"]


def test_offsets_on_demand(tokenizer) -> None:
    out = greedy_decode(one_hot([[5, 5, 4, 6]]), [4], tokenizer, output_word_offsets=True)
    assert out.text == ["A B"]
    assert out.word_offsets == [
        [
            {"word": "A", "start_offset": 0, "end_offset": 2},
            {"word": "B", "start_offset": 3, "end_offset": 4},
        ]
    ]


@pytest.mark.parametrize("lengths", [[1], [1, 5], [-1, 2], [[1, 2]]])
def test_impossible_lengths_are_refused(lengths) -> None:
    with pytest.raises(ValueError, match="2 numbers between 0 and 4"):
        best_path(np.zeros((2, 4, 32)), lengths)


def test_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(batch, frames, vocab\)"):
        best_path(np.zeros((4, 32)))
