"""``tfwav2vec2 transcribe --language``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.transcription.multilingual import save_multilingual
from tfwav2vec2 import TFWav2Vec2ForCTC, Transcriber
from tfwav2vec2.cli.main import cli


@pytest.fixture(scope="module")
def folder(tiny_model: Callable[..., TFWav2Vec2ForCTC], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    save_multilingual(folder, tiny_model)
    return folder


def transcribe(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["transcribe", *map(str, arguments)], catch_exceptions=False)


def test_a_recording_in_each_language(folder: Path, recordings: Path) -> None:
    texts = {}
    for language in ("deu", "fra"):
        expected = next(
            Transcriber.from_pretrained(folder, language=language).transcribe(recordings / "a.wav")
        )
        result = transcribe(recordings / "a.wav", "--model", folder, "--language", language)
        assert result.stdout == expected.text + "\n"
        texts[language] = expected.text
    assert texts["deu"] != texts["fra"]
    assert transcribe(recordings / "a.wav", "--model", folder).stdout == texts["deu"] + "\n"


@pytest.mark.parametrize(
    ("language", "message"), [("ita", "choose one of deu, fra"), ("../x", "choose one of deu, fra")]
)
def test_a_language_that_the_model_does_not_have(
    folder: Path, recordings: Path, language: str, message: str
) -> None:
    result = transcribe(recordings / "a.wav", "--model", folder, "--language", language)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_a_model_of_one_language(tiny_folder: Path, recordings: Path) -> None:
    result = transcribe(recordings / "a.wav", "--model", tiny_folder, "--language", "fra")
    assert result.exit_code == 1
    assert "the vocabulary of one language" in result.stderr
    result = transcribe(recordings / "a.wav", "--language", "fra")
    assert result.exit_code == 2
    assert "The embedded model has no languages" in result.stderr
