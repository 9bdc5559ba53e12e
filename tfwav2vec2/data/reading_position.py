"""Where in the epochs the next iteration over data begins, and how long training waited for it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Iteration:
    """One pass over the batches of an epoch.

    Args:
        number: tells it from others.
        epoch: whose batches they are.
        step: the first of them.
    """

    number: int
    epoch: int
    step: int


class ReadingPosition:
    """Epoch after epoch, for whoever iterates.

    An iteration that hands out its epoch's last batch moves the position on to the next epoch. One that is left before,
    such as Keras's look at a first batch, does not. Where someone set the position meanwhile, that counts.

    Args:
        steps: the batches of an epoch.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._next = Iteration(0, 0, 0)
        self._lock = threading.Lock()

    @property
    def next(self) -> tuple[int, int]:
        """The epoch and the step with which the next iteration begins."""
        return self._next.epoch, self._next.step

    def seek(self, epoch: int, step: int = 0) -> None:
        """Make the next iteration begin with this step of this epoch.

        Raises:
            ValueError: for a position that the data do not have.
        """
        if epoch < 0 or not 0 <= step <= self._steps:
            raise ValueError(
                f"Epoch {epoch}, step {step} is no position in epochs, counted from 0, of {self._steps} steps"
            )
        with self._lock:
            self._set(epoch, step)

    @property
    def left(self) -> int:
        """The batches that the next iteration holds."""
        return self._steps - self._next.step

    def begin(self, at_most: int) -> Iteration:
        """The iteration that begins now.

        Raises:
            RuntimeError: where it holds more than ``at_most`` batches.
        """
        with self._lock:
            iteration = self._next
            if self.left > at_most:
                raise RuntimeError(
                    f"This dataset was made for the last {at_most} batches of an epoch; make another, by dataset(), for the "
                    f"{self.left} that come next"
                )
            if not self.left:
                # An iteration without batches has handed out its last.
                self._set(iteration.epoch + 1, 0)
            return iteration

    def handed_out(self, number: int, step: int) -> None:
        """Note that an iteration's batch of this step has been handed out."""
        with self._lock:
            if step == self._steps - 1 and number == self._next.number:
                self._set(self._next.epoch + 1, 0)

    def _set(self, epoch: int, step: int) -> None:
        self._next = Iteration(self._next.number + 1, epoch, step)


class WaitingTime:
    """How long training waited for its batches: what a faster input could save at most.

    Attributes:
        seconds: in all.
        batches: how many batches were waited for.
        longest: the longest wait, in seconds; usually the first batch's.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin to count anew."""
        self.seconds = 0.0
        self.batches = 0
        self.longest = 0.0

    def add(self, seconds: float) -> None:
        """Count the wait for one batch."""
        self.seconds += seconds
        self.batches += 1
        self.longest = max(self.longest, seconds)

    def since(self, asked: float) -> None:
        """Count the wait for a batch that was asked for at ``asked``, as ``time.perf_counter`` said."""
        self.add(time.perf_counter() - asked)

    @property
    def seconds_per_batch(self) -> float:
        """The mean wait."""
        return self.seconds / self.batches if self.batches else 0.0

    def __str__(self) -> str:
        return (
            f"waited {self.seconds:.2f} s for {self.batches} batches: {1000 * self.seconds_per_batch:.1f} ms each, "
            f"{1000 * self.longest:.0f} ms at most"
        )
