"""Learning rates that change with the steps of training, for any Keras optimizer: ``Adam(TriStage(5e-5, 20_000))``.

A step is a batch of ``fit``, counted from 0. With an optimizer's ``gradient_accumulation_steps`` several batches make
one update of the weights, and the schedule still counts batches.
"""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import keras
from keras import ops

Decay = Literal["linear", "cosine", "constant"]


class _Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule whose constructor's arguments are attributes of the same names."""

    _arguments: tuple[str, ...]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        return {name: getattr(self, name) for name in self._arguments}


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TriStage(_Schedule):
    """Warm-up, hold, decay: the schedule of the paper's fine-tuning (arXiv 2006.11477, section 4.3).

    The rate rises linearly from ``peak * initial_ratio`` to ``peak``, stays there, falls exponentially to
    ``peak * final_ratio`` and stays there. Source: fairseq's ``tri_stage``; the defaults are those of its configurations
    for fine-tuning.

    Args:
        peak: the highest rate.
        total_steps: the steps of the three stages together; the stages are rounded down to whole steps.
        phase_ratio: the stages' shares of the steps, together 1.
        initial_ratio: the first step's share of the peak.
        final_ratio: the last rate's share of the peak.

    Raises:
        ValueError: for a rate, a number of steps or a ratio that is not above 0, or shares that do not make 1.
    """

    _arguments = ("peak", "total_steps", "phase_ratio", "initial_ratio", "final_ratio")

    def __init__(
        self,
        peak: float,
        total_steps: int,
        phase_ratio: tuple[float, float, float] = (0.1, 0.4, 0.5),
        initial_ratio: float = 0.01,
        final_ratio: float = 0.05,
    ) -> None:
        _check_above_zero(
            peak=peak, total_steps=total_steps, initial_ratio=initial_ratio, final_ratio=final_ratio
        )
        # A list when it comes back from a file.
        phase_ratio = tuple(phase_ratio)
        if len(phase_ratio) != 3 or min(phase_ratio) < 0 or not math.isclose(sum(phase_ratio), 1):
            raise ValueError(
                f"phase_ratio is {phase_ratio}; it must be the shares of warm-up, hold and decay, which make 1 "
                "together, such as (0.1, 0.4, 0.5)"
            )
        self.peak = peak
        self.total_steps = total_steps
        self.phase_ratio = phase_ratio
        self.initial_ratio = initial_ratio
        self.final_ratio = final_ratio
        self.warmup_steps, self.hold_steps, self.decay_steps = (
            int(total_steps * share) for share in phase_ratio
        )

    def __call__(self, step: Any) -> Any:
        """The rate of a step, a float32 scalar."""
        step = ops.cast(step, "float32")
        decay_start = self.warmup_steps + self.hold_steps
        risen = step / max(self.warmup_steps, 1)
        fallen = ops.clip((step - decay_start) / max(self.decay_steps, 1), 0.0, 1.0)
        ratio = ops.where(
            step < self.warmup_steps,
            self.initial_ratio + (1 - self.initial_ratio) * risen,
            ops.exp(math.log(self.final_ratio) * fallen),
        )
        return self.peak * ratio


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class WarmupDecay(_Schedule):
    """A linear warm-up from 0 to ``peak``, then a straight line, half a cosine or nothing, down to ``peak * final_ratio``.

    With a ``final_ratio`` of 0 as the schedules of the same names in the reference's ``get_scheduler``
    (``constant_with_warmup`` for ``"constant"``, which never falls).

    Args:
        peak: the highest rate, reached after ``warmup_steps``.
        total_steps: where the lowest rate is reached, which then stays.
        warmup_steps: how long the rate rises; 0 begins at the peak.
        decay: ``"linear"``, ``"cosine"`` or ``"constant"``.
        final_ratio: the last rate's share of the peak.

    Raises:
        ValueError: for a rate or number of steps that is not above 0, a warm-up that does not end before
            ``total_steps``, a ratio outside of 0 to 1, or another ``decay``.
    """

    _arguments = ("peak", "total_steps", "warmup_steps", "decay", "final_ratio")

    def __init__(
        self,
        peak: float,
        total_steps: int,
        warmup_steps: int = 0,
        decay: Decay = "linear",
        final_ratio: float = 0.0,
    ) -> None:
        _check_above_zero(peak=peak, total_steps=total_steps)
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                f"A warm-up of {warmup_steps} steps must end before the last of {total_steps} steps in all"
            )
        if decay not in get_args(Decay):
            raise ValueError(f"decay is {decay!r}; it must be one of {', '.join(map(repr, get_args(Decay)))}")
        if not 0 <= final_ratio <= 1:
            raise ValueError(f"final_ratio is {final_ratio}; it must be a share of the peak, from 0 to 1")
        self.peak = peak
        self.total_steps = total_steps
        self.warmup_steps = warmup_steps
        self.decay = decay
        self.final_ratio = final_ratio

    def __call__(self, step: Any) -> Any:
        """The rate of a step, a float32 scalar."""
        step = ops.cast(step, "float32")
        risen = ops.minimum(step / max(self.warmup_steps, 1), 1.0)
        progress = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        remaining = self._remaining(ops.clip(progress, 0.0, 1.0))
        falling = self.final_ratio + (1 - self.final_ratio) * remaining
        return self.peak * ops.where(step < self.warmup_steps, risen, falling)

    def _remaining(self, progress: Any) -> Any:
        """What is left of the way from the peak to the last rate, 1 to 0, as ``progress`` goes from 0 to 1."""
        match self.decay:
            case "linear":
                return 1.0 - progress
            case "cosine":
                return 0.5 * (1.0 + ops.cos(math.pi * progress))
            case _:
                return ops.ones_like(progress)


def _check_above_zero(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; it must be above 0")
