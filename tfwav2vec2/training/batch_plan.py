"""Which examples make up each batch of an epoch: of about one length, in a few shapes, in an order that a seed decides."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfwav2vec2.audio.buckets import Buckets

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

    Clips of one bucket come together. What does not fill a batch joins the next longer bucket, so that every bucket has
    one shape, and a single batch, of the longest bucket, may be smaller. The shapes and the number of batches are the
    same in every epoch.

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
        order = rng.permutation(len(self.samples)) if self.shuffle else np.arange(len(self.samples))
        by_bucket: dict[int, list[int]] = {}
        for index in map(int, order):
            by_bucket.setdefault(self.buckets.samples_for(self.samples[index]), []).append(index)
        batches: list[PlannedBatch] = []
        waiting: list[int] = []
        columns = 0
        for bucket in sorted(by_bucket):
            waiting = waiting + by_bucket[bucket]
            columns = max(columns, *(self._columns(self.labels[index]) for index in by_bucket[bucket]))
            rows = self.rows_for(bucket)
            while len(waiting) >= rows:
                batches.append(PlannedBatch(tuple(waiting[:rows]), bucket, columns))
                waiting = waiting[rows:]
        left = len(waiting) - len(waiting) % self.divisible_by
        if left and not self.drop_remainder:
            batches.append(PlannedBatch(tuple(waiting[:left]), bucket, columns))
        if self.shuffle:
            batches = [batches[index] for index in rng.permutation(len(batches))]
        return batches

    @staticmethod
    def _columns(labels: int) -> int:
        return max(-(-labels // _LABEL_STEP), 1) * _LABEL_STEP


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
