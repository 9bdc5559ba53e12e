"""The best model of a training, in a folder that ``from_pretrained`` opens."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

import keras

# Quantities of which more is better; of all others less is.
_GROWING = ("accuracy", "perplexity")


class SavePretrained(keras.callbacks.Callback):
    """After each epoch writes the model into a folder, if none was better.

    A save replaces the one before only once it is written.

    Args:
        folder: where ``save_pretrained`` writes.
        processor: what belongs to the model; it is written once, with the first save.
        monitor: the quantity in ``fit``'s logs that tells which model is better, such as ``"val_wer"``. None saves after
            every epoch.
        mode: whether a lower (``"min"``) or a higher (``"max"``) value is better; by default as the name says.
    """

    def __init__(
        self,
        folder: str | Path,
        processor: Any = None,
        monitor: str | None = None,
        mode: Literal["min", "max"] | None = None,
    ) -> None:
        super().__init__()
        self.folder = Path(folder)
        self.monitor = monitor
        self.mode = mode or ("max" if monitor is not None and monitor.endswith(_GROWING) else "min")
        self.best: float | None = None
        self.best_epoch: int | None = None
        self._processor = processor

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Save, if this epoch's model is the best.

        Raises:
            KeyError: where the logs do not hold the quantity.
        """
        if self.monitor is not None:
            value = self._value(logs or {})
            if not self._is_better(value):
                return
            self.best = value
        self.best_epoch = epoch
        self.model.save_pretrained(self.folder)
        if self._processor is not None:
            self._processor.save_pretrained(self.folder)

    def _is_better(self, value: float) -> bool:
        if self.best is None or math.isnan(self.best):
            return True
        return value < self.best if self.mode == "min" else value > self.best

    def _value(self, logs: dict[str, float]) -> float:
        if self.monitor not in logs:
            raise KeyError(
                f"There is no {self.monitor!r} to choose the best model by; fit reports {', '.join(logs)}. Give "
                "validation data, or another monitor"
            )
        return float(logs[self.monitor])
