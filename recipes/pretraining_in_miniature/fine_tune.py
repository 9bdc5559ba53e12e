"""Fine-tune on ten labelled clips of each digit, from pretrained weights or from drawn ones, and count wrong words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from recipes.fsdd.settings import SAMPLING_RATE, make_extractor
from recipes.pretraining_in_miniature.settings import Digits, make_config
from tfwav2vec2 import SpeechData, Transcriber, WarmupDecay, open_for_task
from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.data.augmentation import AdditiveNoise, Chain, Sometimes, SpeedPerturbation
from tfwav2vec2.data.examples import Example
from tfwav2vec2.metrics.error_rates import ErrorRate, word_error_rate

Start = Literal["drawn", "pretrained"]

BATCH_SIZE = 10
# Three shapes to compile, the last as long as the longest clip of the labelled speakers when it is played slowest.
BUCKETS = Buckets([round(seconds * SAMPLING_RATE) for seconds in (0.5, 0.75, 1.25)])
AUGMENT = Chain([Sometimes(SpeedPerturbation((0.8, 0.9, 1.1, 1.25)), 0.7), Sometimes(AdditiveNoise(), 0.5)])
# The same for both starts. The masks are those of fine-tuning, short as digits are.
REGULARIZATION = {
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "activation_dropout": 0.1,
    "feat_proj_dropout": 0.1,
    "final_dropout": 0.1,
    "mask_time_prob": 0.1,
    "mask_time_length": 3,
    "mask_time_min_masks": 0,
    "mask_feature_prob": 0.1,
    "mask_feature_length": 8,
    "mask_feature_min_masks": 0,
    "ctc_loss_reduction": "mean",
    "ctc_zero_infinity": True,
}


@dataclass(frozen=True)
class Setting:
    """What tuning chooses: the highest learning rate, and how often the labelled clips are gone through."""

    learning_rate: float
    epochs: int

    def __str__(self) -> str:
        return f"rate={self.learning_rate:g} epochs={self.epochs}"


class FineTuning:
    """Trains from one start, as often as is asked, and measures.

    One compiled model serves all trainings: every training gives it the weights and the random states of a model that
    was made for the training alone, and an optimizer that has counted nothing.

    Args:
        digits: the clips.
        start: where the weights come from.
        folder: for ``"pretrained"`` the folder of the backbone; for ``"drawn"`` one to write a configuration to.
    """

    def __init__(self, digits: Digits, start: Start, folder: Path) -> None:
        self._digits, self._start, self._folder = digits, start, folder
        if start == "drawn":
            make_config().save_pretrained(folder)
            make_extractor().save_pretrained(folder)
        self._model, self._processor = self._open()
        # The rate is a number that the callback sets, rather than a schedule, which would be compiled in.
        self._model.compile(keras.optimizers.AdamW(1e-3, weight_decay=0.01, beta_2=0.98, global_clipnorm=1.0))
        self._transcriber = Transcriber(self._model, self._processor, batch_size=32)

    def train(self, setting: Setting, seed: int) -> dict[str, list[float]]:
        """Train on the labelled clips of a seed, which also draws the head, the dropout and the order.

        Returns:
            The loss of each epoch.
        """
        keras.utils.set_random_seed(seed)
        fresh, _ = self._open()
        for ours, theirs in zip(self._model.variables, fresh.variables, strict=True):
            ours.assign(theirs)
        for variable in self._model.optimizer.variables:
            variable.assign(keras.ops.zeros_like(variable))
        speech = SpeechData(
            self._digits.labelled_clips(seed), "ctc", self._processor, self._model.config,
            batch_size=BATCH_SIZE, augment=AUGMENT, seed=seed, buckets=BUCKETS, workers=1,
        )  # fmt: skip
        steps = setting.epochs * speech.steps_per_epoch
        schedule = WarmupDecay(setting.learning_rate, steps, warmup_steps=steps // 10, decay="linear")
        return self._model.fit(
            speech.dataset(), epochs=setting.epochs, callbacks=[_FollowSchedule(schedule)], verbose=0
        ).history

    def word_error_rate(self, clips: Sequence[Example]) -> float:
        """The error rate in words of the model as it is, by greedy decoding, in percent."""
        found = self._transcriber.transcribe([clip.audio for clip in clips], source_rate=SAMPLING_RATE)
        errors = ErrorRate()
        for clip, transcript in zip(clips, found, strict=True):
            errors += word_error_rate(str(clip.target), transcript.text)
        return round(100 * errors.rate, 3)

    def _open(self) -> tuple[Any, Any]:
        # All words of the digits give the letters, whichever clips are labelled.
        return open_for_task(
            "ctc", self._folder, self._digits.labelled, from_scratch=self._start == "drawn", **REGULARIZATION
        )


class _FollowSchedule(keras.callbacks.Callback):
    """Sets the optimizer's learning rate before every step."""

    def __init__(self, schedule: WarmupDecay) -> None:
        super().__init__()
        self._schedule = schedule
        self._step = 0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Set the rate of the step that comes."""
        self.model.optimizer.learning_rate = float(np.asarray(self._schedule(self._step)))
        self._step += 1
