"""Killed at any moment, on either runner, a batch loses nothing and repeats nothing that was written down.

The ear is a server in this process: it outlives what is killed, and knows what it was asked.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.beam.ear import EarServer, write_tones
from tests.conftest import REPOSITORY
from tfwav2vec2.beam.job import JOURNAL
from tfwav2vec2.beam.journal import Journal

pytest.importorskip("apache_beam", reason="needs the extra beam: pip install 'tfwav2vec2[beam]'")

pytestmark = pytest.mark.slow

RECORDINGS, KILLS = 90, 6
# How many seconds the ear thinks about a recording. The workers of a runner that was killed go on for a second.
DELAYS = {"in-memory": 0.03, "multi-process": 0.12}
# A process that never asks anything is a failure, not a wait.
PATIENCE = 120.0

RUNNERS = {"in-memory": (), "multi-process": ("--runner", "multi-process", "--workers", "2")}


@contextmanager
def batch(folder: Path, ear: EarServer, runner: str) -> Iterator[subprocess.Popen[str]]:
    """The command at work; killed at the end, if it is still."""
    command = [sys.executable, "-m", "tfwav2vec2", "batch", folder / "in", folder / "out"]
    command += ["--model", ear.address, "--batch-seconds", "1", *RUNNERS[runner]]
    with subprocess.Popen(
        [*map(str, command)],
        cwd=REPOSITORY,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What runs in a shell's background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(folder: Path, ear: EarServer, runner: str) -> str:
    """What the command says when it ends well."""
    with batch(folder, ear, runner) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert out == ""
    return err


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Until the condition holds, which must be before the process ends."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def written(folder: Path, texts: dict[str, str]) -> set[str]:
    """The texts that are written down; each the right one."""
    if not (folder / "out" / JOURNAL).is_dir():
        return set()
    outcomes = list(Journal(folder / "out" / JOURNAL).outcomes())
    assert all(outcome.error is None and outcome.text == texts[outcome.id] for outcome in outcomes)
    return {outcome.text for outcome in outcomes}


def check_results(folder: Path, texts: dict[str, str]) -> None:
    lines = [
        line
        for path in sorted((folder / "out").glob("transcripts-*"))
        for line in path.read_text().splitlines()
    ]
    rows = [json.loads(line) for line in lines]
    assert [(row["id"], row["text"]) for row in rows] == sorted(
        texts.items(), key=lambda item: (item[0].count("/"), item[0])
    )
    assert (folder / "out" / "failures.jsonl").read_text() == ""
    assert json.loads((folder / "out" / "summary.json").read_text())["transcribed"] == len(texts)
    assert not list((folder / "out").rglob(".*.tmp"))


@pytest.mark.parametrize("runner", RUNNERS)
def test_killed_again_and_again(tmp_path: Path, ear: EarServer, runner: str) -> None:
    texts = write_tones(tmp_path / "in", range(RECORDINGS))
    ear.delay = DELAYS[runner]
    moments = random.Random(5)  # which moments these are depends on the machine all the same
    kept: set[str] = set()
    for kill in range(KILLS):
        asked = len(ear.heard)
        with batch(tmp_path, ear, runner) as process:
            if kill % 2:
                wait_for(lambda: written(tmp_path, texts) - kept, process)  # noqa: B023
                time.sleep(moments.uniform(0.0, 0.3))
            elif kill:
                wait_for(lambda: len(ear.heard) > asked, process)  # noqa: B023
                time.sleep(moments.uniform(0.0, 0.6))
            else:
                time.sleep(moments.uniform(0.0, 2.0))
            workers = workers_of(process.pid)
            process.kill()
            process.wait()
            assert process.returncode == -signal.SIGKILL, "it ended before it was killed: give it more to do"
        before, kept = kept, written(tmp_path, texts)
        assert before <= kept
        assert not set(ear.heard[asked:]) & before
    # Nobody works on for a runner that is dead.
    wait_for(lambda: not any(map(is_running, workers)))
    assert 0 < len(kept) < RECORDINGS, "no kill fell into the middle: choose other moments"
    asked = len(ear.heard)
    assert "of them before" in finish(tmp_path, ear, runner)
    assert not set(ear.heard[asked:]) & kept
    check_results(tmp_path, texts)


@pytest.mark.parametrize("runner", RUNNERS)
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, ear: EarServer, runner: str) -> None:
    texts = write_tones(tmp_path / "in", range(RECORDINGS))
    ear.delay = DELAYS[runner]
    with batch(tmp_path, ear, runner) as process:
        wait_for(lambda: len(ear.heard) > 5, process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out == ""
    assert err == "Interrupted: what was done is kept, and the same command goes on from there\n"
    finish(tmp_path, ear, runner)
    check_results(tmp_path, texts)


def test_a_worker_that_is_killed_ends_the_command(tmp_path: Path, ear: EarServer) -> None:
    """Apache Beam would wait for it for ever."""
    texts = write_tones(tmp_path / "in", range(RECORDINGS))
    ear.delay = DELAYS["multi-process"]
    with batch(tmp_path, ear, "multi-process") as process:
        wait_for(lambda: len(ear.heard) > 5, process)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert err.startswith("Error: A worker was killed, perhaps for want of memory")
    assert err.endswith("what was done is kept, and the same command goes on from there\n")
    finish(tmp_path, ear, "multi-process")
    check_results(tmp_path, texts)


def is_running(process: int) -> bool:
    try:
        return ")" in (status := Path(f"/proc/{process}/stat").read_text()) and " Z " not in status
    except OSError:
        return False


def workers_of(parent: int) -> list[int]:
    """The Python processes that a runner started, by a shell or not."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            above = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if above == parent:
            found += workers_of(int(entry.name)) or ([int(entry.name)] if b"-m" in command else [])
    return found


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_embedded_model_hears_the_demo_on_either_runner(
    tmp_path: Path, spoken_digits: Path, runner: str
) -> None:
    """A whole command with a model of its own: TensorFlow in the runner's processes."""
    clips = REPOSITORY / "demo" / "clips"
    command = [sys.executable, "-m", "tfwav2vec2", "batch", clips / "manifest.tsv", tmp_path / "out"]
    done = subprocess.run(
        [*map(str, command), *RUNNERS[runner]], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 2, "TensorFlow or Beam chatters"
    expected = [line.split("\t") for line in (clips / "manifest.tsv").read_text().splitlines()[1:]]
    rows = [
        json.loads(line) for line in (tmp_path / "out" / "transcripts-00000.jsonl").read_text().splitlines()
    ]
    assert [(row["id"], row["text"]) for row in rows] == [(name, text) for name, _, text in expected]
