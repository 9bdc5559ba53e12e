"""Keep TensorFlow's notes about the machine off standard error."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LEVEL = "TF_CPP_MIN_LOG_LEVEL"
STDERR = 2


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Silence TensorFlow's C++ code: what it notes while it is imported inside, and its warnings from then on.

    A level that the user has set stays, and 0 lets everything through.
    """
    level = os.environ.setdefault(LEVEL, "3")
    if level == "0" or sys.stderr is None:
        yield
        return
    # TensorFlow 2.21 notes twice that oneDNN is in use before it reads the level, and past Python's sys.stderr.
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), STDERR)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)


def import_models() -> None:
    """Import the models, and with them TensorFlow, without its notes."""
    with quiet_imports():
        importlib.import_module("tfwav2vec2.heads.ctc")
