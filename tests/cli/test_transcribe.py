import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tfwav2vec2 import Transcriber
from tfwav2vec2.cli.main import cli
from tfwav2vec2.cli.transcribe import DIGITS_ONLY

NAMES = ["a.wav", "b.flac", "sub/a.wav", "sub/deep/c.OGG"]


@pytest.fixture(scope="module")
def texts(tiny_folder: Path, recordings: Path) -> dict[str, str]:
    """The transcript of every recording, by its name."""
    transcripts = Transcriber.from_pretrained(tiny_folder).transcribe([recordings / name for name in NAMES])
    return {name: transcript.text for name, transcript in zip(NAMES, transcripts, strict=True)}


@pytest.fixture
def transcribe(tiny_folder: Path):
    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(
            cli, ["transcribe", "--model", str(tiny_folder), *map(str, arguments)], catch_exceptions=False
        )

    return run


def test_the_text_of_a_single_file_is_printed_alone(transcribe, recordings, texts):
    result = transcribe(recordings / "a.wav")
    assert result.stdout == texts["a.wav"] + "\n"
    assert result.exit_code == 0
    assert result.stderr.startswith("1 of 1 file transcribed: 0.5 s of audio in ")
    assert "real-time factor" in result.stderr


def test_several_files_are_printed_with_their_names(transcribe, recordings, texts):
    expected = [f"{recordings / name}\t{texts[name]}" for name in NAMES]
    assert transcribe(*(recordings / name for name in NAMES)).stdout.splitlines() == expected
    assert transcribe(recordings).stdout.splitlines() == expected


def test_a_folder_of_one_file_is_printed_like_any_folder(transcribe, recordings, texts):
    folder = recordings / "sub" / "deep"
    assert transcribe(folder).stdout == f"{folder / 'c.OGG'}\t{texts['sub/deep/c.OGG']}\n"


def test_json_is_one_object_a_line(transcribe, recordings, texts):
    lines = transcribe(recordings, "--format", "json").stdout.splitlines()
    found = [json.loads(line) for line in lines]
    assert [(item["file"], item["text"]) for item in found] == [
        (str(recordings / name), texts[name]) for name in NAMES
    ]
    assert [item["seconds"] for item in found] == pytest.approx([0.5, 0.31, 0.2, 0.45], abs=1e-3)


def test_a_batch_prints_the_same(transcribe, recordings):
    assert transcribe(recordings, "--batch-size", "3").stdout == transcribe(recordings).stdout
    assert transcribe(recordings, "--batch-seconds", "1").stdout == transcribe(recordings).stdout
    both = transcribe(recordings, "--batch-seconds", "1", "--batch-size", "2")
    assert both.exit_code == 2
    assert "give one of them" in both.stderr


def test_pieces_are_as_long_as_is_asked(transcribe, recordings):
    whole, pieces = (
        transcribe(recordings / "a.wav", "--format", "json", "--words", *options)
        for options in ((), ("--chunk-seconds", "0.1"))
    )
    assert json.loads(whole.stdout)["seconds"] == json.loads(pieces.stdout)["seconds"]
    assert (
        json.loads(whole.stdout)["text"] != json.loads(pieces.stdout)["text"]
    )  # random weights hear all of a piece
    assert transcribe(recordings / "a.wav", "--chunk-seconds", "0").exit_code == 2


def test_a_language_model_that_lies_there_may_be_left_out(transcribe, recordings, texts):
    assert transcribe(recordings / "a.wav", "--no-language-model").stdout == texts["a.wav"] + "\n"


@pytest.mark.parametrize("layout", ["text", "json"])
def test_output_writes_one_file_for_each_recording(transcribe, recordings, texts, tmp_path, layout):
    suffix = {"text": ".txt", "json": ".json"}[layout]
    result = transcribe(recordings, "--format", layout, "--output", tmp_path / "new" / "folder")
    assert result.exit_code == 0
    assert result.stdout == ""
    written = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert written == sorted(tmp_path / "new" / "folder" / (name + suffix) for name in NAMES)
    for name in NAMES:
        content = (tmp_path / "new" / "folder" / (name + suffix)).read_text()
        assert content.endswith("\n")
        text = content[:-1] if layout == "text" else json.loads(content)["text"]
        assert text == texts[name]


def test_a_write_that_fails_keeps_the_old_file_and_says_so(transcribe, recordings, tmp_path, monkeypatch):
    (tmp_path / "a.wav.txt").write_text("old")

    def full(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    result = transcribe(recordings / "a.wav", "--output", tmp_path)
    monkeypatch.undo()
    assert result.exit_code == 1
    assert f"{tmp_path / 'a.wav.txt'} cannot be written (No space left on device)" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav.txt"]
    assert (tmp_path / "a.wav.txt").read_text() == "old"


def test_outputs_that_would_collide_are_a_usage_error(transcribe, recordings, tmp_path):
    result = transcribe(recordings / "a.wav", recordings / "sub" / "a.wav", "--output", tmp_path)
    assert result.exit_code == 2
    assert "would both be written" in result.stderr
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_named_and_the_rest_runs(transcribe, recordings, texts, tmp_path):
    bad, missing, empty = tmp_path / "bad.wav", tmp_path / "missing.wav", tmp_path / "empty"
    bad.write_bytes(b"no audio at all")
    empty.mkdir()
    result = transcribe(bad, recordings / "a.wav", missing, empty, recordings / "b.flac")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{recordings / name}\t{texts[name]}" for name in ("a.wav", "b.flac")
    ]
    errors = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 3
    for path, line in zip((missing, empty, bad), errors, strict=True):
        assert str(path) in line
    assert "2 of 5 files transcribed" in result.stderr


def test_nothing_to_do_needs_no_model(tmp_path):
    result = CliRunner().invoke(cli, ["transcribe", str(tmp_path / "missing.wav"), "--model", "none"])
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path / 'missing.wav'} does not exist: check the path\n"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "holds no config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors"),
        (lambda folder: (folder / "vocab.json").unlink(), "vocab.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json is not valid JSON"),
        (lambda folder: (folder / "vocab.json").write_text('{"<pad>": 0}'), "vocabulary"),
        (lambda folder: cut(folder / "model.safetensors"), "model.safetensors"),
    ],
)
def test_a_broken_model_is_one_clear_error(tiny_folder, recordings, tmp_path, damage, message):
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    damage(folder)
    arguments = ["transcribe", str(recordings / "a.wav"), "--model", str(folder)]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert str(folder) in result.stderr


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def test_the_embedded_model_says_what_it_knows(tiny_folder, recordings, texts, monkeypatch):
    monkeypatch.setattr("tfwav2vec2.embedded.embedded_model", lambda: tiny_folder)
    result = CliRunner().invoke(cli, ["transcribe", str(recordings / "a.wav")], catch_exceptions=False)
    assert result.stdout == texts["a.wav"] + "\n"
    assert result.stderr.startswith(DIGITS_ONLY)
    assert "digits only" in DIGITS_ONLY
    assert "--model facebook/wav2vec2-base-960h" in DIGITS_ONLY


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["transcribe"],
        ["transcribe", "--format", "xml", "a.wav"],
        ["transcribe", "--output"],
        ["nonsense"],
    ],
)
def test_wrong_usage_has_status_2(arguments):
    assert CliRunner().invoke(cli, arguments).exit_code == 2
