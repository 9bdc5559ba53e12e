"""Tiny models: the reference's checkpoints with their goldens, and a fresh one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.tiny import TINY
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config

GOLDENS = Path(__file__).resolve().parents[1] / "goldens"
VARIANTS = sorted(folder.name for folder in (GOLDENS / "models").iterdir())


def to_numpy(tensor: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., TFWav2Vec2ForCTC]:
    """Make a tiny CTC model with random weights; keywords change the configuration."""

    def make(**overrides: Any) -> TFWav2Vec2ForCTC:
        keras.utils.set_random_seed(0)
        model = TFWav2Vec2ForCTC(Wav2Vec2Config(**{**TINY, **overrides}))
        rng = np.random.default_rng(0)
        for weight in model.weights:
            if weight.dtype == "float32":
                weight.assign(to_numpy(weight) + 0.2 * rng.standard_normal(weight.shape).astype("float32"))
        return model

    return make
