"""Which examples make up each batch of an epoch: of about one length, in a few shapes, in an order that a seed decides."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfwav2vec2.audio.buckets import Buckets

DEFAULT_BATCH_SIZE = 8

# Columns of labels round up to a multiple of this.
_LABEL_STEP = 8


@dataclass(frozen=True)
class PlannedBatch:
    """One batch before anything is read.

    Args:
        members: the places of its examples in the list that was planned.
        samples: what its clips are padded to.
        label_columns: what its labels are padded to.
    """

    members: tuple[int, ...]
    samples: int
    label_columns: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """(clips, samples, label columns)."""
        return len(self.members), self.samples, self.label_columns


@dataclass(frozen=True)
class BatchPlan:
    """How examples are put into batches.

    Clips of one bucket come together. Where they do not fill their last batch, clips of the next shorter bucket do, so
    that every bucket has one shape, and a single batch, of the shortest clips, may be smaller. The shapes and the number
    of batches are the same in every epoch. Without shuffling the longest clips come first.

    Args:
        samples: the length of each clip.
        labels: the number of labels of each clip.
        buckets: the lengths that clips are padded to.
        clips: the clips of a batch; or
        total_samples: the samples of a batch, padding included, so that every step takes about as long.
        divisible_by: what the number of clips of every batch is a multiple of: the number of devices.
        shuffle: whether each epoch has its own order.
        drop_remainder: whether the smaller batch is left out.
    """

    samples: Sequence[int]
    labels: Sequence[int]
    buckets: Buckets
    clips: int | None = None
    total_samples: int | None = None
    divisible_by: int = 1
    shuffle: bool = True
    drop_remainder: bool = False

    def rows_for(self, samples: int) -> int:
        """The clips of a full batch of clips that are padded to ``samples``."""
        rows = self.clips if self.clips is not None else self.total_samples // samples
        return max(rows - rows % self.divisible_by, self.divisible_by)

    def epoch(self, rng: np.random.Generator) -> list[PlannedBatch]:
        """The batches of an epoch in their order, the same for the same state of ``rng``."""
        count = len(self.samples)
        order = rng.permutation(count).tolist() if self.shuffle else list(range(count))
        order.sort(key=lambda index: -self._lengths[index])
        places: list[tuple[slice, int]] = []
        end = 0
        while end < count:
            length = self._lengths[order[end]]
            rows = self.rows_for(length)
            if count - end < rows:
                left = count - end
                rows = 0 if self.drop_remainder else left - left % self.divisible_by
                if not rows:
                    break
            places.append((slice(end, end + rows), length))
            end += rows
        if self.shuffle and end < count:
            # The clips left over are the shortest, which fit into any batch: so that every clip may miss an epoch, others
            # give up their places to them.
            missing = set(rng.choice(count, count - end, replace=False).tolist())
            spare = iter([index for index in order[end:] if index not in missing])
            order = [next(spare) if index in missing else index for index in order[:end]]
        batches = [
            PlannedBatch(tuple(order[place]), length, self._columns[length]) for place, length in places
        ]
        return [batches[index] for index in rng.permutation(len(batches))] if self.shuffle else batches

    @cached_property
    def _lengths(self) -> list[int]:
        """What each clip is padded to at least."""
        return [self.buckets.samples_for(samples) for samples in self.samples]

    @cached_property
    def _columns(self) -> dict[int, int]:
        """For each length the label columns that any clip has which a batch of this length may hold."""
        columns = dict.fromkeys(sorted(set(self._lengths)), _LABEL_STEP)
        for length, labels in zip(self._lengths, self.labels, strict=True):
            columns[length] = max(columns[length], -(-labels // _LABEL_STEP) * _LABEL_STEP)
        return dict(zip(columns, itertools.accumulate(columns.values(), max), strict=True))


def chosen_lengths(samples: Sequence[int], count: int, ladder: Buckets) -> Buckets:
    """The ``count`` lengths of a ladder that pad these clips least: for programs that take long to compile.

    Solved exactly, by dynamic programming over the ladder's lengths that occur.

    Raises:
        ValueError: for a count below 1.
    """
    if count < 1:
        raise ValueError(f"buckets={count}: clips need one length at least to be padded to")
    steps = sorted({ladder.samples_for(length) for length in samples})
    ordered = sorted(samples)
    clips_up_to = [0, *(bisect.bisect_right(ordered, step) for step in steps)]
    # cost[j] is the least padded total of the clips up to step j with the lengths chosen so far, the last of them step j.
    cost = [0.0] + [np.inf] * len(steps)
    chosen: list[tuple[int, ...]] = [()] * (len(steps) + 1)
    for _ in range(min(count, len(steps))):
        options = [
            min((cost[i] + (clips_up_to[j] - clips_up_to[i]) * steps[j - 1], chosen[i]) for i in range(j))
            for j in range(1, len(steps) + 1)
        ]
        cost = [np.inf, *(total for total, _ in options)]
        chosen = [(), *((*before, step) for (_, before), step in zip(options, steps, strict=True))]
    return Buckets(lengths=chosen[-1])


def clips_of_a_batch(batch_size: int | None, batch_seconds: float | None, divisible_by: int) -> int | None:
    """The clips of a full batch; None where its sound decides.

    Raises:
        ValueError: where both are given, or one that makes no sense.
    """
    if divisible_by < 1:
        raise ValueError(f"divisible_by is {divisible_by}; it must be 1 or more")
    if batch_seconds is not None:
        if batch_size is not None:
            raise ValueError(
                "batch_size and batch_seconds are two ways to say how large a batch is; give one"
            )
        if batch_seconds <= 0:
            raise ValueError(f"batch_seconds is {batch_seconds}; it must be above 0")
        return None
    if batch_size is None:
        return math.lcm(DEFAULT_BATCH_SIZE, divisible_by)
    if batch_size < 1 or batch_size % divisible_by:
        raise ValueError(
            f"batch_size is {batch_size}; it must be a multiple of {divisible_by}, and 1 or more"
        )
    return batch_size
