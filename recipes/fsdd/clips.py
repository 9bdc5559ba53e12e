"""Which clips train, which choose the learning rate, and which are for the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import read_manifest

Task = Literal["digits", "speakers"]

# Shorter clips are too few frames for the time-delay layers; the shortest of the set has 0.14 s.
SHORTEST_SECONDS = 0.25

_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<take>\d+)\.wav$")


@dataclass(frozen=True)
class Recording:
    """A clip of the set: a digit, who says it, and which of his fifty takes it is."""

    digit: int
    speaker: str
    take: int


@dataclass(frozen=True)
class Split:
    """Three lists that share no clip."""

    training: list[Example]
    validation: list[Example]
    test: list[Example]


def recording_of(example: Example) -> Recording:
    """What the name of an example's file tells: ``7_jackson_32.wav``.

    Raises:
        ValueError: for a name that is not of this kind.
    """
    match = _NAME.search(example.id)
    if match is None:
        raise ValueError(f"{example.id} is no clip of the set; its name must be like 7_jackson_32.wav")
    return Recording(int(match["digit"]), match["speaker"], int(match["take"]))


def read_split(data: Path, task: Task) -> Split:
    """The clips of a task.

    Args:
        data: the folder with ``manifest.tsv``, which names the clips ``fsdd/...``.
        task: ``"digits"`` is tested on a speaker whom neither the training nor the choice of the learning rate has heard;
            ``"speakers"`` on digits that neither has heard, with a few takes of four other digits to learn the voices from.

    Raises:
        OSError, ValueError: as ``read_manifest``; where there are no such clips.
    """
    # What is to be told is in another column for each task.
    clips = [
        (recording_of(example), example)
        for example in read_manifest(data / "manifest.tsv", target=_TARGETS[task])
        if example.id.startswith("fsdd/") and (example.seconds or 0.0) >= SHORTEST_SECONDS
    ]
    parts = [[example for recording, example in clips if belongs(recording)] for belongs in _PARTS[task]]
    if not all(parts):
        raise ValueError(f"{data / 'manifest.tsv'} lacks clips of fsdd/; the recipe needs all five speakers")
    return Split(*parts)


_TARGETS: dict[Task, str] = {"digits": "transcript", "speakers": "speaker"}

_Rule = Callable[[Recording], bool]

_PARTS: dict[Task, tuple[_Rule, _Rule, _Rule]] = {
    "digits": (
        lambda clip: clip.speaker in {"george", "jackson", "nicolas"} and clip.take < 20,
        lambda clip: clip.speaker == "lucas" and clip.take < 30,
        lambda clip: clip.speaker == "yweweler",
    ),
    "speakers": (
        lambda clip: clip.digit < 4 and clip.take < 10,
        lambda clip: clip.digit in {4, 5} and clip.take < 20,
        lambda clip: clip.digit > 5 and clip.take >= 10,
    ),
}
