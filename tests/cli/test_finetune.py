"""The commands that train and measure, on small models and a second of sound a clip."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner, Result

from tests.tiny import TINY
from tfwav2vec2.auto import AutoModelForAudioClassification, AutoModelForAudioXVector, AutoModelForPreTraining
from tfwav2vec2.cli.main import cli
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC
from tfwav2vec2.processor import Wav2Vec2Processor

pytestmark = pytest.mark.slow

CLIPS = 6


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def succeed(*arguments: object) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration alone: the models start from scratch."""
    folder = tmp_path_factory.mktemp("base")
    Wav2Vec2Config(
        **TINY, tdnn_dim=[16, 16], tdnn_kernel=[3, 2], tdnn_dilation=[1, 1], xvector_output_dim=8,
        codevector_dim=8, proj_codevector_dim=8, num_codevectors_per_group=4, num_negatives=3,
        classifier_proj_size=8, mask_time_prob=0.2,
    ).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of two heights by two speakers, which say so."""
    folder = tmp_path_factory.mktemp("clips")
    lines = ["path\ttext\tlabel\tspeaker\tintervals"]
    for index in range(CLIPS):
        kind = ("low", "high")[index % 2]
        time = np.arange(2000 + 10 * index) / 16_000
        soundfile.write(
            folder / f"{index}.wav", 0.3 * np.sin(2 * np.pi * (300, 2000)[index % 2] * time), 16_000
        )
        intervals = json.dumps([[0.0, 0.05, kind]])
        lines.append(f"{index}.wav\t{kind.title()} tone.\t{kind}\tvoice{index // 2 % 2}\t{intervals}")
    path = folder / "clips.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_ctc_from_transcripts_to_a_report(base: Path, manifest: Path, tmp_path: Path) -> None:
    output, report = tmp_path / "model", tmp_path / "report"
    command = (
        "finetune", manifest, "--task", "ctc", "--model", base, "--from-scratch", "--output", output, "--target", "text",
        "--validation", manifest, "--batch-size", 3, "--every", 1, "--freeze-steps", 1, "--layer-decay", 0.9,
        "--clip-norm", 1, "--augment", "gain,noise",
    )  # fmt: skip
    printed = succeed(*command, "--epochs", 1)
    assert f"model in {output}" in printed
    assert "val_wer" in printed

    # The letters are those of the transcripts, without case and punctuation.
    vocabulary = json.loads((output / "vocab.json").read_text())
    assert sorted(vocabulary, key=vocabulary.get)[4:] == ["|", *"eghilnotw"]
    model = TFWav2Vec2ForCTC.from_pretrained(output)
    assert model.config.vocab_size == len(vocabulary)
    Wav2Vec2Processor.from_pretrained(output)

    records = output / "training"
    assert (records / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (records / "history.csv").read_text().startswith("epoch,")
    assert list((records / "tensorboard").rglob("events*"))

    # The same command with more epochs goes on; the history is that of one training.
    succeed(*command, "--epochs", 2)
    assert len((records / "history.csv").read_text().splitlines()) == 3

    figures = json.loads(
        succeed("evaluate", output, manifest, "--target", "text", "--output", report, "--format", "json")
    )
    assert figures["clips"] == CLIPS
    assert figures["words"] == 2 * CLIPS
    assert set(figures["speakers"]) == {"voice0", "voice1"}
    assert json.loads((report / "report.json").read_text()) == figures
    answers = (report / "answers.tsv").read_text().splitlines()
    assert answers[1].split("\t")[:3] == ["0.wav", "voice0", "low tone"]


def test_the_same_command_goes_on_after_a_kill(base: Path, manifest: Path, tmp_path: Path) -> None:
    """Everything random acts: order, augmentation, dropout, SpecAugment. The sums of a step may differ in their last digits."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole_command, command = (
        [
            "finetune", manifest, "--task", "ctc", "--model", base, "--from-scratch", "--target", "text", "--validation",
            manifest, "--batch-size", 2, "--epochs", 3, "--every", 1, "--augment", "noise,room", "--output", output,
        ]
        for output in (whole, killed)
    )  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "tfwav2vec2", *map(str, command)])
    deadline = time.monotonic() + 120
    while not (killed / "training" / "states" / "state-000000001.safetensors").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    succeed(*command)
    succeed(*whole_command)
    ours, theirs = (TFWav2Vec2ForCTC.from_pretrained(folder).get_weights() for folder in (killed, whole))
    for value, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)
    tables = [
        np.loadtxt(folder / "training" / "history.csv", delimiter=",", skiprows=1)
        for folder in (killed, whole)
    ]
    assert tables[0][:, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(*tables, rtol=1e-5)


def test_classes_learn_and_are_counted(base: Path, manifest: Path, tmp_path: Path) -> None:
    output, report = tmp_path / "model", tmp_path / "report"
    succeed(
        "finetune", manifest, "--task", "classify", "--model", base, "--from-scratch", "--output", output,
        "--target", "label", "--batch-size", 3, "--epochs", 1, "--schedule", "linear", "--lora-rank", 2,
    )  # fmt: skip
    model = AutoModelForAudioClassification.from_pretrained(output)
    assert model.config.id2label == {0: "high", 1: "low"}
    printed = succeed("evaluate", output, manifest, "--target", "label", "--output", report)
    assert "accuracy" in printed
    assert "said / found" in printed
    confusion = np.array(json.loads((report / "report.json").read_text())["confusion"])
    assert confusion.sum(axis=1).tolist() == [CLIPS // 2, CLIPS // 2]
    assert (report / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_voices(base: Path, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    succeed(
        "finetune", manifest, "--task", "speaker", "--model", base, "--from-scratch", "--output", output,
        "--batch-size", 3, "--epochs", 1, "--schedule", "constant",
    )  # fmt: skip
    assert AutoModelForAudioXVector.from_pretrained(output).config.id2label == {0: "voice0", 1: "voice1"}
    figures = json.loads(succeed("evaluate", output, manifest, "--target", "speaker", "--format", "json"))
    assert 0 <= figures["eer"] <= 1


def test_frames(base: Path, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    succeed(
        "finetune", manifest, "--task", "frames", "--model", base, "--from-scratch", "--output", output,
        "--target", "intervals", "--background", "silence", "--batch-size", 3, "--epochs", 1,
    )  # fmt: skip
    config = Wav2Vec2Config.from_pretrained(output)
    assert sorted(config.label2id) == ["high", "low", "silence"]
    report = tmp_path / "report"
    printed = succeed("evaluate", output, manifest, "--target", "intervals", "--background", "silence",
                      "--output", report)  # fmt: skip
    assert "frames)" in printed
    figures = json.loads((report / "report.json").read_text())
    assert figures["clips"] == CLIPS
    assert sum(speaker["frames"] for speaker in figures["speakers"].values()) == np.sum(figures["confusion"])
    result = run("evaluate", base, manifest, "--background", "silence")
    assert "--background is for classes of frames" in result.stderr


def test_a_backbone_is_pretrained_and_then_fine_tuned(base: Path, manifest: Path, tmp_path: Path) -> None:
    backbone, output = tmp_path / "backbone", tmp_path / "model"
    succeed(
        "pretrain", manifest, "--model", base, "--from-scratch", "--output", backbone, "--batch-size", 3,
        "--epochs", 1, "--crop-seconds", 0.1, "--temperature", 1.5, 0.75, 0.5,
    )  # fmt: skip
    pretrained = AutoModelForPreTraining.from_pretrained(backbone)
    succeed(
        "finetune", manifest, "--task", "ctc", "--model", backbone, "--output", output, "--target", "text",
        "--epochs", 1, "--batch-size", 6, "--set", "mask_feature_length=4", "--spec-augment", "100h",
    )  # fmt: skip
    tuned = TFWav2Vec2ForCTC.from_pretrained(output)
    assert tuned.config.mask_feature_prob == 0.5
    # The convolutions are those of the backbone: fine-tuning leaves them as they are.
    for ours, theirs in zip(
        tuned.wav2vec2.feature_extractor.weights, pretrained.wav2vec2.feature_extractor.weights, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--augment", "echo"), r"no augmentation 'echo'"),
        (("--set", "layerdrop"), r"--set takes FIELD=VALUE"),
        (("--set", "layer_drop=1"), r"layer_drop"),
        (("--target", "words"), r"words"),
        (("--batch-size", 8, "--batch-seconds", 3), r"batch_size and batch_seconds"),
    ],
)
def test_a_mistake_in_the_command_is_one_line(
    base: Path, manifest: Path, tmp_path: Path, arguments: tuple[object, ...], message: str
) -> None:
    result = run(
        "finetune", manifest, "--task", "ctc", "--model", base, "--from-scratch", "--output", tmp_path / "model", *arguments
    )  # fmt: skip
    assert result.exit_code != 0
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert re.search(message, last)
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_clips_that_cannot_be_read_are_named(base: Path, manifest: Path, tmp_path: Path) -> None:
    output = tmp_path / "model"
    succeed("finetune", manifest, "--task", "ctc", "--model", base, "--from-scratch", "--output", output,
            "--target", "text", "--epochs", 1)  # fmt: skip
    broken = tmp_path / "broken.tsv"
    (tmp_path / "empty.wav").write_bytes(b"RIFF")
    broken.write_text(f"path\ttext\n{manifest.parent / '0.wav'}\tlow tone\nempty.wav\tlow\n")
    result = run("evaluate", output, broken)
    assert result.exit_code == 1
    assert "word error rate" in result.stdout
    assert "Error: empty.wav: " in result.stderr
