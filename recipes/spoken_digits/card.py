"""What folds have found, as the model card shows it: ``python -m recipes.spoken_digits.card``.

Writes the tables and the picture of confusions beside the model, from the results that :mod:`recipes.spoken_digits.fold` left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from recipes.spoken_digits.corpus import SPEAKERS, WORDS
from recipes.spoken_digits.fold import RESULTS, fold_name
from recipes.spoken_digits.material import PARTS
from tfwav2vec2.embedded import embedded_model
from tfwav2vec2.weights.files import read_json, write_atomically

# What each ablation leaves out, and how the table calls it.
ABLATIONS: dict[str, tuple[str, ...]] = {
    "everything": (),
    "no pretraining": ("pretraining",),
    "no phonemes": ("phonemes",),
    "no other voices": ("voices",),
    "no synthetic voices": ("synthetic",),
    "no surroundings": ("surroundings",),
    "no open speech": ("open speech",),
    "no augmentation at all": PARTS,
}
ALARMS = ("open speech", "noise", "music")
PICTURE = "confusions.png"
NOTHING = "nothing"


def read_results(folder: Path, without: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """The results of the folds that were made without those parts, by the speaker who was left out."""
    paths = {speaker: folder / fold_name(speaker, without) / RESULTS for speaker in SPEAKERS}
    return {speaker: read_json(path) for speaker, path in paths.items() if path.exists()}


def table_of_folds(folds: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each speaker, and their mean."""
    lines = [
        "| left out | word error rate on them | on speakers it heard | open speech | noise | music |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {speaker} | {_of(found, 'unheard')} | {_of(found, 'heard')} | {_alarms(found)} |"
        for speaker, found in folds.items()
    ]
    lines.append(_mean_row("**mean**", folds.values()))
    return "\n".join(lines)


def table_of_ablations(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A row for each ablation: means over the speakers that all of them have in common."""
    common = set.intersection(*(set(row) for row in rows.values()))
    people = [speaker for speaker in SPEAKERS if speaker in common]
    lines = [
        f"| mean of {', '.join(people)} | strangers | speakers it heard | open speech | noise | music |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_mean_row(name, [row[speaker] for speaker in people]) for name, row in rows.items()]
    return "\n".join(lines)


def _of(found: Mapping[str, Any], name: str) -> str:
    return f"{found[name]['wer']:.2f} %"


def _alarms(found: Mapping[str, Any]) -> str:
    return " | ".join(
        f"{found['false alarms'][kind]['heard']} of {found['false alarms'][kind]['clips']}" for kind in ALARMS
    )


def _mean_row(name: str, found: Iterable[Mapping[str, Any]]) -> str:
    results = list(found)
    rates = [f"{np.mean([each[kind]['wer'] for each in results]):.2f} %" for kind in ("unheard", "heard")]
    alarms = [
        f"{np.mean([100 * each['false alarms'][kind]['heard'] / each['false alarms'][kind]['clips'] for each in results]):.0f} %"
        for kind in ALARMS
    ]
    return f"| {' | '.join([name, *rates, *alarms])} |"


def confusions(folds: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """How often which word of a stranger was read as which (11, 11): the last row is what nobody said, the last column what was not heard."""
    names = [*WORDS, ""]
    counts = np.zeros((len(names), len(names)), int)
    for found in folds:
        for pair, count in found["unheard"]["confusions"].items():
            said, heard = pair.split(">")
            counts[names.index(said), names.index(heard)] += count
    return counts


def draw_confusions(counts: np.ndarray, path: Path) -> None:
    """The shares of each word's readings in percent, as a picture.

    Raises:
        ImportError: where matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    names = [word.lower() for word in WORDS]
    # What nobody said has no total of its own: it is set against all that was said.
    said = np.append(counts[:-1].sum(axis=1), counts[:-1].sum())
    shares = 100 * counts / np.maximum(said, 1)[:, None]
    figure = Figure(figsize=(7, 5.6), layout="constrained", dpi=80)
    axes = figure.subplots()
    drawn = axes.imshow(np.where(np.eye(len(shares), dtype=bool), 0.0, shares), cmap="Reds", vmin=0)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.05:
            right = row == column
            axes.text(
                column, row, f"{share:.0f}" if right else f"{share:.1f}", ha="center", va="center", fontsize=8,
                color="tab:green" if right else "black",
            )  # fmt: skip
    axes.set(xlabel="heard", ylabel="said", title="Strangers, all folds: percent of what was said")
    axes.set_xticks(range(len(shares)), [*names, NOTHING], rotation=45)
    axes.set_yticks(range(len(shares)), [*names, NOTHING])
    figure.colorbar(drawn, label="errors, %")
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format="png")


def filled(card: str, tables: Mapping[str, str]) -> str:
    """A card with its tables between ``<!-- NAME -->`` and ``<!-- end -->`` written anew.

    Raises:
        ValueError: for a table for which the card has no place.
    """
    for name, table in tables.items():
        place = re.compile(rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
        card, count = place.subn(lambda match, table=table: match[1] + table + "\n" + match[2], card)
        if count != 1:
            raise ValueError(f"the card has {count} places <!-- {name} --> … <!-- end -->; it needs one")
    return card


@click.command(epilog="Example:  python -m recipes.spoken_digits.card --folder /tmp/digits")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True),
    default=Path(".cache/spoken-digits"),
    show_default=True,
    help="Where the folds are.",
)
@click.option(
    "--model", type=click.Path(path_type=Path), help="Folder of the model; the embedded one by default."
)
def main(folder: Path, model: Path | None) -> None:
    """Write the folds' figures into the model's card, and the picture of confusions beside it."""
    model = model or embedded_model()
    folds = read_results(folder)
    if not folds:
        raise click.UsageError(
            f"{folder} holds no results of folds; make them with python -m recipes.spoken_digits.fold SPEAKER"
        )
    rows = {name: found for name, without in ABLATIONS.items() if (found := read_results(folder, without))}
    tables = {"folds": table_of_folds(folds), "ablations": table_of_ablations(rows)}
    card = model / "README.md"
    with write_atomically(card) as temporary:
        temporary.write_text(filled(card.read_text(encoding="utf-8"), tables), encoding="utf-8")
    draw_confusions(confusions(folds.values()), model / PICTURE)
    for table in tables.values():
        click.echo(f"{table}\n")


if __name__ == "__main__":
    main()
