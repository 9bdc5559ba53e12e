"""Who speaks when, or whether anyone does: intervals of a clip as the classes of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfwav2vec2.backbone.lengths import frame_lengths, shortest_clip
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.targets import UnusableTargetError, class_index


class FrameClasses:
    """The classes of each frame: (batch, frames, num_labels) float32, 1 for every class that holds there.

    A frame has the classes of the intervals that its middle lies in: none, one or, where people speak at once, several.
    Note that the head's loss takes the first of several, and the first of all classes where a frame has none, as the
    reference's does: name a ``background``, or let class 0 be it.

    Args:
        config: ``label2id`` names the classes; says where frames lie.
        sampling_rate: of the clips in Hz.
        background: the class of frames in no interval; None for none.
    """

    follows_time = True
    dtype = np.float32
    fewest_frames = 1

    def __init__(self, config: Wav2Vec2Config, sampling_rate: int, background: str | None = None) -> None:
        self._config = config
        self._rate = sampling_rate
        self._background = None if background is None else class_index(background, config)
        self.trailing: tuple[int | None, ...] | None = (None, config.num_labels)

    def encode(self, example: Example) -> Any:
        """Intervals ``[(start, end, index), ...]`` in seconds, or an array (frames, num_labels)."""
        target, classes = example.target, self._config.num_labels
        if target is None:
            raise UnusableTargetError("no label", "it has no target")
        if not isinstance(target, np.ndarray):
            return [self._interval(item) for item in target]
        if target.ndim == 1:
            if np.any((target < 0) | (target >= classes)):
                raise UnusableTargetError(
                    "unknown label", f"its classes must be from 0 to {classes - 1}, as config.num_labels says"
                )
            target = np.eye(classes, dtype=np.float32)[target.astype(int)]
        if target.ndim != 2 or target.shape[1] != classes:
            raise UnusableTargetError(
                "unknown label", f"its target has the shape {target.shape}; it must be (frames, {classes})"
            )
        return target.astype(np.float32)

    def _interval(self, item: Any) -> tuple[float, float, int]:
        try:
            start, end, label = item
            start, end = float(start), float(end)
        except (TypeError, ValueError):
            raise UnusableTargetError(
                "unknown label", f"{item!r} is not (start, end, class), with times in seconds"
            ) from None
        return start, end, class_index(label, self._config)

    def size(self, target: Any) -> int:
        """0: the number of frames is the batch's."""
        return 0

    def frames_needed(self, target: Any) -> int:
        """One."""
        return self.fewest_frames

    def batch(
        self,
        targets: Sequence[Any],
        lengths: Sequence[int],
        stretch: Sequence[float],
        samples: int,
        columns: int,
    ) -> np.ndarray:
        """The classes of each clip's frames."""
        config = self._config
        labels = np.zeros((len(targets), frame_lengths(config, samples), config.num_labels), np.float32)
        for row, target, length, factor in zip(labels, targets, lengths, stretch, strict=True):
            frames = frame_lengths(config, int(length))
            if isinstance(target, np.ndarray):
                places = np.minimum((np.arange(frames) + 0.5) / factor, len(target) - 1).astype(int)
                row[:frames] = target[places] if len(target) else 0.0
            else:
                self._fill(row[:frames], target, factor)
            if self._background is not None:
                row[:frames, self._background] += row[:frames].sum(axis=-1) == 0
        return labels

    def _fill(self, row: np.ndarray, intervals: list[tuple[float, float, int]], factor: float) -> None:
        middles = np.arange(len(row)) * self._config.inputs_to_logits_ratio + shortest_clip(self._config) / 2
        seconds = middles / (self._rate * factor)
        for start, end, index in intervals:
            row[(start <= seconds) & (seconds < end), index] = 1.0
