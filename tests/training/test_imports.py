"""The losses and the models need each other while they are imported: either may come first."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["tfwav2vec2.training.losses", "tfwav2vec2.heads.ctc"])
def test_either_comes_first(module: str) -> None:
    code = f"import {module}, tfwav2vec2; tfwav2vec2.ctc_loss; tfwav2vec2.TFWav2Vec2ForCTC"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
