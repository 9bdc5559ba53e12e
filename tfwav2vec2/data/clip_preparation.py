"""From an example to the waveform that a batch holds of it: read, cut and augmented."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfwav2vec2.backbone.lengths import shortest_clip
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.augmentation import Augmentation, stretch_of
from tfwav2vec2.data.clip_reading import read_clip
from tfwav2vec2.data.selection import Usable
from tfwav2vec2.data.targets import Targets, output_frames

# What decoding may find beyond the length that a header told: rounding, and the delay of a lossy encoder.
_TOLERATED_SECONDS = 0.1


@dataclass(frozen=True)
class ClipPreparation:
    """How clips become waveforms.

    Args:
        targets: the task's.
        config: the model's configuration.
        sampling_rate: the model's, in Hz.
        crop: the samples that are used of longer clips; None for all.
        random_crops: whether the piece is drawn, rather than the middle.
        augment: applied to each; None for nothing.
    """

    targets: Targets
    config: Wav2Vec2Config
    sampling_rate: int
    crop: int | None = None
    random_crops: bool = True
    augment: Augmentation | None = None

    def cropped(self, samples: int) -> int:
        """How many samples are used of a clip that has ``samples``."""
        return samples if self.crop is None else min(samples, self.crop)

    def most_samples(self, clip: Usable) -> int:
        """The samples that a batch must have room for: the longest that the clip may become, and what masking needs."""
        samples = math.ceil(self.cropped(clip.samples) * stretch_of(self.augment))
        config = self.config
        if config.apply_spec_augment and config.mask_time_prob > 0:
            span = shortest_clip(config) + (config.mask_time_length - 1) * config.inputs_to_logits_ratio
            samples = max(samples, span)
        return samples

    def waveform(self, clip: Usable, rng: np.random.Generator, limit: int) -> tuple[np.ndarray, float]:
        """A clip cut and augmented (samples,), and how many times longer augmenting made it.

        A clip that would become too short for its target, or longer than ``limit`` samples, is not augmented.

        Raises:
            OSError, ValueError: for a clip that cannot be read, or is not as long as was known of it.
        """
        waveform = self._cut(read_clip(clip.example, self.sampling_rate), rng)
        if len(waveform) > limit:
            if len(waveform) - limit > _TOLERATED_SECONDS * self.sampling_rate:
                raise ValueError(
                    f"Example {clip.example.id} holds {len(waveform) / self.sampling_rate:.2f} s, and "
                    f"{clip.samples / self.sampling_rate:.2f} s were expected; correct its header or the manifest, or look "
                    "at every clip first by check='decode'"
                )
            waveform = waveform[:limit]
        if self.augment is None:
            return waveform, 1.0
        changed = _checked(self.augment(waveform.copy(), rng), clip)
        frames = output_frames(self.config, len(changed))
        if len(changed) > limit or frames < self.targets.frames_needed(clip.target):
            return waveform, 1.0
        return changed, len(changed) / len(waveform)

    def _cut(self, waveform: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        room = len(waveform) - self.cropped(len(waveform))
        if not room:
            return waveform
        start = int(rng.integers(room + 1)) if self.random_crops else room // 2
        return waveform[start : start + self.crop]


def _checked(samples: Any, clip: Usable) -> np.ndarray:
    waveform = np.asarray(samples, np.float32)
    if waveform.ndim != 1 or not waveform.size or not np.isfinite(waveform).all():
        raise ValueError(
            f"augment made of example {clip.example.id} an array of the shape {waveform.shape}, or with values that are "
            "no numbers; it must return samples (samples,)"
        )
    return waveform
