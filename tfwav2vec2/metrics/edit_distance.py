"""The edit distance of two batches of sequences, inside compiled code."""

from __future__ import annotations

from typing import Any

from keras import ops

# More than any distance, and far from the end of int32.
_FAR = 1 << 28


def edit_distance(first: Any, first_lengths: Any, second: Any, second_lengths: Any) -> Any:
    """The fewest insertions, deletions and substitutions that turn one sequence into the other (Levenshtein).

    The table of distances between beginnings is filled one antidiagonal at a time: the entries of one do not depend on
    each other, so that a turn is a few operations on the whole batch. There are as many turns as the longest pair has
    items, both sequences together; the size of the arrays does not matter.

    Source: Wagner and Fischer 1974, "The String-to-String Correction Problem".

    Args:
        first: (batch, n) int32, the first ``first_lengths`` of each row count.
        first_lengths: (batch,) int32.
        second: (batch, m) int32, m at least 1.
        second_lengths: (batch,) int32.

    Returns:
        (batch,) int32.
    """
    size, width = ops.shape(first)[1], ops.shape(second)[1]
    # Along an antidiagonal the items of `first` come in reverse. A place too far on either side meets padding: it is
    # outside the table, and no entry inside depends on it.
    backwards = ops.pad(ops.flip(first, axis=1), [[0, 0], [width, width]])
    total = first_lengths + second_lengths
    last_turn = ops.max(total)

    def turn(diagonal: Any, before: Any, latest: Any) -> tuple[Any, Any, Any]:
        start = size + width - diagonal + 1
        facing = ops.take(backwards, start + ops.arange(width, dtype="int32"), axis=1)
        substituted = before[:, :-1] + ops.cast(facing != second, "int32")
        inserted_or_deleted = ops.minimum(latest[:, 1:], latest[:, :-1]) + 1
        inner = ops.minimum(substituted, inserted_or_deleted)
        new = ops.concatenate([latest[:, :1] + 1, inner], axis=1)
        # A pair whose table is complete keeps its last antidiagonal, where the answer is.
        return diagonal + 1, latest, ops.where(diagonal <= total[:, None], new, latest)

    nowhere = ops.pad(ops.full_like(second, _FAR), [[0, 0], [1, 0]], constant_values=_FAR)
    start = ops.concatenate([ops.zeros_like(nowhere[:, :1]), nowhere[:, 1:]], axis=1)
    _, _, latest = ops.while_loop(
        lambda diagonal, *_: diagonal <= last_turn, turn, (ops.ones((), "int32"), nowhere, start)
    )
    return ops.take_along_axis(latest, second_lengths[:, None], axis=1)[:, 0]
