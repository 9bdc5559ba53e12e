"""What folds have found, as the model card shows it: ``python -m recipes.spoken_digits.card``.

Writes the tables and the picture of confusions beside the model, from the results that :mod:`recipes.spoken_digits.fold` and
:mod:`recipes.spoken_digits.ablations` left.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

from recipes.spoken_digits.ablations import ABLATIONS, SHORTER
from recipes.spoken_digits.corpus import SPEAKERS, WORDS
from recipes.spoken_digits.fold import RESULTS, fold_name
from tfwav2vec2.embedded import embedded_model
from tfwav2vec2.training.pictures import draw_confusion
from tfwav2vec2.weights.files import read_json, write_atomically

ALARMS = ("open speech", "noise", "music")
PICTURE = "confusions.png"
NOTHING = "nothing"


def read_results(folder: Path, without: tuple[str, ...] = (), shorter: int = 1) -> dict[str, dict[str, Any]]:
    """The results of the folds that were made without those parts, by the speaker who was left out."""
    paths = {speaker: folder / fold_name(speaker, without, shorter) / RESULTS for speaker in SPEAKERS}
    return {speaker: read_json(path) for speaker, path in paths.items() if path.exists()}


def table_of_folds(folds: Mapping[str, Mapping[str, Any]]) -> str:
    """A row for each speaker, and their mean."""
    lines = _header("left out", "word error rate on them", "the same, streamed", "on speakers it heard")
    lines += [
        f"| {speaker} | {' | '.join(f'{rate:.2f} %' for rate in _rates(found, streamed=True))} | {_alarms(found)} |"
        for speaker, found in folds.items()
    ]
    lines.append(_mean_row("**mean**", folds.values(), streamed=True))
    return "\n".join(lines)


def table_of_ablations(rows: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> str:
    """A row for each ablation: means over the speakers that all of them have in common."""
    common = set.intersection(*(set(row) for row in rows.values()))
    people = [speaker for speaker in SPEAKERS if speaker in common]
    lines = _header(f"left out: {', '.join(people)}", "word error rate on them", "on speakers it heard")
    lines += [
        _mean_row(name, [row[speaker] for speaker in people], streamed=False) for name, row in rows.items()
    ]
    return "\n".join(lines)


def _header(*columns: str) -> list[str]:
    """The first two lines of a table, whose last columns are the false alarms."""
    names = [*columns, *ALARMS]
    return [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]


def _rates(found: Mapping[str, Any], *, streamed: bool) -> list[float]:
    """The word error rates of a table, in per cent."""
    ways = ("wer", "streamed wer") if streamed else ("wer",)
    return [*(found["unheard"][way] for way in ways), found["heard"]["wer"]]


def _alarms(found: Mapping[str, Any]) -> str:
    return " | ".join(
        f"{found['false alarms'][kind]['heard']} of {found['false alarms'][kind]['clips']}" for kind in ALARMS
    )


def _mean_row(name: str, found: Iterable[Mapping[str, Any]], *, streamed: bool) -> str:
    results = list(found)
    rates = [
        f"{rate:.2f} %" for rate in np.mean([_rates(each, streamed=streamed) for each in results], axis=0)
    ]
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
    rows = {
        name: found
        for name, without in ABLATIONS.items()
        if (found := read_results(folder, without, SHORTER))
    }
    tables = {"folds": table_of_folds(folds)} | ({"ablations": table_of_ablations(rows)} if rows else {})
    card = model / "README.md"
    with write_atomically(card) as temporary:
        temporary.write_text(filled(card.read_text(encoding="utf-8"), tables), encoding="utf-8")
    draw_confusion(confusions(folds.values()), [*map(str.lower, WORDS), NOTHING], model / PICTURE)
    for table in tables.values():
        click.echo(f"{table}\n")


if __name__ == "__main__":
    main()
