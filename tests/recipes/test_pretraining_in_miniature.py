from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from recipes.fsdd.clips import recording_of
from recipes.pretraining_in_miniature.results import LISTS, Results
from recipes.pretraining_in_miniature.settings import CHOOSING, HEARD, UNHEARD, Digits, unlabelled_speech


@pytest.fixture(scope="module")
def digits(shared_data: Path) -> Digits:
    return Digits.read(shared_data)


def test_no_clip_is_in_two_lists_and_the_test_has_an_unheard_speaker(digits: Digits) -> None:
    lists = [digits.labelled, digits.choosing, digits.heard, digits.unheard]
    names = [example.id for part in lists for example in part]
    assert len(names) == len(set(names))
    speakers = [{recording_of(example).speaker for example in part} for part in lists]
    assert speakers == [set(HEARD), {CHOOSING}, set(HEARD), {UNHEARD}]


def test_ten_clips_of_each_digit_are_labelled_and_the_seed_tells_which(digits: Digits) -> None:
    chosen = digits.labelled_clips(0)
    assert Counter(recording_of(example).digit for example in chosen) == dict.fromkeys(range(10), 10)
    assert {example.id for example in chosen} <= {example.id for example in digits.labelled}
    assert [example.id for example in chosen] == [example.id for example in digits.labelled_clips(0)]
    assert {example.id for example in chosen} != {example.id for example in digits.labelled_clips(1)}


def test_the_unlabelled_speech_has_one_clip_of_each_speaker(shared_data: Path) -> None:
    clips = unlabelled_speech(shared_data)
    assert len(clips) == len({example.speaker for example in clips}) == 250


def test_nothing_is_found_twice(tmp_path: Path) -> None:
    def unneeded() -> dict[str, Any]:
        raise AssertionError("it is in the file already")

    row = Results(tmp_path / "results.json").once("drawn test seed=0", lambda: {"wer": 12.5})
    assert row["wer"] == 12.5
    assert Results(tmp_path / "results.json").once("drawn test seed=0", unneeded) == row


def test_the_table_tells_means_and_standard_errors(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json")
    assert results.table() == {}
    for start, shift in (("drawn", 0.0), ("pretrained", 2.0)):
        results.once(f"{start} tuning seed=100", lambda: {"wer": 99.0})
        for seed, rate in enumerate((30.0, 32.0, 34.0)):
            row = dict.fromkeys(LISTS, rate + shift) | {"learning_rate": 0.1, "epochs": 2, "loss": [2.0, 1.0]}
            results.once(f"{start} test seed={seed}", lambda row=row: row)
    table = results.table()
    assert table["drawn"]["heard"] == {"mean": 32.0, "error": 1.15, "each": [30.0, 32.0, 34.0]}
    assert table["pretrained"]["unheard"]["mean"] == 34.0
    results.once("pretraining", lambda: {"contrastive_accuracy": [0.1, 0.2]})
    results.draw(tmp_path / "results.png")
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")
