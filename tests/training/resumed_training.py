"""A small training that can be killed at any moment and started again: what the tests of resuming run in a process."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tests.tiny import TINY
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC
from tfwav2vec2.training.resume import BackupAndResume

STEPS, EPOCHS, BATCH, SAMPLES = 5, 3, 2, 700


class Clips:
    """Random clips in an order that each epoch shuffles; it can begin in the middle of an epoch."""

    steps_per_epoch = STEPS

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.clips = rng.normal(size=(STEPS * BATCH, SAMPLES)).astype(np.float32)
        self.labels = rng.integers(5, 10, size=(STEPS * BATCH, 4)).astype(np.int32)
        self.epoch = self.first = 0

    def seek(self, epoch: int, step: int) -> None:
        self.epoch, self.first = epoch, step

    def order(self) -> np.ndarray:
        return np.random.default_rng((7, self.epoch)).permutation(len(self.clips)).reshape(STEPS, BATCH)

    def dataset(self) -> keras.utils.PyDataset:
        return _Batches(self)


class _Batches(keras.utils.PyDataset):
    def __init__(self, clips: Clips) -> None:
        super().__init__()
        self.clips = clips
        self.steps = STEPS - clips.first

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        chosen = self.clips.order()[self.clips.first + index]
        return {"input_values": self.clips.clips[chosen], "labels": self.clips.labels[chosen]}


class Log(keras.callbacks.Callback):
    """Writes down each step that was taken, whatever becomes of the process after it."""

    def __init__(self, path: Path, data: Clips) -> None:
        super().__init__()
        self.path = path
        self.data = data

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self.data.first + batch
        line = {"epoch": self.data.epoch, "step": step, "clips": self.data.order()[step].tolist()}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@functools.cache
def _compiled_once() -> tuple[TFWav2Vec2ForCTC, list[np.ndarray]]:
    """A tiny model in which everything that is random acts (dropout, LayerDrop, SpecAugment), and its first values."""
    keras.utils.set_random_seed(11)
    config = Wav2Vec2Config(**TINY, hidden_dropout=0.2, layerdrop=0.2, mask_time_prob=0.3)
    model = TFWav2Vec2ForCTC(config)
    schedule = keras.optimizers.schedules.PolynomialDecay(1e-2, STEPS * EPOCHS, 1e-3)
    model.compile(optimizer=keras.optimizers.Adam(schedule), metrics=[])
    model.optimizer.build(model.trainable_variables)
    return model, [np.array(value) for value in (*model.variables, *model.optimizer.variables)]


def make_model() -> TFWav2Vec2ForCTC:
    """The model as a process that has just started has it. Its training step is traced once, which takes longest."""
    model, first_values = _compiled_once()
    for variable, value in zip((*model.variables, *model.optimizer.variables), first_values, strict=True):
        variable.assign(value)
    model.stop_training = False
    return model


def train(folder: Path, epochs: int = EPOCHS, every: int | None = 2, **options: Any) -> TFWav2Vec2ForCTC:
    """Train, or go on; the weights are in ``folder/final.npz`` once it has ended."""
    data, model = Clips(), make_model()
    log = Log(folder / "steps.jsonl", data)
    agreed = {"agree": options.pop("agree")} if "agree" in options else {}
    backup = BackupAndResume(folder / "states", data, every=every, **agreed)
    history = model.fit(
        data.dataset(),
        epochs=epochs,
        verbose=0,
        callbacks=[log, *options.pop("callbacks", ()), backup],
        **options,
    )
    weights = {str(index): np.asarray(value) for index, value in enumerate(model.variables)}
    np.savez(folder / "final.npz", **weights)
    (folder / "history.json").write_text(json.dumps(history.history))
    return model


def steps_taken(folder: Path) -> list[dict[str, Any]]:
    """The steps of the training, each as it was taken last: those after the last state are taken again."""
    lines = [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]
    return list({(line["epoch"], line["step"]): line for line in lines}.values())
