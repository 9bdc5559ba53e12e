"""This package beside the reference on torch: ``python -m recipes.fsdd.compare --task digits --seeds 5``.

Each side tries the same learning rates once on the clips for validation, then trains anew with the best of them for each
seed, and is measured on the clips for the end. The data, their order and their augmentation are the same for both, seed by
seed; the first weights, dropout and masks are each side's own, as its users get them. What was done so far is in the file
that is written, and the same command goes on from there.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import keras

from recipes.fsdd.clips import Split, Task, read_split
from recipes.fsdd.difference import Difference, standard_error
from recipes.fsdd.record import Record
from recipes.fsdd.scores import Scores
from recipes.fsdd.settings import SETTINGS, Setting
from recipes.fsdd.torch_peer import score_torch, train_torch
from recipes.fsdd.train import data_option, score_ours, train_ours

# Not among the seeds that are compared.
TUNING_SEED = 100

# Which way is better, for each measure.
_SIGNS = {"accuracy": 1, "equal_error_rate": -1}


def run_ours(setting: Setting, split: Split, rate: float, seed: int, part: str) -> Scores:
    """Train and measure this package's model on a part of the split."""
    keras.backend.clear_session()
    with tempfile.TemporaryDirectory() as folder:
        model, extractor = train_ours(setting, split, rate, seed, Path(folder))
    return score_ours(setting, model, extractor, getattr(split, part))


def run_torch(setting: Setting, split: Split, rate: float, seed: int, part: str) -> Scores:
    """Train and measure the reference on a part of the split."""
    return score_torch(setting, train_torch(setting, split, rate, seed), split, getattr(split, part))


SIDES: dict[str, Callable[[Setting, Split, float, int, str], Scores]] = {"ours": run_ours, "torch": run_torch}


def summary(measure: str, values: dict[str, list[float]]) -> tuple[str, dict[str, Any]]:
    """A table of a measure in per cent, and the same as plain data."""
    lines = [f"{measure}, %".ljust(22) + "mean".rjust(8) + "s.e.".rjust(8) + "   each seed"]
    plain: dict[str, Any] = {}
    for side, of_side in values.items():
        mean, error = statistics.fmean(of_side), standard_error(of_side)
        each = "  ".join(f"{100 * value:.1f}" for value in of_side)
        lines.append(side.ljust(22) + f"{100 * mean:8.2f}{100 * error:8.2f}   {each}")
        plain[side] = {"mean": mean, "standard_error": error, "each": of_side}
    compared = Difference.of(values["ours"], values["torch"], _SIGNS[measure])
    verdict = "not worse" if compared.holds else "worse"
    lines.append(
        "ours - torch".ljust(22) + f"{100 * compared.difference:+8.2f}{100 * compared.standard_error:8.2f}"
        f"   {verdict} by more than one standard error"
    )
    return "\n".join(lines), plain | {"difference": asdict(compared) | {"holds": compared.holds}}


def compare(task: Task, seeds: int, data: Path, output: Path) -> None:
    """Tune, train and measure both sides, print the tables, and keep everything in a file."""
    setting, split = SETTINGS[task], read_split(data, task)
    # The backend's distribution has several names; its module has one.
    modules = (keras.backend.backend(), "keras", "torch", "transformers")
    versions = {name: import_module(name).__version__ for name in modules}
    record = Record(output, {"task": task, "setting": repr(setting), "versions": versions})

    def scored(side: str, part: str, rate: float, seed: int) -> dict[str, Any]:
        key = {"side": side, "part": part, "rate": rate, "seed": seed}
        return record.run(key, lambda: asdict(SIDES[side](setting, split, rate, seed, part)))

    rates = {}
    for side in SIDES:
        tried = [scored(side, "validation", rate, TUNING_SEED) for rate in setting.rates]
        rates[side] = max(tried, key=lambda run: run["accuracy"])["rate"]
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in SIDES}
    for seed in range(seeds):
        for side in SIDES:
            runs[side].append(scored(side, "test", rates[side], seed))
    summaries = {}
    click.echo(f"\n{task}; peak learning rates chosen: {rates}")
    for measure in _SIGNS:
        values = {side: [run[measure] for run in of_side] for side, of_side in runs.items()}
        if values["ours"][0] is not None:
            table, summaries[measure] = summary(measure, values)
            click.echo("\n" + table)
    record.conclude({"rates": rates, "summary": summaries})


@click.command(epilog="Example:  python -m recipes.fsdd.compare --task speakers --seeds 5")
@click.option("--task", type=click.Choice(list(SETTINGS)), required=True)
@click.option(
    "--seeds", type=click.IntRange(min=2), default=5, show_default=True, help="Trainings of each side."
)
@data_option
@click.option("--output", type=click.Path(path_type=Path), help="File of results; by default fsdd-TASK.json.")
def main(task: Task, seeds: int, data: Path, output: Path | None) -> None:
    """Compare this package with the reference on torch, which both have to be installed."""
    compare(task, seeds, data, output or Path(f"fsdd-{task}.json"))


if __name__ == "__main__":
    main()
