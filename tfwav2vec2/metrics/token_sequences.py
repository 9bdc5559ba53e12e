"""Token ids of transcripts as arrays of fixed size: what CTC logits say, what labels say, and the words in them.

A sequence is at first marked inside a larger array: ``tokens`` (batch, places) and ``counted`` (batch, places), true
for those that belong to it. :func:`to_front` moves them to the front, where a length tells how many there are. All of it
has static shapes, so that it compiles.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from tfwav2vec2.backbone.lengths import valid_mask

# No token has this id.
_NONE = -1


def to_front(tokens: Any, counted: Any) -> tuple[Any, Any]:
    """Move what counts of each row to its front, in order.

    Args:
        tokens: (batch, places) int32.
        counted: (batch, places), true for the tokens to keep.

    Returns:
        (batch, places) the tokens, then zeros; and (batch,) int32, how many were kept.
    """
    places = ops.shape(tokens)[1]
    place = ops.arange(places, dtype="int32")
    order = ops.argsort(ops.where(counted, place, place + places), axis=1)
    tokens = ops.take_along_axis(ops.where(counted, tokens, 0), order, axis=1)
    return tokens, ops.sum(ops.cast(counted, "int32"), axis=1)


def greedy_tokens(logits: Any, frame_lengths: Any, blank: int) -> tuple[Any, Any]:
    """The best path through CTC logits: the likeliest token of each frame, repeats merged, blanks left out.

    Args:
        logits: (batch, frames, vocab).
        frame_lengths: (batch,), the valid frames of each row.
        blank: the id of the blank.

    Returns:
        ``tokens`` (batch, frames) int32 and ``counted`` (batch, frames).
    """
    tokens = ops.cast(ops.argmax(logits, axis=-1), "int32")
    before = ops.pad(tokens[:, :-1], [[0, 0], [1, 0]], constant_values=_NONE)
    valid = valid_mask(frame_lengths, ops.shape(tokens)[1])
    return tokens, valid & (tokens != blank) & (tokens != before)


def label_tokens(labels: Any, blank: int) -> tuple[Any, Any]:
    """The tokens of labels (batch, labels): negative ones and blanks are padding, wherever they stand.

    Returns:
        ``tokens`` and ``counted``, both (batch, labels + 1): an array without any place is none that all operations
        accept.
    """
    tokens = ops.pad(ops.cast(labels, "int32"), [[0, 0], [0, 1]], constant_values=_NONE)
    return tokens, (tokens >= 0) & (tokens != blank)


def without_outer(tokens: Any, counted: Any, delimiter: int) -> Any:
    """``counted`` (batch, places) without the delimiters before the first and after the last other token.

    What is left is what a tokenizer's text holds once spaces at its ends are stripped.
    """
    letters = ops.cast(counted & (tokens != delimiter), "int32")
    seen = ops.cumsum(letters, axis=1)
    to_come = ops.sum(letters, axis=1, keepdims=True) - seen + letters
    return counted & (seen > 0) & (to_come > 0)


def number_words(
    first: tuple[Any, Any], second: tuple[Any, Any], delimiter: int
) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    """Turn two batches of token sequences into sequences of numbers, one a word, equal where the words are.

    A word is a run of tokens other than the delimiter, as long as it gets. Words are compared token by token, for as
    many turns as the longest word of ``second`` has tokens.

    Args:
        first: tokens (batch, places) with what counts at the front, and their lengths (batch,).
        second: the same of the sequences to compare with.
        delimiter: the id of the token between words.

    Returns:
        For each of the two the numbers (batch, words) int32 and how many there are (batch,). A word of ``first`` that
        ``second`` has not is -1.
    """
    spans = [_word_spans(*sequences, delimiter) for sequences in (first, second)]
    tokens = first[0], second[0]

    def letters(place: Any, which: int) -> Any:
        """(batch, words): the token at a place of every word, behind its end none."""
        starts, lengths, _ = spans[which]
        column = ops.minimum(starts + place, ops.shape(tokens[which])[1] - 1)
        return ops.where(place < lengths, ops.take_along_axis(tokens[which], column, axis=1), _NONE)

    def turn(place: Any, same: Any) -> tuple[Any, Any]:
        others = letters(place, 1)
        every = ops.concatenate([letters(place, 0), others], axis=1)
        return place + 1, same & (every[:, :, None] == others[:, None, :])

    # One turn behind the end of the longest: there both words must have ended.
    turns = ops.max(spans[1][1]) + 1
    same = ops.ones_like(ops.concatenate([spans[0][0], spans[1][0]], axis=1), dtype="bool")
    same = same[:, :, None] & ops.ones_like(spans[1][0], dtype="bool")[:, None, :]
    _, same = ops.while_loop(lambda place, _: place < turns, turn, (ops.zeros((), "int32"), same))

    # The number of a word is the place of the first of `second` that equals it.
    number = ops.where(ops.any(same, axis=2), ops.cast(ops.argmax(same, axis=2), "int32"), _NONE)
    words = ops.shape(spans[0][0])[1]
    return (number[:, :words], spans[0][2]), (number[:, words:], spans[1][2])


def _word_spans(tokens: Any, lengths: Any, delimiter: int) -> tuple[Any, Any, Any]:
    """Where the words begin (batch, words), their lengths (batch, words), and how many there are (batch,)."""
    places = ops.shape(tokens)[1]
    letters = valid_mask(lengths, places) & (tokens != delimiter)
    before = ops.pad(letters[:, :-1], [[0, 0], [1, 0]])
    after = ops.pad(letters[:, 1:], [[0, 0], [0, 1]])
    place = ops.broadcast_to(ops.arange(places, dtype="int32"), ops.shape(tokens))
    starts, count = to_front(place, letters & ~before)
    ends, _ = to_front(place, letters & ~after)
    # Words and delimiters take turns at best.
    words = (places + 1) // 2
    starts, ends = starts[:, :words], ends[:, :words]
    return starts, ops.where(valid_mask(count, words), ends - starts + 1, 0), count
