"""Token sequences and edit distances inside compiled code, against Python's own words and alignments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backbone.conftest import to_numpy
from tfwav2vec2.metrics.edit_distance import edit_distance
from tfwav2vec2.metrics.error_rates import align
from tfwav2vec2.metrics.token_sequences import (
    greedy_tokens,
    label_tokens,
    number_words,
    to_front,
    without_outer,
)

BLANK, DELIMITER = 0, 1
LONGEST, WIDEST = 11, 8
TENSORFLOW = keras.backend.backend() == "tensorflow"

sequence = st.lists(st.integers(1, 3), max_size=LONGEST)
other_sequence = st.lists(st.integers(1, 3), max_size=WIDEST)
pairs = st.lists(st.tuples(sequence, other_sequence), min_size=3, max_size=3)


def compiled(function: Callable[..., Any], *, xla: bool = True) -> Callable[..., Any]:
    if TENSORFLOW:
        import tensorflow as tf

        return tf.function(function, jit_compile=xla)
    import jax

    return jax.jit(function)


def errors(first: list[Any], second: list[Any]) -> int:
    return sum(one != other for one, other in align(second, first))


def padded(sequences: list[list[int]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """The sequences, anything behind them, and their lengths."""
    rows = np.random.default_rng(0).integers(1, 4, (len(sequences), width)).astype("int32")
    for row, tokens in zip(rows, sequences, strict=True):
        row[: len(tokens)] = tokens
    return rows, np.array([len(tokens) for tokens in sequences], "int32")


def words(tokens: list[int]) -> list[tuple[int, ...]]:
    text = "".join(" " if token == DELIMITER else chr(64 + token) for token in tokens)
    return [tuple(map(ord, word)) for word in text.split()]


compiled_distance = compiled(edit_distance)
compiled_numbers = compiled(lambda *arguments: number_words(arguments[:2], arguments[2:], DELIMITER))


@given(pairs)
@settings(max_examples=60)
def test_distance_is_that_of_the_alignment(rows: list[tuple[list[int], list[int]]]) -> None:
    first, second = (
        padded([row[side] for row in rows], width) for side, width in ((0, LONGEST), (1, WIDEST))
    )
    distance = compiled_distance(*first, *second)
    assert to_numpy(distance).tolist() == [errors(*row) for row in rows]


@given(pairs)
@settings(max_examples=60)
def test_words_have_equal_numbers_where_they_are_equal(rows: list[tuple[list[int], list[int]]]) -> None:
    first, second = (
        padded([row[side] for row in rows], width) for side, width in ((0, LONGEST), (1, WIDEST))
    )
    numbered = compiled_numbers(*first, *second)
    (one, one_count), (other, other_count) = (tuple(map(to_numpy, part)) for part in numbered)
    for row, (said, found) in enumerate(rows):
        said_words, found_words = words(said), words(found)
        assert (one_count[row], other_count[row]) == (len(said_words), len(found_words))
        for i, word in enumerate(said_words):
            for j, candidate in enumerate(found_words):
                assert (one[row, i] == other[row, j]) == (word == candidate)
        for i, word in enumerate(found_words):
            assert [number == other[row, i] for number in other[row, : len(found_words)]] == [
                candidate == word for candidate in found_words
            ]


@pytest.mark.skipif(not TENSORFLOW, reason="a graph of unknown sizes is TensorFlow's")
def test_sizes_that_a_graph_does_not_know() -> None:
    import tensorflow as tf

    tokens, lengths = tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.int32)
    signature = [tokens, lengths, tokens, lengths]

    def both(*arguments: Any) -> tuple[Any, Any]:
        numbers = number_words(arguments[:2], arguments[2:], DELIMITER)
        return edit_distance(*arguments), edit_distance(*numbers[0], *numbers[1])

    function = tf.function(both, input_signature=signature)
    for rows in ([([1, 2, 2], [2]), ([3], [3, 1, 2])], [([2, 3], [2, 3, 1, 2, 2])]):
        first, second = (padded([row[side] for row in rows], 6 - side) for side in (0, 1))
        letters, in_words = function(*first, *second)
        assert letters.numpy().tolist() == [errors(*row) for row in rows]
        assert in_words.numpy().tolist() == [errors(words(a), words(b)) for a, b in rows]


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_greedy_tokens_merge_repeats_and_leave_blanks_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    path = rng.integers(0, 3, (2, 9))
    lengths = rng.integers(0, 10, 2).astype("int32")
    logits = np.eye(4, dtype="float32")[path] + rng.uniform(0, 0.5, (2, 9, 4)).astype("float32")
    logits[np.arange(9) >= lengths[:, None]] = np.nan
    tokens, count = to_front(*greedy_tokens(logits, lengths, BLANK))
    for row in range(2):
        frames = path[row, : lengths[row]].tolist()
        expected = [t for i, t in enumerate(frames) if t != BLANK and (i == 0 or frames[i - 1] != t)]
        assert to_numpy(tokens)[row, : to_numpy(count)[row]].tolist() == expected


def test_labels_leave_padding_out_wherever_it_stands() -> None:
    labels = np.array([[-100, 3, BLANK, 3, -100], [-100] * 5])
    tokens, count = to_front(*label_tokens(labels, BLANK))
    assert to_numpy(count).tolist() == [2, 0]
    assert to_numpy(tokens)[0, :2].tolist() == [3, 3]
    _, none = to_front(*label_tokens(np.zeros((2, 0), "int32"), BLANK))
    assert to_numpy(none).tolist() == [0, 0]


def test_outer_delimiters_do_not_count() -> None:
    tokens = np.array([[1, 1, 2, 1, 1, 3, 1], [1, 1, 1, 1, 1, 1, 1]], "int32")
    counted = np.ones_like(tokens, bool)
    counted[0, 4] = False
    kept = to_numpy(without_outer(tokens, counted, DELIMITER))
    assert kept.tolist() == [[False, False, True, True, False, True, False], [False] * 7]
