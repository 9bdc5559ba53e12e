"""How often a model hears digits where there are none: in open speech, noise and music."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recipes.spoken_digits.augmentation import coloured_noise, decibels, music, rms
from recipes.spoken_digits.open_speech import read_open_speech, stretch
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.transcription.transcriber import Transcriber

CLIPS_OF_A_KIND = 100
SECONDS = 3.0
LEVEL_DB = -25.0


@dataclass(frozen=True)
class FalseAlarms:
    """Of ``clips`` without a digit ``heard`` were given some, ``digits`` of them altogether."""

    clips: int
    heard: int
    digits: int

    @property
    def rate(self) -> float:
        """The share of the clips."""
        return self.heard / max(self.clips, 1)


def clips_without_digits(data: Path, seed: int) -> dict[str, list[np.ndarray]]:
    """Clips (samples,) of each kind at an even level, of readers whom no training hears."""
    rng = np.random.default_rng(seed)
    _, others = read_open_speech(data)
    length = round(SECONDS * SAMPLE_RATE)
    kinds = {
        "open speech": [stretch(others, SECONDS, rng) for _ in range(CLIPS_OF_A_KIND)],
        "noise": [coloured_noise(length, slope % 3, rng) for slope in range(CLIPS_OF_A_KIND)],
        "music": [music(length, rng) for _ in range(CLIPS_OF_A_KIND)],
    }
    level = decibels(LEVEL_DB)
    return {
        kind: [np.clip(level * clip / rms(clip), -1, 1).astype(np.float32) for clip in clips]
        for kind, clips in kinds.items()
    }


def false_alarms(transcriber: Transcriber, clips: list[np.ndarray]) -> FalseAlarms:
    """Transcribe clips in which nobody says a digit."""
    texts = [found.text for found in transcriber.transcribe(iter(clips), source_rate=SAMPLE_RATE)]
    digits = [sum(symbol.isdigit() for symbol in text) for text in texts]
    return FalseAlarms(len(clips), sum(count > 0 for count in digits), sum(digits))
