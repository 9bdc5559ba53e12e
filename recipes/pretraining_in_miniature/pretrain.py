"""Pretrain on speech without labels: ``python -m recipes.pretraining_in_miniature.pretrain --data DATA --output FOLDER``.

The same command goes on with a training that was cut off.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import keras

from recipes.fsdd.settings import make_extractor
from recipes.pretraining_in_miniature.settings import make_config, unlabelled_speech
from tfwav2vec2 import BackupAndResume, GumbelTemperatureDecay, SpeechData, WarmupDecay, open_for_task

# The last speakers are listened to only.
HELD_OUT = 10


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """How it is pretrained.

    Attributes:
        epochs: how often a piece is taken from every clip.
        batch_size: pieces of a batch.
        crop_seconds: how long a piece is.
        learning_rate: the highest.
        temperatures: the quantizer's at the beginning and at the end; it is at its end after a third of the steps.
        seed: of the weights, the pieces and the order.
    """

    epochs: int = 180
    batch_size: int = 16
    crop_seconds: float = 2.0
    learning_rate: float = 1.5e-3
    temperatures: tuple[float, float] = (2.0, 0.5)
    seed: int = 0


# Shorter spans and fewer distractors than the paper's, for so small a model and so short pieces.
OBJECTIVE = {
    "num_codevector_groups": 2,
    "num_codevectors_per_group": 64,
    "codevector_dim": 64,
    "proj_codevector_dim": 64,
    "num_negatives": 30,
    "diversity_loss_weight": 0.1,
    "mask_time_prob": 0.5,
    "mask_time_length": 6,
    "mask_feature_prob": 0.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "feat_quantizer_dropout": 0.0,
}


def pretrain(data: Path, output: Path, how: Pretraining, verbose: Any = 2) -> dict[str, list[float]]:
    """Pretrain, or go on with it, and leave the backbone in ``output/backbone``.

    Returns:
        The figures of each epoch.
    """
    start = output / "start"
    make_config().save_pretrained(start)
    make_extractor().save_pretrained(start)
    keras.utils.set_random_seed(how.seed)
    clips = unlabelled_speech(data)
    model, extractor = open_for_task("pretrain", start, clips, from_scratch=True, **OBJECTIVE)
    kind = {"batch_size": how.batch_size, "crop_seconds": how.crop_seconds, "workers": 1}
    speech = SpeechData(
        clips[:-HELD_OUT], "pretrain", extractor, model.config, seed=how.seed, drop_remainder=True, **kind
    )
    held_out = SpeechData(clips[-HELD_OUT:], "pretrain", extractor, model.config, shuffle=False, **kind)
    return fit_and_save(
        model,
        extractor,
        speech,
        output,
        how,
        validation_data=held_out.dataset(),
        validation_freq=5,
        verbose=verbose,
    )


def fit_and_save(
    model: Any, extractor: Any, speech: SpeechData, output: Path, how: Pretraining, **fit_options: Any
) -> dict[str, list[float]]:
    """Pretrain a model on batches, or go on with it, and leave the backbone in ``output/backbone``.

    Returns:
        The figures of each epoch.
    """
    steps = how.epochs * speech.steps_per_epoch
    schedule = WarmupDecay(how.learning_rate, steps, warmup_steps=steps // 20, decay="linear")
    first, last = how.temperatures
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01, beta_2=0.98, epsilon=1e-6))
    history = model.fit(
        speech.dataset(),
        epochs=how.epochs,
        callbacks=[
            GumbelTemperatureDecay(first, last, (last / first) ** (3 / steps)),
            keras.callbacks.CSVLogger(str(output / "history.csv"), append=True),
            BackupAndResume(output / "states", speech, every=100),
        ],
        **fit_options,
    )
    model.save_pretrained(output / "backbone")
    extractor.save_pretrained(output / "backbone")
    return history.history


@click.command(
    epilog="Example:  python -m recipes.pretraining_in_miniature.pretrain --data ../shared/data --output /tmp/mini"
)
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True, help="Folder with manifest.tsv."
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Where everything goes.")
@click.option("--epochs", default=Pretraining.epochs, show_default=True)
@click.option("--learning-rate", default=Pretraining.learning_rate, show_default=True)
def main(data: Path, output: Path, epochs: int, learning_rate: float) -> None:
    """Pretrain on 250 speakers of LibriSpeech, or go on with it."""
    output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    history = pretrain(data, output, Pretraining(epochs=epochs, learning_rate=learning_rate))
    figures = {name: round(values[-1], 4) for name, values in history.items()}
    click.echo(json.dumps(figures | {"minutes": round((time.perf_counter() - started) / 60, 1)}))


if __name__ == "__main__":
    main()
