"""Which examples can be learned from, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.clip_reading import count_samples
from tfwav2vec2.data.data_report import LeftOut
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.targets import Targets, UnusableTargetError, output_frames

CHECKS = ("header", "decode", "manifest")

# Headers are read over networks as well, where it is the waiting that takes time.
_READERS = 16


@dataclass(frozen=True)
class Usable:
    """An example that can be learned from.

    Args:
        example: itself.
        number: its place among all that were given, which its random numbers are drawn with.
        target: in numbers.
        samples: its length, at the model's rate; a few may be missing.
    """

    example: Example
    number: int
    target: Any
    samples: int


@dataclass(frozen=True)
class Selection:
    """What examples must be like.

    Args:
        targets: of the task.
        config: says how many frames a clip has.
        sampling_rate: the model's, in Hz.
        min_seconds: shorter ones are left out.
        max_seconds: longer ones are left out.
        check: how far to look for what is wrong with a file (:func:`~tfwav2vec2.data.clip_reading.count_samples`).
    """

    targets: Targets
    config: Wav2Vec2Config
    sampling_rate: int
    min_seconds: float | None = None
    max_seconds: float | None = None
    check: str = "header"

    def __post_init__(self) -> None:
        if self.check not in CHECKS:
            raise ValueError(f"check is {self.check!r}; it must be one of {', '.join(map(repr, CHECKS))}")

    def apply(self, examples: Sequence[Example]) -> tuple[list[Usable], list[LeftOut]]:
        """Those that can be learned from, in their order, and the others."""
        usable: list[Usable] = []
        left_out: list[LeftOut] = []
        with ThreadPoolExecutor(_READERS) as pool:
            lengths = pool.map(self._length_or_error, examples)
            for number, (example, length) in enumerate(zip(examples, lengths, strict=True)):
                try:
                    usable.append(self._usable(example, number, length))
                except UnusableTargetError as error:
                    left_out.append(LeftOut(example.id, error.reason, str(error)))
        return usable, left_out

    def _length_or_error(self, example: Example) -> int | Exception:
        try:
            return count_samples(example, self.sampling_rate, self.check)
        except (OSError, ValueError, TypeError) as error:
            return error

    def _usable(self, example: Example, number: int, length: int | Exception) -> Usable:
        if isinstance(length, Exception):
            # The error names the example, and so does the report.
            raise UnusableTargetError("unreadable or empty", str(length.__cause__ or length))
        if not length:
            raise UnusableTargetError("unreadable or empty", "it holds no samples")
        seconds = length / self.sampling_rate
        if self.max_seconds is not None and seconds > self.max_seconds:
            raise UnusableTargetError(
                "too long", f"it lasts {seconds:.2f} s, more than max_seconds={self.max_seconds:g}"
            )
        if self.min_seconds is not None and seconds < self.min_seconds:
            raise UnusableTargetError(
                "too short", f"it lasts {seconds:.2f} s, less than min_seconds={self.min_seconds:g}"
            )
        frames = output_frames(self.config, length)
        if frames < self.targets.fewest_frames:
            raise UnusableTargetError(
                "too short",
                f"its {seconds:.2f} s are {frames} frames, and the task needs {self.targets.fewest_frames}",
            )
        target = self.targets.encode(example)
        needed = self.targets.frames_needed(target)
        if frames < needed:
            raise UnusableTargetError(
                "impossible target",
                f"its target needs {needed} frames, and its {seconds:.2f} s are {frames}: the text or the part of the "
                "audio is wrong, or it is spoken too fast",
            )
        return Usable(example, number, target, length)
