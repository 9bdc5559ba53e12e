"""The quantizer's temperature falls while a model is pretrained (paper arXiv 2006.11477, section 4.2)."""

from __future__ import annotations

from typing import Any

import keras


class GumbelTemperatureDecay(keras.callbacks.Callback):
    """After every step the temperature is ``start * decay**step``, but never below ``end``.

    The defaults are the paper's for the base model; for the large one ``end`` is 0.1. The step is the optimizer's, so
    that training goes on from a checkpoint at the temperature at which it stopped.

    Args:
        start: the temperature of the first step.
        end: the lowest temperature.
        decay: what each step multiplies it by.

    Raises:
        ValueError: for an ``end`` that is not in (0, ``start``], or a ``decay`` that is not in (0, 1].
    """

    def __init__(self, start: float = 2.0, end: float = 0.5, decay: float = 0.999995) -> None:
        super().__init__()
        if not 0 < end <= start or not 0 < decay <= 1:
            raise ValueError(
                f"A temperature falls from start to end, both above 0, by a factor of at most 1; got start={start}, "
                f"end={end}, decay={decay}"
            )
        self.start = start
        self.end = end
        self.decay = decay

    def temperature(self, step: int) -> float:
        """The temperature of a step, counted from 0."""
        return max(self.start * self.decay**step, self.end)

    def on_train_begin(self, logs: Any = None) -> None:
        """Set the temperature of the first step, or of the one with which training goes on."""
        self._set()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Set the next step's temperature."""
        self._set()

    def _set(self) -> None:
        step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
        self.model.set_gumbel_temperature(self.temperature(step))
