"""Train, align and compare: ``python -m recipes.alignment.run --data DATA --output FOLDER``."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from recipes.alignment.measure import even_spread, measure, read_all
from recipes.alignment.train import EPOCHS, train_aligner
from tfwav2vec2 import load_audio
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.transcription.aligner import REACH_SECONDS, Aligner

REACHES = (0.0, 0.02, REACH_SECONDS, 0.06, 0.08)


@click.command(epilog="Example:  python -m recipes.alignment.run --data ../shared/data --output /tmp/aligner")
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True, help="Folder with manifest.tsv."
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Where the model goes.")
@click.option("--epochs", default=EPOCHS, show_default=True, help="0 measures a model that is there.")
@click.option("--seed", default=0, show_default=True, help="Of the weights and the order.")
def main(data: Path, output: Path, epochs: int, seed: int) -> None:
    """Train a model, align recordings that it has not heard, and print how far their times are from the references'."""
    started = time.perf_counter()
    if epochs:
        train_aligner(data, output, epochs=epochs, seed=seed)
    minutes = (time.perf_counter() - started) / 60
    aligner = Aligner.from_pretrained(output)
    found = {}
    for folder, references in read_all(data).items():
        seconds = {each.audio: len(load_audio(each.audio)) / SAMPLE_RATE for each in references}
        found[folder] = {"spread evenly": even_spread(references, seconds).figures()}
        for reach, differences in measure(aligner, references, REACHES).items():
            found[folder][f"reach {reach:g} s"] = differences.figures()
        for name, figures in found[folder].items():
            values = "  ".join(f"{key} {value}" for key, value in figures.items())
            click.echo(f"{folder:14}{name:16}{values}")
    click.echo(json.dumps({"seed": seed, "minutes": round(minutes, 1), "sets": found}))


if __name__ == "__main__":
    main()
