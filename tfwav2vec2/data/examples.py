"""One clip and what is to be learned from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# What a lazy source may return: anything that an example's audio may be, or samples with their rate in Hz.
Audio = Path | str | bytes | np.ndarray
LazyAudio = Callable[[], "Audio | tuple[np.ndarray, int]"]


@dataclass(frozen=True, eq=False)
class Example:
    """One clip and its target.

    Args:
        id: names the example in reports, and in the order of a training's examples.
        audio: a file's path or bytes, an array (samples,) or (samples, channels), or a function that returns one of
            these, or ``(array, rate)``, whenever the clip is needed.
        target: a text for CTC, the name or index of a class, ``(start, end, class)`` intervals in seconds or an array
            (frames,) or (frames, classes) for frame classification; None where there is none.
        sampling_rate: the rate of an array in Hz; files say their own.
        speaker: who speaks.
        seconds: how long the clip lasts, where that is known without opening it.
        start: where in the audio the clip begins, in seconds.
        end: where it ends, in seconds; None for the end of the audio.

    Raises:
        ValueError: for a part that ends before it begins.
    """

    id: str
    audio: Audio | LazyAudio
    target: Any = None
    sampling_rate: int | None = None
    speaker: str | None = None
    seconds: float | None = None
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.end is not None and self.end <= self.start):
            raise ValueError(
                f"{self.id} is the part from {self.start} s to {self.end} s; give a start of at least 0 and a later end"
            )

    @property
    def is_part(self) -> bool:
        """Whether the clip is a part of the audio rather than all of it."""
        return self.start > 0 or self.end is not None


def from_arrays(
    clips: Sequence[Any],
    targets: Sequence[Any] | None,
    sampling_rate: int,
    *,
    speakers: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
) -> list[Example]:
    """Examples from clips in memory.

    Args:
        clips: arrays (samples,) or (samples, channels), or one array (clips, samples).
        targets: one for each clip, as :class:`Example` takes them; None where there are none.
        sampling_rate: the rate of all clips in Hz.
        speakers: who speaks in each.
        ids: a name for each; by default their numbers.

    Raises:
        ValueError: where there is not one of each for every clip.
    """
    columns = {"targets": targets, "speakers": speakers, "ids": ids}
    for name, values in columns.items():
        if values is not None and len(values) != len(clips):
            raise ValueError(f"There are {len(clips)} clips and {len(values)} {name}; give one for each clip")
    return [
        Example(
            id=str(index) if ids is None else str(ids[index]),
            audio=np.asarray(clip),
            target=None if targets is None else targets[index],
            sampling_rate=sampling_rate,
            speaker=None if speakers is None else str(speakers[index]),
        )
        for index, clip in enumerate(clips)
    ]
