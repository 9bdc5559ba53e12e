"""The command as a shell runs it: a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tfwav2vec2

COMMAND = [sys.executable, "-m", "tfwav2vec2"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
REPOSITORY = Path(tfwav2vec2.__file__).parents[1]
HEAVY = (
    "tensorflow",
    "keras",
    "jax",
    "numpy",
    "numba",
    "matplotlib",
    "soundfile",
    "sounddevice",
    "soxr",
    "av",
    "huggingface_hub",
    "tqdm",
)


def run(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        cwd=REPOSITORY,
        check=False,
        **options,
    )


@pytest.mark.parametrize("command", [[], ["transcribe"], ["info"], ["convert"]])
def test_help_is_quick_and_has_an_example(command):
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        result = run(*command, "--help")
        seconds.append(time.perf_counter() - started)
    assert result.returncode == 0
    assert "Example" in result.stdout
    # The best of five: other programs on the machine are not this one's fault.
    assert min(seconds) < 0.5


@pytest.mark.parametrize("command", ["", "transcribe", "align", "subtitles", "listen", "info", "convert"])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys; from click.testing import CliRunner; from tfwav2vec2.cli.main import cli; "
        f"CliRunner().invoke(cli, [*{command.split()!r}, '--help'], catch_exceptions=False); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert "click" in loaded.stdout
    assert not set(HEAVY) & set(loaded.stdout.split())


def test_version():
    assert run("--version").stdout == f"tfwav2vec2 {tfwav2vec2.__version__}\n"


def test_streams_and_status_of_a_whole_run(tiny_folder, recordings, tmp_path):
    """Standard output holds the transcripts alone, standard error no chatter of TensorFlow's."""
    name = os.fsdecode(b"caf\xe9.wav")
    (tmp_path / name).write_bytes((recordings / "a.wav").read_bytes())
    (tmp_path / "bad.wav").write_text("no audio")
    result = subprocess.run(
        [*COMMAND, "transcribe", tmp_path, "--model", tiny_folder, "--format", "json"],
        capture_output=True,
        env=ENVIRONMENT,
        cwd=REPOSITORY,
        check=False,
    )
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert [json.loads(line.decode(errors="surrogateescape"))["file"] for line in lines] == [
        str(tmp_path / name)
    ]
    errors = result.stderr.decode().splitlines()
    assert len(errors) == 2
    assert errors[0].startswith(f"Error: {tmp_path / 'bad.wav'} cannot be read as audio")
    assert errors[1].startswith("1 of 2 files transcribed")


def test_a_reader_that_leaves_is_no_error(tmp_path):
    """As in ``tfwav2vec2 --help | head -1``."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    with os.fdopen(write_end, "wb") as closed:
        result = subprocess.run(
            [*COMMAND, "--help"], stdout=closed, stderr=subprocess.PIPE, cwd=REPOSITORY, check=False
        )
    assert result.stderr == b""
    assert result.returncode == 1


def test_ctrl_c_ends_quietly(tiny_folder, tmp_path):
    """Interrupted where it waits for input: a named pipe that nobody writes to."""
    pipe = tmp_path / "pipe.wav"
    os.mkfifo(pipe)
    with subprocess.Popen(
        [*COMMAND, "transcribe", str(pipe), "--model", str(tiny_folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        cwd=REPOSITORY,
        # What runs in a shell's background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            writer = open_for_writing(pipe, process)
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            os.close(writer)
        finally:
            process.kill()
    assert out == b""
    assert err.strip() == b""
    assert process.returncode == 130


def open_for_writing(pipe: Path, reader: subprocess.Popen) -> int:
    """The pipe's other end, as soon as the command has opened it for reading."""
    while reader.poll() is None:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(reader.communicate())
