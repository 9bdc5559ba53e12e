"""Clip lengths to the few lengths that are compiled.

A compiled program fits one shape, and compiling takes seconds. Rounding lengths up to a fixed ladder of buckets lets a
corpus of mixed lengths run on a handful of programs.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from tfwav2vec2.audio import SAMPLE_RATE

# Seconds. Each step is at most a fifth more than the one before, so that from 1 s on a clip is padded by at most 20 %,
# and the round numbers, where many corpora cut their clips, cost nothing.
_SECONDS = (
    *(0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.4, 1.6, 1.9, 2.2, 2.6, 3.0, 3.5, 4.0, 4.5, 5.0),
    *(6.0, 7.0, 8.0, 9.0, 10.0, 12.0, 13.5, 15.0, 18.0, 20.0, 24.0, 28.0, 30.0, 36.0, 42.0, 50.0, 60.0),
)
DEFAULT_LENGTHS = tuple(round(seconds * SAMPLE_RATE) for seconds in _SECONDS)

# Beyond the ladder, lengths round up to a multiple of this.
_SECONDS_BEYOND = 12

# Rows round up too: exact up to 6, then by at most a third.
DEFAULT_ROWS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)


@dataclass(frozen=True)
class Buckets:
    """The shapes (rows, samples) that batches are padded to.

    ``lengths`` are samples, ``rows`` clips in a batch, both ascending. A longer clip rounds up to a multiple of
    ``step_beyond`` samples (12 s at 16 kHz) and a larger batch keeps its size.

    Raises:
        ValueError: where a ladder is empty, not ascending, or not positive.
    """

    lengths: Sequence[int] = field(default=DEFAULT_LENGTHS)
    rows: Sequence[int] = field(default=DEFAULT_ROWS)
    step_beyond: int = _SECONDS_BEYOND * SAMPLE_RATE

    def __post_init__(self) -> None:
        for name in ("lengths", "rows"):
            steps = tuple(int(step) for step in getattr(self, name))
            if not steps or steps[0] < 1 or any(b <= a for a, b in itertools.pairwise(steps)):
                raise ValueError(f"{name} must be positive integers in ascending order; got {steps}")
            object.__setattr__(self, name, steps)

    @classmethod
    def at_rate(cls, sampling_rate: int) -> Buckets:
        """The usual buckets, which last as long, of a model whose rate in Hz is not 16 kHz."""
        lengths = [round(seconds * sampling_rate) for seconds in _SECONDS]
        return cls(lengths, step_beyond=_SECONDS_BEYOND * sampling_rate)

    def samples_for(self, samples: int) -> int:
        """The bucket's length for a clip of ``samples`` samples."""
        place = bisect.bisect_left(self.lengths, samples)
        if place < len(self.lengths):
            return self.lengths[place]
        return -(-samples // self.step_beyond) * self.step_beyond

    def rows_for(self, rows: int) -> int:
        """The bucket's batch size for ``rows`` clips."""
        place = bisect.bisect_left(self.rows, rows)
        return self.rows[place] if place < len(self.rows) else rows

    def shape_for(self, rows: int, samples: int) -> tuple[int, int]:
        """The shape (rows, samples) that a batch is padded to."""
        return self.rows_for(rows), self.samples_for(samples)
