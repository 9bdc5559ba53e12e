"""A machine without TensorFlow and Keras transcribes with a ``.tflite`` file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import keras
import pytest

from recipes.spoken_digits.export import LITERT
from tests.conftest import REPOSITORY
from tfwav2vec2 import Transcriber

PYTHON = os.environ.get("TFWAV2VEC2_LITERT_PYTHON")

pytestmark = [
    pytest.mark.skipif(
        PYTHON is None, reason="TFWAV2VEC2_LITERT_PYTHON names no Python without TensorFlow (make test does)"
    ),
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="once is enough"),
]


def test_the_command_gives_the_models_text(spoken_digits: Path, tmp_path: Path) -> None:
    assert PYTHON is not None
    for module in ("tensorflow", "keras", "jax", "torch"):
        absent = subprocess.run(
            [PYTHON, "-c", f"import {module}"], capture_output=True, text=True, cwd=tmp_path
        )
        assert "ModuleNotFoundError" in absent.stderr
    clips = sorted((REPOSITORY / "demo" / "clips").glob("*.flac"))
    command = [PYTHON, "-m", "tfwav2vec2", "transcribe", *map(str, clips)]
    command += ["--model", str(spoken_digits / LITERT)]
    # Away from the checkout: what is installed there is under test.
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    transcriber = Transcriber.from_pretrained(spoken_digits)
    expected = [
        f"{clip}\t{transcript.text}"
        for clip, transcript in zip(clips, transcriber.transcribe(clips), strict=True)
    ]
    assert done.stdout.splitlines() == expected
