"""Train the model of spoken digits: ``python -m recipes.spoken_digits.train --data DATA --folder FOLDER``.

FOLDER/best then holds the model that read the validation strings best. A training that was cut off goes on where it
was when the same command is given again.
"""

from __future__ import annotations

import json
import time
import warnings
from pathlib import Path
from typing import Any, get_args

import click
import keras
import numpy as np

from recipes.spoken_digits.architecture import (
    HUSHED_FOR_DIGITS,
    Labels,
    hush,
    make_config,
    make_processor,
    vocabulary,
)
from recipes.spoken_digits.corpus import SPEAKERS
from recipes.spoken_digits.evaluate import measure, total
from recipes.spoken_digits.material import PARTS, Material, Part
from recipes.spoken_digits.strings import DigitString
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC
from tfwav2vec2.processor import Wav2Vec2Processor
from tfwav2vec2.transcription.transcriber import Transcriber
from tfwav2vec2.weights.files import read_json, write_atomically, write_json

STEPS_OF_AN_EPOCH = 200
WARM_UP = 0.06  # of the steps
# The mean of the weights over about the last two hundred steps is what is validated and kept.
EMA_MOMENTUM = 0.995

STATE, PROGRESS, BEST, LOG = "state.weights.h5", "progress.json", "best", "log.jsonl"


def make_optimizer(steps: int, learning_rate: float) -> keras.optimizers.Optimizer:
    """AdamW with a linear warm-up, a cosine down to zero, clipped gradients and averaged weights."""
    warm_up = max(int(WARM_UP * steps), 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=learning_rate, warmup_steps=warm_up
    )
    return keras.optimizers.AdamW(
        schedule,
        weight_decay=0.01,
        beta_2=0.98,
        global_clipnorm=1.0,
        use_ema=True,
        ema_momentum=EMA_MOMENTUM,
    )


class KeepState(keras.callbacks.Callback):
    """After each epoch keeps what a resumed training needs: weights and optimizer, and the number of the epoch."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write both files, each at once or not at all."""
        with write_atomically(self.folder / STATE) as temporary:
            named = temporary.with_name(f"{temporary.name}.weights.h5")  # Keras insists on the ending
            self.model.save_weights(named)
            named.replace(temporary)
        write_json(self.folder / PROGRESS, {"epochs": epoch + 1})


class Validate(keras.callbacks.Callback):
    """After each epoch reads the validation strings, logs, and saves the model if none was better.

    Stands after ``SwapEMAWeights``, so that it sees the averaged weights.
    """

    def __init__(
        self, folder: Path, processor: Wav2Vec2Processor, sets: dict[str, list[DigitString]]
    ) -> None:
        super().__init__()
        self.folder = folder
        self.processor = processor
        self.sets = sets
        self.best = min((line["error_rate"] for line in read_log(folder)), default=np.inf)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measure, log, save."""
        step_seconds = (time.perf_counter() - self.started) / STEPS_OF_AN_EPOCH
        transcriber = Transcriber(self.model, self.processor, batch_size=16)
        rates = {name: total(measure(transcriber, strings)).rate for name, strings in self.sets.items()}
        error_rate = float(np.mean(list(rates.values())))
        if error_rate <= self.best:
            self.best = error_rate
            self.model.save_pretrained(self.folder / BEST)
            self.processor.save_pretrained(self.folder / BEST)
        line = {"epoch": epoch + 1, "loss": float((logs or {})["loss"]), **rates, "error_rate": error_rate}
        line |= {"best": self.best, "step_seconds": round(step_seconds, 3)}
        with (self.folder / LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")
        click.echo("  ".join(f"{name} {value:.4g}" for name, value in line.items()))


def read_log(folder: Path) -> list[dict[str, Any]]:
    """What :class:`Validate` has logged in a folder so far."""
    path = folder / LOG
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def make_model(start: Path | None, labels: Labels) -> TFWav2Vec2ForCTC:
    """A new model, or the one of ``start`` with a new head if it writes other labels.

    One that writes digits keeps its first convolution as :func:`~recipes.spoken_digits.architecture.hush` leaves it. Of the head of one that
    writes both, a model of digits keeps what writes digits.
    """
    config = make_config(labels)
    if start is None:
        model = TFWav2Vec2ForCTC(config)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the head is new is what is wanted
            model = TFWav2Vec2ForCTC.from_pretrained(
                start, config=config, strict="backbone", ignore_mismatched_sizes=True
            )
        if labels == "digits" and Wav2Vec2Config.from_pretrained(start).vocab_size == len(vocabulary("both")):
            heads = model.lm_head, TFWav2Vec2ForCTC.from_pretrained(start).lm_head
            for ours, both in zip(*(head.variables for head in heads), strict=True):
                ours.assign(both[..., : config.vocab_size])
    if labels != "phonemes":
        hush(model, HUSHED_FOR_DIGITS)
        model.wav2vec2.feature_extractor.conv_layers[0].conv.trainable = False
    elif start is None:
        hush(model)
    return model


def train(
    material: Material,
    folder: Path,
    start: Path | None = None,
    learning_rate: float = 1.5e-3,
) -> Path:
    """Train, or go on with a training of this folder that was cut off.

    Args:
        material: what is heard.
        folder: where everything goes.
        start: a model of this recipe, or what :mod:`recipes.spoken_digits.pretrain` left.
        learning_rate: at its peak.

    Returns:
        The folder of the model that read the validation strings best.
    """
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(material.seed)
    training = material.strings()
    model = make_model(start, material.labels)
    model.configure_call(jit_compile=False)
    model.compile(optimizer=make_optimizer(material.steps, learning_rate))
    click.echo(f"{model.count_params():,} weights")

    done = 0
    if (folder / PROGRESS).exists():
        done = read_json(folder / PROGRESS)["epochs"]
        model.optimizer.build(model.trainable_variables)
        model.load_weights(folder / STATE)
        click.echo(f"going on after epoch {done}")
    model.fit(
        training.dataset(first_step=done * STEPS_OF_AN_EPOCH),
        steps_per_epoch=STEPS_OF_AN_EPOCH,
        initial_epoch=done,
        epochs=material.steps // STEPS_OF_AN_EPOCH,
        callbacks=[
            KeepState(folder),
            keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            Validate(folder, make_processor(material.labels), material.validation()),
        ],
        verbose=0,
    )
    return folder / BEST


@click.command()
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder that holds fsdd/recordings."
)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=Path(".cache/spoken-digits/run"), show_default=True
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    default=Path(".cache/spoken-digits"),
    show_default=True,
    help="Where synthetic voices are kept.",
)
@click.option("--steps", default=2400, show_default=True, help="Batches to train on, a multiple of 200.")
@click.option("--learning-rate", default=1.5e-3, show_default=True, help="At its peak.")
@click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="A model of this recipe to train further.",
)
@click.option("--strength", default=1.0, show_default=True, help="How strong noise and rooms become, 0 to 1.")
@click.option("--labels", type=click.Choice(get_args(Labels)), default="digits", show_default=True)
@click.option("--left-out", type=click.Choice(SPEAKERS), help="The stranger, of whom nothing is heard.")
@click.option("--without", type=click.Choice(PARTS), multiple=True, help="A part to leave out.")
@click.option("--seed", default=0, show_default=True, help="Of the weights, the voices and the strings.")
def main(
    data: Path,
    folder: Path,
    cache: Path,
    steps: int,
    learning_rate: float,
    start: Path | None,
    strength: float,
    labels: Labels,
    left_out: str | None,
    without: tuple[Part, ...],
    seed: int,
) -> None:
    """Train the model of spoken digits, or go on with a training that was cut off."""
    if steps % STEPS_OF_AN_EPOCH or steps <= 0:
        raise click.BadParameter(f"--steps must be a multiple of {STEPS_OF_AN_EPOCH} above 0; got {steps}")
    material = Material(data, cache, steps, seed, labels, left_out, without, strength)
    train(material, folder, start, learning_rate)


if __name__ == "__main__":
    main()
