"""The CTC lattice: the loss of a batch and its gradient from one forward-backward pass.

Source: Graves et al. 2006, "Connectionist Temporal Classification", sections 4.1 and 4.2.

A path through the lattice is, after each frame, on one of two kinds of state: on label ``u`` of the target
(``on_label[u]``, u = 1 ... U), or on a blank with ``u`` labels behind it (``on_blank[u]``, u = 0 ... U). With
``reached[u] = on_blank[u] + on_label[u]``, the probability that ``u`` labels have been read so far, one frame is

    on_blank'[u] = p(blank) * reached[u]
    on_label'[u] = p(y[u])  * (on_label[u] + entered[u])
    entered[u]   = reached[u-1], or on_blank[u-1] alone where y[u] == y[u-1]

Both kinds are kept in arrays of U + 1 columns. Column 0 of `on_label` stands for no label and is impossible.
The backward pass is the same recurrence on the mirrored problem (frames and labels in reverse), so both
passes are rows of one scan.

Everything is in logarithms, and each frame's states are divided by their largest sum: the numbers stay near
zero however long the clip is, where plain log-probabilities of a thousand frames leave float32 three digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

# The logarithm of an impossible event: finite, because -inf - (-inf) is NaN, and so far below the log-probability of
# any real path that it has no part in a sum.
IMPOSSIBLE = -1e30

# Frames in one turn of the loop: a turn has a cost of its own, which is a third of the time if it does one frame.
FRAMES_A_TURN = 4


def needed_frames(labels: Any, label_lengths: Any) -> Any:
    """The fewest frames that can carry each target: one a label, and a blank between equal neighbours.

    Args:
        labels: (batch, labels) int32, the first `label_lengths` of each row count.
        label_lengths: (batch,) int32.

    Returns:
        (batch,) int32.
    """
    position = ops.arange(1, ops.shape(labels)[1], dtype="int32")
    repeats = ops.equal(labels[:, 1:], labels[:, :-1]) & (position < label_lengths[:, None])
    return label_lengths + ops.sum(ops.cast(repeats, "int32"), axis=1)


def ctc_loss_and_gradient(
    logits: Any, labels: Any, logit_lengths: Any, label_lengths: Any, blank: Any
) -> tuple[Any, Any]:
    """-log p(labels | logits) of each clip, and its derivative with respect to the logits.

    Memory is proportional to batch x frames x (labels + vocab).

    Args:
        logits: (batch, frames, vocab) float32.
        labels: (batch, labels) int32 in [0, vocab); the first `label_lengths` of each row count.
        logit_lengths: (batch,) int32 in [0, frames].
        label_lengths: (batch,) int32 in [0, labels].
        blank: () int32, the index of the blank.

    Returns:
        The loss (batch,) and the gradient (batch, frames, vocab), float32. A target that no path can spell has a loss
        of the order of `-IMPOSSIBLE` and a meaningless, finite gradient.
    """
    # At least one frame more, behind the end of every clip: its blank gathers the paths that end on the last label and
    # those that end on a blank.
    given = ops.shape(logits)[1]
    logits = ops.pad(logits, [[0, 0], [0, FRAMES_A_TURN - given % FRAMES_A_TURN], [0, 0]])
    frames, vocab = ops.shape(logits)[1:]
    inside = ops.arange(frames, dtype="int32") < logit_lengths[:, None]
    # What lies behind the end may be anything, NaN included.
    log_probs = ops.log_softmax(ops.where(inside[..., None], logits, 0.0), axis=-1)
    symbols = ops.concatenate([ops.zeros_like(label_lengths)[:, None] + blank, labels], axis=1)
    emissions = _emissions(log_probs, symbols, inside, label_lengths)
    loss, occupancy = _forward_backward(emissions, labels, label_lengths)
    gradient = ops.exp(log_probs) - _sum_by_symbol(occupancy, symbols, vocab)
    return loss, ops.where(inside[..., None], gradient, 0.0)[:, :given]


def _emissions(log_probs: Any, symbols: Any, inside: Any, label_lengths: Any) -> Any:
    """(frames, batch, labels + 1): the log-probability of the blank (column 0) and of each label in each frame.

    Past the end of a clip only the blank is possible, at no cost, so the scan needs no lengths: a path that has ended
    stays where it is.
    """
    batch, frames, vocab = ops.shape(log_probs)
    columns = ops.arange(ops.shape(symbols)[1], dtype="int32")
    rows = ops.reshape(ops.transpose(log_probs, (0, 2, 1)), (batch * vocab, frames))
    chosen = ops.take(rows, symbols + vocab * ops.arange(batch, dtype="int32")[:, None], axis=0)
    chosen = ops.transpose(chosen, (2, 0, 1))
    chosen = ops.where(chosen < IMPOSSIBLE, IMPOSSIBLE, chosen)
    possible = ops.transpose(inside)[..., None] & (columns <= label_lengths[:, None])
    return ops.where(possible, chosen, ops.where(ops.equal(columns, 0), 0.0, IMPOSSIBLE))


def _forward_backward(emissions: Any, labels: Any, label_lengths: Any) -> tuple[Any, Any]:
    """The loss (batch,), and the probability of being on the blank (column 0) and on each label in each frame."""
    frames, batch, columns = ops.shape(emissions)
    mirrored = ops.concatenate([emissions[..., :1], ops.flip(emissions[..., 1:], axis=-1)], axis=-1)
    both = ops.concatenate([emissions, ops.flip(mirrored, axis=0)], axis=1)
    first = ops.shape(labels)[1] - label_lengths
    first = ops.concatenate([ops.zeros_like(first), first])[:, None]
    on_blank = ops.where(ops.equal(ops.arange(columns, dtype="int32"), first), 0.0, IMPOSSIBLE)
    on_label = ops.full_like(on_blank, IMPOSSIBLE)
    ceiling = ops.concatenate([_ceiling(labels), _ceiling(ops.flip(labels, axis=1))])

    def turn(state, emissions):
        frame = tuple(part[-1] for part in state)
        done = []
        for emission in ops.unstack(emissions, FRAMES_A_TURN):
            frame = _next_frame(frame, emission, ceiling)
            done.append(frame)
        state = tuple(map(ops.stack, zip(*done, strict=True)))
        return state, state

    start = on_blank, on_label, ops.zeros_like(on_blank[:, :1])
    start = tuple(ops.stack([part] * FRAMES_A_TURN) for part in start)
    turns = ops.reshape(both, (frames // FRAMES_A_TURN, FRAMES_A_TURN, 2 * batch, columns))
    _, states = ops.scan(turn, start, turns)
    on_blank, on_label, scale = (
        ops.reshape(part, (frames, 2 * batch, ops.shape(part)[-1])) for part in states
    )

    end = ops.take_along_axis(on_blank[-1, :batch], label_lengths[:, None], axis=1)
    loss = -end[:, 0] - ops.sum(scale[:, :batch, 0], axis=0)

    # Both passes hold the frame's own emission. Every path is on one state in each frame, so these sum to one.
    on_blank = on_blank[:, :batch] + ops.flip(on_blank[:, batch:], axis=(0, 2)) - emissions[..., :1]
    on_label = on_label[:, :batch, 1:] + ops.flip(on_label[:, batch:, 1:], axis=(0, 2)) - emissions[..., 1:]
    occupancy = ops.softmax(ops.concatenate([on_blank, on_label], axis=-1), axis=-1)
    on_blank = ops.sum(occupancy[..., :columns], axis=-1, keepdims=True)
    return loss, ops.concatenate([on_blank, occupancy[..., columns:]], axis=-1)


def _next_frame(frame: tuple[Any, Any, Any], emission: Any, ceiling: Any) -> tuple[Any, Any, Any]:
    """One step of the recurrence: on_blank and on_label (rows, labels + 1), and what they were divided by (rows, 1)."""
    on_blank, on_label, _ = frame
    reached = _log_add(on_blank, on_label)
    # on_blank where its label is repeated: it is never more than reached. (A `where` takes far longer on a CPU.)
    entered = ops.minimum(reached, on_blank + ceiling)
    entered = ops.concatenate([on_label[:, :1], entered[:, :-1]], axis=1)
    scale = ops.max(reached, axis=1, keepdims=True)
    emission = emission - scale
    return reached + emission[:, :1], emission + _log_add(on_label, entered), scale


def _log_add(a: Any, b: Any) -> Any:
    """log(exp(a) + exp(b))."""
    high = ops.maximum(a, b)
    return high + ops.softplus(ops.minimum(a, b) - high)


def _ceiling(labels: Any) -> Any:
    """(batch, labels + 1): 0 in column u if label u + 1 equals label u, else infinity."""
    free = ops.full_like(labels[:, :1], np.inf, dtype="float32")
    repeats = ops.equal(labels[:, 1:], labels[:, :-1])
    return ops.concatenate([free, ops.where(repeats, 0.0, np.inf), free], axis=1)


def _sum_by_symbol(occupancy: Any, symbols: Any, vocab: int) -> Any:
    """(batch, frames, vocab): what the columns that hold the same symbol add up to."""
    frames, batch, columns = ops.shape(occupancy)
    rows = ops.reshape(ops.transpose(occupancy, (1, 2, 0)), (batch * columns, frames))
    segments = ops.reshape(symbols + vocab * ops.arange(batch, dtype="int32")[:, None], (-1,))
    sums = ops.segment_sum(rows, segments, num_segments=batch * vocab)
    return ops.transpose(ops.reshape(sums, (batch, vocab, frames)), (0, 2, 1))
