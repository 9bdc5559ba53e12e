"""The card's tables and its picture, out of the results of folds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from recipes.spoken_digits import card
from recipes.spoken_digits.ablations import SHORTER
from recipes.spoken_digits.corpus import SPEAKERS, WORDS
from recipes.spoken_digits.fold import RESULTS, fold_name
from tfwav2vec2.weights.files import write_json


def result(wer: float, heard: int = 3) -> dict[str, Any]:
    pairs = {f"{word}>{word}": 90 for word in WORDS} | {"ONE>NINE": 6, "TWO>": 4, ">SIX": 1}
    alarms = {kind: {"clips": 100, "heard": heard, "digits": 2 * heard} for kind in card.ALARMS}
    return {
        "unheard": {"wer": wer, "streamed wer": wer + 1, "confusions": pairs}, "heard": {"wer": wer / 2}, "false alarms": alarms
    }  # fmt: skip


def keep(folder: Path, found: dict[str, Any]) -> None:
    folder.mkdir()
    write_json(folder / RESULTS, found)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, speaker in enumerate(SPEAKERS):
        keep(tmp_path / fold_name(speaker), result(2.0 * number))
    for without, wer, heard in (((), 4.0, 3), (("flite",), 9.0, 50)):
        keep(tmp_path / fold_name("jackson", without, SHORTER), result(wer, heard))
    return tmp_path


def test_the_mean_is_over_all_folds(folder: Path) -> None:
    table = card.table_of_folds(card.read_results(folder)).splitlines()
    assert len(table) == 2 + len(SPEAKERS) + 1
    assert table[3] == "| jackson | 2.00 % | 3.00 % | 1.00 % | 3 of 100 | 3 of 100 | 3 of 100 |"
    assert table[-1] == "| **mean** | 4.00 % | 5.00 % | 2.00 % | 3 % | 3 % | 3 % |"


def test_ablations_are_compared_over_the_same_people(folder: Path) -> None:
    rows = {
        name: card.read_results(folder, without, SHORTER)
        for name, without in {"everything": (), "none": ("flite",)}.items()
    }
    table = card.table_of_ablations(rows).splitlines()
    assert table[0].startswith("| left out: jackson |")
    assert table[2:] == [
        "| everything | 4.00 % | 2.00 % | 3 % | 3 % | 3 % |",
        "| none | 9.00 % | 4.50 % | 50 % | 50 % | 50 % |",
    ]


def test_confusions_add_up() -> None:
    counts = card.confusions([result(1.0), result(1.0)])
    assert counts[1, 9] == 12
    assert counts[2, -1] == 8
    assert counts[-1, 6] == 2
    assert counts.diagonal().tolist() == [180] * 10 + [0]


def test_a_card_is_filled_in_its_places_only(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model = tmp_path / "model"
    model.mkdir()
    text = "a\n<!-- folds -->\nstale\n<!-- end -->\nb\n<!-- ablations -->\n<!-- end -->\nc\n"
    (model / "README.md").write_text(text)
    command = ["--folder", str(folder), "--model", str(model)]
    done = CliRunner().invoke(card.main, command)
    assert done.exit_code == 0, done.output
    found = (model / "README.md").read_text()
    assert "stale" not in found
    assert "| **mean** | 4.00 %" in found
    assert [found.count(f"\n{line}\n") for line in "bc"] == [1, 1]
    assert (model / card.PICTURE).read_bytes().startswith(b"\x89PNG")
    CliRunner().invoke(card.main, command)
    assert (model / "README.md").read_text() == found


def test_a_card_without_a_place_and_a_folder_without_folds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="0 places"):
        card.filled("nothing here", {"folds": "| |"})
    done = CliRunner().invoke(card.main, ["--folder", str(tmp_path)])
    assert done.exit_code == 2
    assert "no results of folds" in done.output
    assert card.confusions([]).sum() == 0
    assert isinstance(card.confusions([]), np.ndarray)
