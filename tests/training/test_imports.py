"""The losses and the models need each other while they are imported: the losses may come first."""

from __future__ import annotations

import subprocess
import sys


def test_the_losses_come_first() -> None:
    code = "import tfwav2vec2.training.losses, tfwav2vec2; tfwav2vec2.ctc_loss; tfwav2vec2.TFWav2Vec2ForCTC"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
