"""A whole training in one call: optimizer and schedule, states to go on from, logs, the best model, a picture."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras

from tfwav2vec2.data.speech_data import SpeechData
from tfwav2vec2.training.distribute import Cluster
from tfwav2vec2.training.layer_rates import layer_decay, with_layer_rates
from tfwav2vec2.training.pictures import draw_curves
from tfwav2vec2.training.records import HistoryTable, TensorBoardLogs
from tfwav2vec2.training.resume import BackupAndResume
from tfwav2vec2.training.saving import SavePretrained
from tfwav2vec2.training.schedules import TriStage, WarmupDecay
from tfwav2vec2.training.temperature import GumbelTemperatureDecay

logger = logging.getLogger(__name__)

Schedule = Literal["tri-stage", "linear", "cosine", "constant"]

# What chooses the best model of each task, if there is validation.
MONITORS = {
    "ctc": "val_cer",
    "classify": "val_accuracy",
    "frames": "val_accuracy",
    "speaker": "val_accuracy",
    "pretrain": "val_loss",
}

# The paper's Adam (arXiv 2006.11477, section 4.3; fairseq's configurations name the values).
_ADAM = {"beta_1": 0.9, "beta_2": 0.98, "epsilon": 1e-8}
_PRETRAINING_ADAM = {"beta_1": 0.9, "beta_2": 0.98, "epsilon": 1e-6}


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How a model is trained.

    Attributes:
        epochs: how often the data are gone through.
        learning_rate: the highest.
        schedule: ``"tri-stage"`` rises, holds and decays, as in the paper; ``"linear"``, ``"cosine"`` and ``"constant"``
            rise and then fall so.
        warmup: the share of the steps in which the rate rises.
        weight_decay: AdamW's.
        clip_norm: what the norm of all gradients together is cut to; None for no cut.
        gradient_accumulation: how many batches make one update.
        freeze_feature_encoder: whether the convolutions stay as they are, as in the paper's fine-tuning.
        adapters_only: whether only the language adapters and the head learn (MMS).
        gradient_checkpointing: whether layers are computed again for their gradients, which takes less memory and more
            time.
        freeze_steps: for how many updates the backbone stays as it is, so that the new head learns first.
        temperature: pretraining's: of the first step, the lowest, and what each step multiplies it by (see
            :class:`~tfwav2vec2.training.temperature.GumbelTemperatureDecay`). The default is the paper's, for hundreds of
            thousands of steps; let it fall faster in shorter trainings.
        layer_decay: how much lower the rate of each layer is than that of the one above; 1 for one rate.
        every: after how many steps a state to go on from is written, besides each epoch's beginning.
        patience: how many epochs without a better model end the training; None for none.
        seed: of everything that is random while the model trains.
    """

    epochs: int = 10
    learning_rate: float = 1e-4
    schedule: Schedule = "tri-stage"
    warmup: float = 0.1
    weight_decay: float = 0.0
    clip_norm: float | None = None
    gradient_accumulation: int = 1
    freeze_feature_encoder: bool = True
    adapters_only: bool = False
    gradient_checkpointing: bool = False
    freeze_steps: int = 0
    layer_decay: float = 1.0
    temperature: tuple[float, float, float] = (2.0, 0.5, 0.999995)
    every: int = 500
    patience: int | None = None
    seed: int = 0


def train(
    model: Any,
    processor: Any,
    data: SpeechData,
    output: str | Path,
    options: TrainingOptions,
    *,
    validation: SpeechData | None = None,
    cluster: Cluster | None = None,
    verbose: Any = "auto",
) -> keras.callbacks.History:
    """Train a model, or go on with a training that was cut off, and leave everything in a folder.

    ``output`` then opens by ``from_pretrained``: it holds the best model by the task's measure on the validation data, or
    without those the last. ``output/training`` holds the states to go on from, ``history.csv``, TensorBoard's logs and
    ``curves.png``.

    Args:
        model: of this package, not compiled.
        processor: what belongs to it; it is saved with it.
        data: what to train on.
        output: the folder.
        options: how.
        validation: what to choose the best model by.
        cluster: the devices and processes that train together, as :func:`~tfwav2vec2.training.distribute.distribute` set
            them up before the model was made in its scope; ``data`` and ``validation`` are then this process's shards. The
            first process writes the model and the logs, each one its own states.
        verbose: as for ``fit``.

    Raises:
        NotFiniteError, OSError: as :class:`~tfwav2vec2.training.resume.BackupAndResume` does; the last good state stays.
        CheckpointError: where the folder holds the states of another training.
    """
    output, cluster = Path(output), cluster or Cluster()
    records = output / "training"
    records.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(options.seed)
    if options.freeze_feature_encoder and data.task != "pretrain":
        model.freeze_feature_encoder()
    if options.adapters_only:
        model.freeze_all_but_adapters()
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    monitor = MONITORS[data.task] if validation is not None else None
    saving = SavePretrained(output, processor, monitor)
    counting: list[keras.callbacks.Callback] = [saving] if cluster.is_chief else []
    if options.patience is not None and monitor is not None:
        counting.append(keras.callbacks.EarlyStopping(monitor, patience=options.patience, mode=saving.mode))
    callbacks = [*counting, *(_logs(records) if cluster.is_chief else ())]
    if data.task == "pretrain":
        callbacks.append(GumbelTemperatureDecay(*options.temperature))
    states = records / ("states" if cluster.processes == 1 else f"states-{cluster.process}")
    callbacks.append(
        BackupAndResume(states, data, every=options.every, callbacks=counting, agree=cluster.lowest)
    )
    with cluster.scope():
        model.compile(optimizer=make_optimizer(model, data.task, data.steps_per_epoch, options))
        history = model.fit(
            data.dataset(),
            epochs=options.epochs,
            verbose=verbose if cluster.is_chief else 0,
            callbacks=callbacks,
            validation_data=None if validation is None else validation.dataset(),
        )
    logger.info("Training %s", data.wait)
    if cluster.is_chief:
        _draw(history.history, records / "curves.png")
    return history


def make_optimizer(
    model: Any, task: str, steps_per_epoch: int, options: TrainingOptions
) -> keras.optimizers.Optimizer:
    """The optimizer that the options describe: AdamW with a schedule, and with rates by layer where they differ."""
    steps = options.epochs * steps_per_epoch
    optimizer = keras.optimizers.AdamW(
        make_schedule(options, steps),
        weight_decay=options.weight_decay,
        global_clipnorm=options.clip_norm,
        gradient_accumulation_steps=options.gradient_accumulation
        if options.gradient_accumulation > 1
        else None,
        **(_PRETRAINING_ADAM if task == "pretrain" else _ADAM),
    )
    rates = layer_decay(model, options.layer_decay) if options.layer_decay != 1.0 else {}
    frozen = {"wav2vec2": options.freeze_steps} if options.freeze_steps else {}
    return with_layer_rates(optimizer, model, rates, frozen) if rates or frozen else optimizer


def make_schedule(options: TrainingOptions, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate over so many steps."""
    if options.schedule == "tri-stage":
        hold = min(0.4, 1 - options.warmup)
        return TriStage(options.learning_rate, steps, (options.warmup, hold, 1 - options.warmup - hold))
    return WarmupDecay(
        options.learning_rate, steps, min(int(options.warmup * steps), steps - 1), options.schedule
    )


def _logs(records: Path) -> list[keras.callbacks.Callback]:
    """What writes down how training goes: a table, and TensorBoard's logs where that is installed."""
    table = HistoryTable(records / "history.csv")
    if importlib.util.find_spec("tensorboard") is None:
        logger.info("No logs for TensorBoard, which is not installed: pip install 'tfwav2vec2[train]'")
        return [table]
    return [table, TensorBoardLogs(records / "tensorboard")]


def _draw(history: dict[str, list[float]], path: Path) -> None:
    try:
        draw_curves(history, path)
    except ImportError as error:
        logger.warning("%s", error)
