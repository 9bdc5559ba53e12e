"""The model that came out of the recipe, as it lies in the repository."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from recipes.spoken_digits.architecture import make_config, vocabulary
from recipes.spoken_digits.card import PICTURE
from recipes.spoken_digits.corpus import SPEAKERS, by_speaker, read_recordings
from recipes.spoken_digits.evaluate import SEED, STRINGS_OF_A_LENGTH, measure, total
from recipes.spoken_digits.strings import plain_strings
from tfwav2vec2.transcription.transcriber import Transcriber

CLIPS = Path(__file__).resolve().parents[2] / "demo" / "clips"


@pytest.fixture(scope="module")
def transcriber(spoken_digits) -> Transcriber:
    return Transcriber.from_pretrained(spoken_digits, batch_size=16)


@pytest.fixture(scope="module")
def card(spoken_digits) -> str:
    return (spoken_digits / "README.md").read_text(encoding="utf-8")


def test_the_folder_is_what_the_recipe_makes(spoken_digits):
    config = json.loads((spoken_digits / "config.json").read_text())
    made = {**make_config().to_dict(), "dtype": "float32"}  # saving notes the dtype of the weights
    assert {name: config[name] for name in made if name in config} == {
        name: value for name, value in made.items() if name in config
    }
    assert json.loads((spoken_digits / "vocab.json").read_text()) == vocabulary()
    assert json.loads((spoken_digits / "preprocessor_config.json").read_text())["do_normalize"] is True
    assert (spoken_digits / "model.safetensors").stat().st_size < 8e6


def rates(card: str, row: str) -> list[float]:
    """The percentages in a row of the card's tables."""
    line = re.search(rf"^\| {re.escape(row)} \|(.*)$", card, re.MULTILINE)
    assert line, f"the card's tables have no row {row!r}"
    return [float(each) for each in re.findall(r"([\d.]+) %", line.group(1))]


def test_the_card_names_data_licence_commands_and_every_folds_figures(card, spoken_digits):
    front_matter = card.split("---")[1]
    assert "license: cc-by-sa-4.0" in front_matter
    for named in ("Free Spoken Digit Dataset", "LibriSpeech", "Flite", "eSpeak NG", "Kokoro"):
        assert named in card
    for module in ("fold", "card", "evaluate"):
        assert f"python -m recipes.spoken_digits.{module}" in card
    strangers = [rates(card, speaker)[0] for speaker in SPEAKERS]
    assert rates(card, "**mean**")[0] == pytest.approx(sum(strangers) / len(strangers), abs=0.01)
    assert (spoken_digits / PICTURE).read_bytes().startswith(b"\x89PNG")
    assert f"]({PICTURE})" in card


def test_it_reads_the_demos_clips(transcriber):
    manifest = CLIPS / "manifest.tsv"
    if not manifest.exists():
        pytest.skip("needs the demo's sample clips in demo/clips")
    with manifest.open(newline="") as lines:
        clips = list(csv.DictReader(lines, delimiter="\t"))
    found = [
        transcript.text for transcript in transcriber.transcribe([CLIPS / clip["file"] for clip in clips])
    ]
    assert found == [clip["text"] for clip in clips]


def test_it_reads_new_clips_of_the_speakers_it_heard(transcriber, shared_data):
    pools = by_speaker(read_recordings(shared_data)["heard"]).values()
    # As many as the card's figure is of: 180 words would tell the rate to three points only.
    strings = plain_strings(pools, STRINGS_OF_A_LENGTH // len(pools), SEED)
    errors = total(measure(transcriber, strings))
    assert errors.words == STRINGS_OF_A_LENGTH * 36
    assert errors.rate <= 0.05


def test_it_makes_nothing_of_silence(transcriber, tmp_path):
    import numpy as np

    silence = np.zeros(16_000, np.float32)
    (transcript,) = transcriber.transcribe(silence, source_rate=16_000)
    assert transcript.text == ""
