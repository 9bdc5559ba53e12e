"""Killed by the system at ten moments, some of them in the middle of writing a state, a training loses no step."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from tests.training import resumed_training
from tests.training.resumed_training import steps_taken, train
from tfwav2vec2.training import training_state

pytestmark = pytest.mark.slow

KILLS, OF_THEM_IN_WRITING = 10, 3
# A process that never takes its first step is a failure, not a wait.
PATIENCE = 120.0

_context = multiprocessing.get_context("forkserver")
# Children begin with everything imported, and nothing run.
_context.set_forkserver_preload([resumed_training.__name__])


def test_killed_again_and_again(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    killed.mkdir()
    finish(whole)
    moments = random.Random(5)  # which moments these are depends on the machine all the same
    in_writing = moments.sample(range(KILLS), OF_THEM_IN_WRITING)
    for kill in range(KILLS):
        if kill in in_writing:
            process = start(killed, die_in_writing)
        else:
            process = start(killed, train)
            wait_for_a_step(killed, process)
            time.sleep(moments.uniform(0.0, 0.05))
            process.kill()
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL, "it ended before it was killed: give it more to do"
    finish(killed)
    assert steps_taken(killed) == steps_taken(whole)
    ours, theirs = np.load(killed / "final.npz"), np.load(whole / "final.npz")
    for name in theirs.files:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-6)
    assert not list((killed / "states").glob(".*"))


def start(folder: Path, target: object) -> multiprocessing.Process:
    process = _context.Process(target=target, args=(folder,))
    process.start()
    return process


def finish(folder: Path) -> None:
    process = start(folder, train)
    process.join(PATIENCE)
    assert process.exitcode == 0


def wait_for_a_step(folder: Path, process: multiprocessing.Process) -> None:
    """Until the process has taken a step: what happens before is not training."""
    log = folder / "steps.jsonl"
    size = log.stat().st_size if log.exists() else 0
    deadline = time.monotonic() + PATIENCE
    while not log.exists() or log.stat().st_size == size:
        assert process.is_alive(), f"the training ended by itself, with {process.exitcode}"
        assert time.monotonic() < deadline
        time.sleep(0.002)


def die_in_writing(folder: Path) -> None:
    """Train until a state is half written, and be killed there."""
    whole_file = training_state.write_safetensors
    left = [2]

    def half_a_file(path: Path, *args: object, **options: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            path.with_name(".0000.tmp").write_bytes(b"\x08\x00\x00\x00")
            os.kill(os.getpid(), signal.SIGKILL)
        whole_file(path, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_state, "write_safetensors", half_a_file)
        train(folder)
