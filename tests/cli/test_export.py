"""The command that exports: what it prints, and its errors in one line."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from click.testing import CliRunner, Result

from tests.conftest import REPOSITORY
from tests.heads.family import tiny
from tfwav2vec2 import Wav2Vec2FeatureExtractor
from tfwav2vec2.cli.main import cli

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModels are TensorFlow's"
)


def export(*arguments: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["export", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


def test_a_classifier_is_exported_with_its_signatures(tmp_path: Path) -> None:
    source = tmp_path / "model"
    tiny("TFWav2Vec2ForSequenceClassification").save_pretrained(source)
    Wav2Vec2FeatureExtractor().save_pretrained(source)
    result = export(source, tmp_path / "served" / "1")
    assert result.stdout.splitlines() == [
        "classify: waveform, lengths -> label, score, scores",
        "classify_wav: wav -> label, score, scores",
        "serving_default: waveform, lengths -> logits",
        f"How to serve it: {tmp_path / 'served' / '1' / 'assets.extra' / 'SERVING.md'}",
    ]
    assert (tmp_path / "served" / "1" / "saved_model.pb").is_file()
    again = export(source, tmp_path / "served" / "1", status=1)
    assert "exists already: choose another place" in again.stderr
    assert again.stderr.count("\n") == 1


def test_a_model_without_a_vocabulary_is_refused_before_its_weights_are_read(
    tmp_path: Path, spoken_digits: Path
) -> None:
    for name in ("config.json", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((spoken_digits / name).read_bytes())
    result = export(tmp_path, tmp_path / "new", status=1)
    assert "vocab.json" in result.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("to", "option", "other"),
    [("savedmodel", "--for-gpu", "litert"), ("litert", "--in-graph-batching", "savedmodel")],
)
def test_an_option_of_the_other_format_is_refused(to: str, option: str, other: str, tmp_path: Path) -> None:
    result = export("model", tmp_path / "new", "--to", to, option, status=2)
    assert f"{option} goes with --to {other} alone" in result.output


def test_a_recogniser_is_exported_to_integers(spoken_digits: Path, tmp_path: Path) -> None:
    clips = REPOSITORY / "demo" / "clips"
    path = tmp_path / "small.tflite"
    result = export(
        spoken_digits, path, "--to", "litert", "--precision", "int8", "--clips", clips, "--seconds", "1"
    )
    assert f"{path}: {path.stat().st_size / 1e6:.1f} MB" in result.output
    assert "in integers: " in result.output
    assert "on 6 recordings, beside float32: 9" in result.output
    assert "word error rate against its transcripts: " in result.output
    assert "of float32's" in result.output
    again = export(spoken_digits, path, "--to", "litert", status=1)
    assert "exists already" in again.output


def test_what_is_no_recording_is_named(spoken_digits: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = export(
        spoken_digits,
        tmp_path / "x.tflite",
        "--to",
        "litert",
        "--precision",
        "int8",
        "--clips",
        tmp_path / "empty",
        status=1,
    )
    assert str(tmp_path / "empty") in result.output
    assert not (tmp_path / "x.tflite").exists()
