"""Does pretraining pay? ``python -m recipes.pretraining_in_miniature.compare --data DATA --output FOLDER``.

Pretrains once, tunes fine-tuning from pretrained and from drawn weights in the same way, trains five models of each with
what was chosen, and writes ``results.json``, ``table.json`` and ``results.png``. The same command goes on with what was
cut off.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import click
import numpy as np

from recipes.pretraining_in_miniature.fine_tune import FineTuning, Setting, Start
from recipes.pretraining_in_miniature.pretrain import Pretraining, pretrain
from recipes.pretraining_in_miniature.results import LISTS, Results
from recipes.pretraining_in_miniature.settings import Digits
from tfwav2vec2.weights.files import write_json

STARTS: tuple[Start, ...] = get_args(Start)
# The rate is chosen with the first, then whether the second is better with it.
RATES, EPOCHS = (5e-4, 1.5e-3, 4.5e-3), (50, 120)
# Other draws of labelled clips than those of the test.
TUNING_SEEDS = (100,)
SEEDS = (0, 1, 2, 3, 4)


def compare(data: Path, output: Path, starts: Sequence[Start] = STARTS) -> dict[str, Any]:
    """Do everything for these starts, or what is left of it.

    Returns:
        The table so far: :meth:`Results.table`.
    """
    output.mkdir(parents=True, exist_ok=True)
    results, digits = Results(output / "results.json"), Digits.read(data)
    for start in starts:
        folder = output / start
        if start == "pretrained":
            results.once("pretraining", lambda: pretrain(data, output / "pretraining", Pretraining()))
            folder = output / "pretraining" / "backbone"
        _measure(FineTuning(digits, start, folder), start, digits, results)
    table = results.table()
    write_json(output / "table.json", table)
    if len(table) == len(STARTS):
        results.draw(output / "results.png")
    return table


def _measure(tuning: FineTuning, start: Start, digits: Digits, results: Results) -> None:
    """Choose the setting with the lowest error rate on the speaker who chooses, then test it once for each seed."""

    def choosing_rate(setting: Setting) -> float:
        rows = [
            results.once(f"{start} tuning {setting} seed={seed}", lambda n=seed: trial(setting, n))
            for seed in TUNING_SEEDS
        ]
        return float(np.mean([row["wer"] for row in rows]))

    def trial(setting: Setting, seed: int) -> dict[str, Any]:
        tuning.train(setting, seed)
        return asdict(setting) | {"seed": seed, "wer": tuning.word_error_rate(digits.choosing)}

    def test(setting: Setting, seed: int) -> dict[str, Any]:
        loss = tuning.train(setting, seed)["loss"]
        return (
            asdict(setting)
            | {
                "seed": seed,
                "labelled": dict(Counter(str(clip.speaker) for clip in digits.labelled_clips(seed))),
            }
            | {name: tuning.word_error_rate(getattr(digits, name)) for name in LISTS}
            | {"loss": [round(float(value), 4) for value in loss]}
        )

    rate = min((Setting(rate, EPOCHS[0]) for rate in RATES), key=choosing_rate).learning_rate
    best = min((Setting(rate, epochs) for epochs in EPOCHS), key=choosing_rate)
    for seed in SEEDS:
        results.once(f"{start} test {best} seed={seed}", lambda n=seed: test(best, n))


@click.command(
    epilog="Example:  python -m recipes.pretraining_in_miniature.compare --data ../shared/data --output /tmp/mini"
)
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True, help="Folder with manifest.tsv."
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Where everything goes.")
@click.option(
    "--start", "starts", type=click.Choice(STARTS), multiple=True, default=STARTS, help="One of them only."
)
def main(data: Path, output: Path, starts: tuple[Start, ...]) -> None:
    """Pretrain, tune both sides alike, and test both on five seeds."""
    click.echo(json.dumps(compare(data, output, starts), indent=1))


if __name__ == "__main__":
    main()
