"""The command that exports: what it prints, and its errors in one line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from click.testing import CliRunner, Result

from tests.conftest import REPOSITORY
from tests.heads.family import tiny
from tests.transcription.multilingual import save_multilingual
from tfwav2vec2 import EngineTranscriber, TFWav2Vec2ForCTC, Transcriber, Wav2Vec2FeatureExtractor
from tfwav2vec2.cli.main import cli
from tfwav2vec2.serving.engines import open_engine
from tfwav2vec2.serving.litert import LiteRTExport, export_litert
from tfwav2vec2.serving.saved_model import export_saved_model

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModels are TensorFlow's"
)


@pytest.fixture(scope="module")
def many_languages(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("many")
    save_multilingual(folder, tiny_model)
    return folder


def export(*arguments: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["export", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return result


@pytest.mark.slow
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
    assert re.search(r"on 6 recordings, beside float32: (9\d\.\d+|100\.00)%", result.output)
    assert "word error rate against its transcripts: " in result.output
    assert "of float32's" in result.output
    again = export(spoken_digits, path, "--to", "litert", status=1)
    assert "exists already" in again.output


@pytest.mark.parametrize(
    ("to", "name"),
    [pytest.param("savedmodel", "served/1", marks=pytest.mark.slow), ("litert", "speech.tflite")],
)
def test_a_model_of_several_languages_is_exported_in_one(
    many_languages: Path, to: str, name: str, tmp_path: Path
) -> None:
    clip = REPOSITORY / "demo" / "clips" / "one_digit.flac"
    german, french = (
        next(Transcriber.from_pretrained(many_languages, language=language).transcribe(clip)).text
        for language in ("deu", "fra")
    )
    export(many_languages, tmp_path / name, "--to", to, "--language", "fra")
    with open_engine(tmp_path / name) as engine:
        assert next(EngineTranscriber(engine).transcribe(clip)).text == french != german


def test_a_language_that_the_model_does_not_have_is_an_error(many_languages: Path, tmp_path: Path) -> None:
    result = export(many_languages, tmp_path / "new", "--language", "ita", status=1)
    assert "choose one of deu, fra" in result.stderr
    tiny("TFWav2Vec2ForSequenceClassification").save_pretrained(tmp_path / "classifier")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "classifier")
    result = export(tmp_path / "classifier", tmp_path / "new", "--language", "deu", status=1)
    assert "is in no language" in result.stderr
    assert not (tmp_path / "new").exists()


def test_a_tokenizer_in_another_language_than_the_model_is_refused(
    many_languages: Path, tmp_path: Path
) -> None:
    transcriber = Transcriber.from_pretrained(many_languages, language="fra")
    # As many labels as the model has, so that nothing but the language tells.
    tokenizer = transcriber.processor.tokenizer
    tokenizer.target_lang = "deu"
    for write in (export_saved_model, export_litert):
        with pytest.raises(
            ValueError, match=r"in the language 'fra' and the tokenizer in 'deu'.* switch both"
        ):
            write(transcriber.model, transcriber.processor, tmp_path / "new.tflite")
    assert list(tmp_path.iterdir()) == []


def test_the_thresholds_of_int8_are_options(
    spoken_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def note(_model: Any, _processor: Any, path: Path, **options: Any) -> LiteRTExport:
        given.update(options)
        return LiteRTExport(path, 250, 1000, "dense layers", 0.875, 0.25, 0.5)

    monkeypatch.setattr("tfwav2vec2.serving.litert.export_litert", note)
    clips = REPOSITORY / "demo" / "clips"
    result = export(
        spoken_digits, tmp_path / "x.tflite", "--to", "litert", "--precision", "int8", "--clips", clips,
        "--least-agreement", "0.85", "--most-words-changed", "0.3", "--seconds", "2", "--seconds", "10",
    )  # fmt: skip
    assert (given["least_agreement"], given["most_words_changed"]) == (0.85, 0.3)
    assert given["lengths"] == [32_000, 160_000]
    assert len(given["clips"]) == 6
    assert result.stdout.splitlines() == [
        f"{tmp_path / 'x.tflite'}: 0.0 MB, 25% of float32",
        "in integers: dense layers",
        "on 6 recordings, beside float32: 87.50% agreement",
        "word error rate against its transcripts: 25.00%",
        "time: 0.50 of float32's",
    ]


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
