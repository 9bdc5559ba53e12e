"""The README's Python, and its commands that train, run as they are printed: with tiny models under the names of big ones."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from tests.backbone.conftest import tiny_model
from tests.conftest import REPOSITORY
from tests.tiny import TINY
from tests.transcription.multilingual import save_multilingual
from tfwav2vec2 import (
    TFWav2Vec2ForCTC,
    TFWav2Vec2ForPreTraining,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)
from tfwav2vec2.cli.main import cli

__all__ = ["tiny_model"]

if keras.backend.backend() != "tensorflow":
    pytest.skip("the README's lines are written for TensorFlow", allow_module_level=True)

TOKENS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
TRAINING = ("pretrain", "finetune", "evaluate")


def blocks(language: str) -> list[str]:
    """The README's blocks of a language."""
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", readme, re.DOTALL)


@pytest.fixture
def reader(
    tmp_path: Path, tiny_model: Callable[..., TFWav2Vec2ForCTC], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of somebody who tries the README: recordings, manifests, and models where the hub's would be."""
    rng = np.random.default_rng(0)
    (tmp_path / "recordings").mkdir()
    lines = ["path\ttext"]
    for index in range(6):
        noise = 0.1 * rng.standard_normal(8000 + 500 * index).astype("float32")
        soundfile.write(tmp_path / "recordings" / f"{index}.flac", noise, 16_000)
        lines.append(f"recordings/{index}.flac\t{('A man said', 'to the universe')[index % 2]}")
    soundfile.write(tmp_path / "speech.mp3", 0.1 * rng.standard_normal(16_000), 16_000)
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    hub = tmp_path / "facebook"
    config = Wav2Vec2Config(**{**TINY, "vocab_size": len(TOKENS), "mask_feature_length": 4})
    for name, kind in (
        ("wav2vec2-base-960h", TFWav2Vec2ForCTC),
        ("wav2vec2-base", TFWav2Vec2ForPreTraining),
    ):
        (hub / name).mkdir(parents=True)
        vocabulary = hub / name / "vocab.json"
        vocabulary.write_text(json.dumps({token: index for index, token in enumerate(TOKENS)}))
        tokenizer = Wav2Vec2CTCTokenizer(vocabulary)
        Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(hub / name)
        kind(config).save_pretrained(hub / name)
    save_spanish(hub / "mms-1b-all", tiny_model)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save_spanish(folder: Path, tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    """A model of many languages, Spanish among them."""
    folder.mkdir()
    save_multilingual(folder, tiny_model)
    shutil.copy(folder / "adapter.deu.safetensors", folder / "adapter.spa.safetensors")
    vocabulary = json.loads((folder / "vocab.json").read_text())
    (folder / "vocab.json").write_text(json.dumps(vocabulary | {"spa": vocabulary["deu"]}))


def test_every_block_of_python_runs(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks("python"), start=1):
        exec(compile(block, f"README.md, block {number} of Python", "exec"), names)
    (transcript,) = ast.literal_eval(capsys.readouterr().out.splitlines()[0])
    assert isinstance(transcript, str)
    assert names["data"].position == (10, 0)
    assert list((reader / "my-model" / "states").glob("state-*"))
    TFWav2Vec2ForCTC.from_pretrained(reader / "my-model")
    assert names["model"].target_lang == "spa"


@pytest.mark.slow
def test_the_commands_that_train(reader: Path) -> None:
    """From recordings to a backbone, to a recogniser, to a report."""
    lines = [shlex.split(line, comments=True) for block in blocks("bash") for line in block.splitlines()]
    commands = [line[1:] for line in lines if line and line[0] == "tfwav2vec2" and line[1] in TRAINING]
    assert [command[0] for command in commands] == list(TRAINING)
    for command in commands:
        result = CliRunner().invoke(cli, command, catch_exceptions=False)
        assert result.exit_code == 0, f"{shlex.join(command)}: {result.output}"
    assert (reader / "my-model" / "training" / "curves.png").is_file()
    assert "word error rate" in result.stdout
