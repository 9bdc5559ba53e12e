"""Whether one sample of a measure is worse than another by more than chance explains."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Two samples of a measure against each other.

    Attributes:
        difference: ours minus torch's, of the means.
        standard_error: of this difference, as of two independent samples.
        better: the difference with the sign that makes more better.
    """

    difference: float
    standard_error: float
    better: float

    @classmethod
    def of(cls, ours: list[float], torch: list[float], sign: int) -> Difference:
        """Compare at least two values of each; ``sign`` is 1 where more is better, else -1."""
        difference = statistics.fmean(ours) - statistics.fmean(torch)
        error = math.hypot(standard_error(ours), standard_error(torch))
        return cls(difference, error, sign * difference)

    @property
    def holds(self) -> bool:
        """Whether ours is not worse by more than one standard error."""
        return self.better >= -self.standard_error


def standard_error(values: list[float]) -> float:
    """Of the mean of at least two values."""
    return statistics.stdev(values) / math.sqrt(len(values))
