"""Forced alignment: where in a recording each label of a known text is, by Viterbi over the CTC lattice.

The lattice of ``n`` labels has ``2 n + 1`` states, a blank before each label and one after the last: state ``2 i`` is the blank
before label ``i`` and state ``2 i + 1`` the label. From one frame to the next a path stays, goes to the next state, or passes
over a blank that lies between two labels that differ (Graves et al. 2006, section 4.1). Of all paths from the first label or the
blank before it to the last label or the blank after it, the best is the one whose labels are likeliest together.

Back-pointers for each frame and state would fill 18 GB for an hour of 50,000 letters. So the frames are cut into blocks, and of
each block is kept where the best path to each of its last states came from at its beginning. Back from the end, the states
between which a block's path runs are then known, and few: those alone are gone through again, with back-pointers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfwav2vec2.batching import to_numpy

WILDCARD = -1
"""A label that stands for whatever is said there: for letters that a model lacks."""

# What a frame of the wildcard costs beside the frame's likeliest label, so that it takes none that another label explains as well.
_WILDCARD_COST = float(-np.log(0.9))

# Frames times labels up to which all back-pointers are kept at once, a byte each for labels and for blanks.
_AT_ONCE = 2**24

_STAY, _NEXT, _SKIP = 0, 1, 2


@dataclass(frozen=True)
class Alignment:
    """The best path of a text's labels through the frames of a recording.

    Attributes:
        path: (frames,), the label of each frame: the blank, one of the text's, or :data:`WILDCARD`. A delimiter may stand for a blank.
        starts: (labels,), the first frame of each label of the text.
        ends: (labels,), the frame after its last one.
        probabilities: (labels,), the mean of the model's probability of it over its frames; NaN for the wildcard.
        score: the natural logarithm of the path's probability.
    """

    path: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    probabilities: np.ndarray
    score: float


def forced_align(
    logits: Any,
    labels: Sequence[int] | np.ndarray,
    blank: int = 0,
    *,
    delimiter: int | None = None,
    block: int | None = None,
) -> Alignment:
    """The best path of labels through logits.

    Where two ways to a state are equally good, the path stays if it can, and else comes from the nearer state. So it is
    torchaudio's ``forced_align`` path for path, but for one case: where both ways from other states tie, and beat staying,
    torchaudio stays, which is not the best path.

    The time grows with frames times labels, and the memory with their product's power of two thirds, beside the logits.

    Args:
        logits: (frames, labels of the model), logits or log probabilities from any framework.
        labels: (labels,), the ids of the text in their order, without blanks; :data:`WILDCARD` for what the model lacks.
        blank: the id of CTC's blank.
        delimiter: the id of a label that a model may leave out, as the one between words where they run into each other, or where
            the model never learnt it: each time that it is in the text the blank is as good. Its probability is then the better one's.
        block: how many frames a block has; by default what takes the least memory.

    Raises:
        ValueError: for no labels, labels that the model lacks, fewer frames than the labels need, NaN or infinite logits, and
            where every path has the probability 0.
    """
    scores = _checked_logits(logits)
    ids = _checked_labels(labels, blank, scores.shape[1])
    frames, needed = len(scores), frames_needed(ids)
    if frames < needed:
        raise ValueError(
            f"The text cannot be aligned: it needs {needed} frames at least, one for each of its {len(ids)} labels and one "
            f"between equal neighbours, and the recording has {frames}. Check that text and recording belong together"
        )
    # The same for all labels of a frame, so the best path is that of the logits: no rounding decides between ways that tie.
    totals = _log_totals(scores)
    if delimiter is not None:
        np.maximum(scores[:, delimiter], scores[:, blank], out=scores[:, delimiter])
    if (ids == WILDCARD).any():
        anything = scores.max(axis=1, keepdims=True) - _WILDCARD_COST
        scores = np.concatenate([scores, anything], axis=1)  # so WILDCARD, -1, is its column
    states, score = _Lattice(scores, ids, blank).best_path(block)
    return _alignment(scores - totals[:, None], ids, blank, states, score - float(totals.sum()))


def frames_needed(labels: Sequence[int] | np.ndarray) -> int:
    """The fewest frames that hold some labels: one for each, and a blank between equal neighbours."""
    ids = np.asarray(labels)
    return len(ids) + int((ids[1:] == ids[:-1]).sum())


def _checked_logits(logits: Any) -> np.ndarray:
    logits = to_numpy(logits)
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            f"Logits must have the shape (frames, labels), with two labels at least; got {logits.shape}"
        )
    scores = logits.astype(np.float64)
    top = scores.max(axis=1)  # NaN where the row holds one
    if not np.isfinite(top).all():
        raise ValueError(
            f"The logits of frame {int(np.flatnonzero(~np.isfinite(top))[0])} hold NaN or infinity, or nothing but minus infinity; "
            "check the recording and the model's weights"
        )
    return scores


def _log_totals(scores: np.ndarray) -> np.ndarray:
    """(frames,), what is taken off a frame's logits to make them log probabilities."""
    top = scores.max(axis=1)
    return top + np.log(np.exp(scores - top[:, None]).sum(axis=1))


def _checked_labels(labels: Sequence[int] | np.ndarray, blank: int, count: int) -> np.ndarray:
    ids = np.asarray(labels)
    if ids.ndim != 1 or not ids.size:
        raise ValueError("There is nothing to align: the text has no labels")
    if ids.dtype.kind not in "iu":
        raise ValueError(f"Labels are whole numbers; got {ids.dtype}")
    if not 0 <= blank < count:
        raise ValueError(
            f"The blank is {blank!r}; it must be one of the {count} labels of the logits, from 0 on"
        )
    ids = ids.astype(np.int64)
    wrong = (ids < WILDCARD) | (ids >= count) | (ids == blank)
    if wrong.any():
        raise ValueError(
            f"The label {ids[wrong][0]} is none of a text for logits with {count} labels of which {blank} is the blank"
        )
    return ids


class _Lattice:
    """The states of a text over the frames of a recording.

    Args:
        scores: (frames, labels of the model), logits.
        ids: (labels,) of the text.
        blank: the blank's id.
    """

    def __init__(self, scores: np.ndarray, ids: np.ndarray, blank: int) -> None:
        self.scores, self.ids = scores, ids
        self.of_blank = np.ascontiguousarray(scores[:, blank])
        # What is added to the way past a blank: nothing, or minus infinity where a label is like the one before.
        self.passing = np.where(ids[1:] == ids[:-1], -np.inf, 0.0)

    def best_path(self, block: int | None) -> tuple[np.ndarray, float]:
        """The state of each frame, and the sum of the path's logits."""
        frames, labels = len(self.scores), len(self.ids)
        if block is None:
            few = frames * labels <= _AT_ONCE
            block = frames if few else max(round((2 * frames * labels) ** (1 / 3)), 256)
        cuts = [*range(0, frames - 1, block), frames - 1]
        blank, letter = np.full(labels + 1, -np.inf), np.full(labels, -np.inf)
        blank[0], letter[0] = self.of_blank[0], self.scores[0, self.ids[0]]
        if len(cuts) <= 2:
            moves = self._trace(blank, letter, 0, frames - 1, 0, labels)
            last, score = self._end(blank, letter)
            return _follow(moves, last, 0), score
        origins = [self._run(blank, letter, first, last) for first, last in itertools.pairwise(cuts)]
        state, score = self._end(blank, letter)
        states = np.empty(frames, np.int64)
        states[-1] = state
        for index in reversed(range(len(origins))):
            lowest, came_from = origins.pop()
            begin = int(came_from[state - 2 * lowest])
            states[cuts[index] : cuts[index + 1] + 1] = self._between(
                cuts[index], cuts[index + 1], begin, state
            )
            state = begin
        return states, score

    def _end(self, blank: np.ndarray, letter: np.ndarray) -> tuple[int, float]:
        """The better of the two states in which a path may end, and its score."""
        labels = len(self.ids)
        last = 2 * labels if blank[-1] > letter[-1] else 2 * labels - 1
        score = float(max(blank[-1], letter[-1]))
        if score == -np.inf:
            raise ValueError(
                "The text cannot be aligned: the model gives each of its paths the probability 0. Check that text and "
                "recording belong together"
            )
        return last, score

    def _between(self, first: int, last: int, begin: int, end: int) -> np.ndarray:
        """The states of the frames from ``first`` to ``last`` of the best path from one state to another."""
        low, high = begin // 2, (end + 1) // 2
        blank, letter = np.full(high - low + 1, -np.inf), np.full(high - low, -np.inf)
        (letter if begin % 2 else blank)[0] = 0.0
        return _follow(self._trace(blank, letter, first, last, low, high), end, low)

    def _trace(
        self, blank: np.ndarray, letter: np.ndarray, first: int, last: int, low: int, high: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Advance the labels from ``low`` to ``high`` frame by frame, in place.

        Returns:
            How each state was come to in each frame but the first: (frames, blanks), and (frames, labels).
        """
        to_blank = np.zeros((last - first, high - low + 1), np.bool_)
        to_letter = np.zeros((last - first, high - low), np.uint8)
        for frame, step in self._steps(blank, letter, first, last, low, high):
            np.copyto(to_blank[frame - first - 1, 1:], step.left)
            np.add(step.skipped, 1, out=to_letter[frame - first - 1], where=step.entered, dtype=np.uint8)
        return to_blank, to_letter

    def _run(self, blank: np.ndarray, letter: np.ndarray, first: int, last: int) -> tuple[int, np.ndarray]:
        """Advance all states of a block, in place.

        Only those are gone through that the block's frames can reach and from which the end can still be reached.

        Returns:
            The label where these begin, and for each state from there on where at ``first`` its best path was.
        """
        frames, labels = len(self.scores), len(self.ids)
        low, high = max(labels - frames + first, 0), min(last + 1, labels)
        blanks, letters = blank[low : high + 1], letter[low:high]
        from_blank = 2 * np.arange(low, high + 1, dtype=np.int32)
        from_letter = 2 * np.arange(low, high, dtype=np.int32) + 1
        before, entering = np.empty_like(from_letter), np.empty_like(from_letter)
        for _, step in self._steps(blanks, letters, first, last, low, high):
            before[1:] = from_letter[:-1]
            np.copyto(entering, from_blank[:-1])
            np.copyto(from_blank[1:], from_letter, where=step.left)
            np.copyto(entering, before, where=step.skipped)
            np.copyto(from_letter, entering, where=step.entered)
        origins = np.empty(2 * (high - low) + 1, np.int32)
        origins[::2], origins[1::2] = from_blank, from_letter
        return low, origins

    def _steps(
        self, blank: np.ndarray, letter: np.ndarray, first: int, last: int, low: int, high: int
    ) -> Any:
        """Advance scores from ``first`` to ``last``, in place; yields each frame and how its states were come to."""
        ids, passing = self.ids[low:high], self.passing[low : max(high - 1, low)]
        step = _Step(len(ids))
        entering, before, emitted = np.empty(len(ids)), np.full(len(ids), -np.inf), np.empty(len(ids))
        for frame in range(first + 1, last + 1):
            np.add(letter[:-1], passing, out=before[1:])
            np.greater(before, blank[:-1], out=step.skipped)
            np.maximum(before, blank[:-1], out=entering)
            np.greater(letter, blank[1:], out=step.left)
            np.maximum(blank[1:], letter, out=blank[1:])
            np.greater(entering, letter, out=step.entered)
            np.maximum(letter, entering, out=letter)
            np.take(self.scores[frame], ids, out=emitted, mode="wrap")
            letter += emitted
            blank += self.of_blank[frame]
            yield frame, step


class _Step:
    """How the states of a frame were come to.

    Attributes:
        left: (labels,), whether the blank after each label was come to from that label.
        entered: (labels,), whether each label was come to from another state.
        skipped: (labels,), whether that state was the label before, past a blank.
    """

    def __init__(self, labels: int) -> None:
        self.left = np.empty(labels, np.bool_)
        self.entered = np.empty(labels, np.bool_)
        self.skipped = np.empty(labels, np.bool_)


def _follow(moves: tuple[np.ndarray, np.ndarray], last: int, low: int) -> np.ndarray:
    """The states of a path, back from its last one along moves that begin with the label ``low``."""
    to_blank, to_letter = moves
    states = np.empty(len(to_blank) + 1, np.int64)
    state = last - 2 * low
    for frame in range(len(to_blank) - 1, -1, -1):
        states[frame + 1] = state
        state -= int((to_letter if state % 2 else to_blank)[frame, state // 2])
    states[0] = state
    return states + 2 * low


def _alignment(
    log_probs: np.ndarray, ids: np.ndarray, blank: int, states: np.ndarray, score: float
) -> Alignment:
    spoken = states % 2 == 1
    of_frame = states[spoken] // 2
    starts = np.flatnonzero(spoken)[np.searchsorted(of_frame, np.arange(len(ids)))]
    counts = np.bincount(of_frame, minlength=len(ids))
    path = np.full(len(states), blank, np.int64)
    path[spoken] = ids[of_frame]
    sums = np.bincount(of_frame, np.exp(log_probs[spoken, path[spoken]]), minlength=len(ids))
    probabilities = np.where(ids == WILDCARD, np.nan, sums / counts)
    return Alignment(path, starts, starts + counts, probabilities, score)
