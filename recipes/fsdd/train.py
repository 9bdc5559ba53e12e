"""Train one task with this package: ``python -m recipes.fsdd.train --task digits --output FOLDER``."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from recipes.fsdd.clips import Split, Task, read_split
from recipes.fsdd.scores import Scores
from recipes.fsdd.settings import SETTINGS, Setting, make_config, make_extractor
from tfwav2vec2 import open_for_task, train
from tfwav2vec2.data.examples import Example

data_option = click.option(
    "--data",
    type=click.Path(exists=True, path_type=Path),
    default=Path("../shared/data"),
    show_default=True,
    help="Folder with manifest.tsv.",
)


def train_ours(setting: Setting, split: Split, rate: float, seed: int, output: Path) -> tuple[Any, Any]:
    """Draw a model, train it, and leave it in a folder.

    Returns:
        The model and its feature extractor.
    """
    keras.utils.set_random_seed(seed)
    start = output / "start"
    make_config().save_pretrained(start)
    make_extractor().save_pretrained(start)
    model, extractor = open_for_task(setting.head, start, split.training, from_scratch=True)
    data = setting.training_data(split.training, extractor, model.config, seed)
    train(model, extractor, data, output, setting.options(rate, seed), verbose=0)
    return model, extractor


def score_ours(setting: Setting, model: Any, extractor: Any, clips: Sequence[Example]) -> Scores:
    """How good a model's answers to clips are."""
    data = setting.test_data(clips, extractor, model.config)
    batches = list(data)
    # A few dozen calls do not pay for compiling.
    model.configure_call(jit_compile=False)
    output = model.predict(batches, verbose=0)
    labels = np.concatenate([batch["labels"] for batch in batches])
    if setting.head == "speaker":
        return Scores.of(output["speaker_scores"], labels, output["embeddings"])
    return Scores.of(output["logits"], labels)


@click.command(epilog="Example:  python -m recipes.fsdd.train --task digits --output /tmp/digits")
@click.option("--task", type=click.Choice(list(SETTINGS)), required=True)
@data_option
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Where the model goes.")
@click.option(
    "--rate", type=float, help="Peak learning rate; by default the middle one of those to choose from."
)
@click.option("--seed", default=0, show_default=True, help="Of the weights, the order and the augmentation.")
def main(task: Task, data: Path, output: Path, rate: float | None, seed: int) -> None:
    """Train one model of a task and measure it on the clips held out."""
    started = time.perf_counter()
    setting, split = SETTINGS[task], read_split(data, task)
    rate = setting.rates[len(setting.rates) // 2] if rate is None else rate
    model, extractor = train_ours(setting, split, rate, seed, output)
    scores = score_ours(setting, model, extractor, split.test)
    seconds = round(time.perf_counter() - started, 1)
    click.echo(json.dumps({"task": task, "seed": seed, "rate": rate, **asdict(scores), "seconds": seconds}))


if __name__ == "__main__":
    main()
