"""The command that exports: what it prints, and its errors in one line."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest
from click.testing import CliRunner, Result

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
