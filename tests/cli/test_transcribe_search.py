"""Words to expect and the width of a search, which reach the decoder beside the model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.transcription.conftest import VOCABULARY
from tfwav2vec2 import Transcriber, Wav2Vec2Processor, Wav2Vec2ProcessorWithLM, build_ctcdecoder
from tfwav2vec2.cli.main import cli


@pytest.fixture(scope="module")
def searching_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a decoder beside it."""
    folder = shutil.copytree(tiny_folder, tmp_path_factory.mktemp("searching") / "model")
    processor = Wav2Vec2Processor.from_pretrained(folder)
    decoder = build_ctcdecoder(VOCABULARY)
    Wav2Vec2ProcessorWithLM(processor.feature_extractor, processor.tokenizer, decoder).save_pretrained(folder)
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)), catch_exceptions=False)


def test_options_of_the_search_reach_the_decoder(searching_folder, recordings):
    transcriber = Transcriber.from_pretrained(searching_folder)
    texts = set()
    for options, decoding in (
        ([], {}),
        (["--beam-width", "1"], {"beam_width": 1}),
        (["--hotword", "DEAD", "--hotword", "BEAD CAB"], {"hotwords": ["DEAD", "BEAD CAB"]}),
    ):
        (expected,) = transcriber.transcribe(recordings / "a.wav", **decoding)
        result = run("transcribe", recordings / "a.wav", "--model", searching_folder, *options)
        assert result.stdout == expected.text + "\n"
        texts.add(expected.text)
    assert len(texts) > 1


@pytest.mark.parametrize("command", ["transcribe", "subtitles"])
def test_hotwords_need_something_that_searches(tiny_folder, recordings, tmp_path, command):
    clip = shutil.copy(recordings / "a.wav", tmp_path)
    result = run(command, clip, "--model", tiny_folder, "--hotword", "BEAD")
    assert result.exit_code == 1
    assert "hotwords: these are for a search with a language model, and there is none" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
