"""What transcribe writes beside plain text; the formats themselves are read back in tests/transcription/formats."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import srt
from click.testing import CliRunner, Result

from tests.conftest import REPOSITORY
from tfwav2vec2 import load_audio
from tfwav2vec2.cli.main import cli
from tfwav2vec2.transcription.formats.table import FORMATS

CLIPS = REPOSITORY / "demo" / "clips"
MODEL = REPOSITORY / "saved_models" / "spoken-digits" / "model.tflite"
TIMED = [name for name, each in FORMATS.items() if each.needs_words]


def transcribe(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        cli, ["transcribe", "--model", str(MODEL), *map(str, arguments)], catch_exceptions=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of digits and one of silence."""
    folder = tmp_path_factory.mktemp("talks")
    for name in ("two_digits", "three_digits"):
        (folder / f"{name}.flac").write_bytes((CLIPS / f"{name}.flac").read_bytes())
    soundfile.write(folder / "silent.wav", np.zeros(8_000), 16_000)
    return folder


def test_json_lists_the_words(folder):
    lines = [
        json.loads(line) for line in transcribe(folder, "--format", "json", "--words").stdout.splitlines()
    ]
    assert len(lines) == 3
    for line in lines:
        assert " ".join(word["text"] for word in line["words"]) == line["text"]
        for word in line["words"]:
            assert 0 <= word["start"] < word["end"] <= line["seconds"] + 0.1
            assert 0 < word["confidence"] <= 1
    without = [json.loads(line) for line in transcribe(folder, "--format", "json").stdout.splitlines()]
    assert without == [{name: value for name, value in line.items() if name != "words"} for line in lines]


@pytest.mark.parametrize("layout", TIMED)
def test_one_recording_goes_to_standard_output(folder, layout):
    result = transcribe(folder / "two_digits.flac", "--format", layout)
    text = transcribe(folder / "two_digits.flac").stdout.strip()
    assert result.exit_code == 0
    assert text in result.stdout


def test_several_formats_at_once(folder, tmp_path):
    chosen = [argument for name in FORMATS for argument in ("--format", name)]
    result = transcribe(folder, *chosen, "--highlight-words", "--words", "--output", tmp_path)
    assert (result.exit_code, result.stdout) == (0, "")
    names = ["two_digits.flac", "three_digits.flac", "silent.wav"]
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {name + each.suffix for name in names for each in FORMATS.values()}
    text = (tmp_path / "two_digits.flac.txt").read_text().strip()
    assert [each.content for each in srt.parse((tmp_path / "two_digits.flac.srt").read_text())] == [
        f"<u>{word}</u>" for word in text.split()
    ]
    rows = csv.DictReader((tmp_path / "two_digits.flac.tsv").read_text().splitlines(), delimiter="\t")
    assert " ".join(row["text"] for row in rows) == text
    assert "words" in json.loads((tmp_path / "two_digits.flac.json").read_text())
    assert (tmp_path / "silent.wav.srt").read_text() == ""


def test_ctm_of_several_recordings_is_one_file(folder):
    files = [line.split()[0] for line in transcribe(folder, "--format", "ctm").stdout.splitlines()]
    assert sorted(set(files)) == ["three_digits", "two_digits"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "srt"], "The srt of 3 recordings does not fit into one file: --output DIR"),
        (
            ["--format", "text", "--format", "json"],
            "Several formats need a folder to be written to: --output DIR",
        ),
        (["--plot", "a.png"], "--plot draws one recording, and 3 are named"),
    ],
)
def test_wrong_usage_says_what_to_do(folder, arguments, message):
    result = transcribe(folder, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_picture(folder, tmp_path):
    picture = tmp_path / "new.png"
    result = transcribe(folder / "three_digits.flac", "--plot", picture)
    assert result.exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"{picture} shows 0.0 to " in result.stderr


def test_a_picture_of_a_long_recording_shows_a_part(tmp_path):
    long = tmp_path / "long.wav"
    silence = np.zeros(10 * 16_000, np.float32)
    soundfile.write(long, np.concatenate([silence, load_audio(CLIPS / "three_digits.flac"), silence]), 16_000)
    result = transcribe(long, "--plot", tmp_path / "long.png")
    assert result.exit_code == 0
    start, end = (float(word) for word in result.stderr.split("shows ")[1].split(" s")[0].split(" to "))
    assert end - start == pytest.approx(15, abs=0.2)
    assert 5 < start < 11


def test_a_picture_that_cannot_be_drawn_is_one_error(folder, tmp_path):
    result = transcribe(folder / "two_digits.flac", "--plot", tmp_path / "a.docx")
    assert result.exit_code == 1
    assert "a.docx is no kind of image that can be drawn" in result.stderr


def test_a_model_without_times_says_so(folder, monkeypatch):
    """A server gives texts alone."""
    from tfwav2vec2.serving.engines import open_engine

    class Server:
        """An engine of texts, whatever it runs."""

        def __init__(self) -> None:
            self.inner = open_engine(MODEL)
            self.processor = None

        def __getattr__(self, name: str) -> object:
            return getattr(self.inner, name)

    monkeypatch.setattr("tfwav2vec2.serving.engines.open_engine", lambda name: Server())
    result = transcribe(folder / "two_digits.flac", "--format", "srt")
    assert result.exit_code == 1
    assert "SRT needs to know when each word was said" in result.stderr
    assert transcribe(folder / "two_digits.flac").exit_code == 0
