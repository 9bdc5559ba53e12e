"""Pairs of models, the reference's and this package's, with the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.burst_speech import burst_speech

torch = pytest.importorskip("torch", reason="the live comparison needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")


@dataclass
class Pair:
    """The reference's model and this package's, with the same random weights."""

    reference: Any
    ours: Any


def make_pair(folder: Path, **fields: Any) -> Pair:
    """CTC models with random weights off their initial values, carried over by the reference's own file."""
    from tests.parity.compare import randomised
    from tfwav2vec2 import TFWav2Vec2ForCTC

    reference = randomised("ForCTC", fields)
    reference.save_pretrained(folder)
    # The reference takes its statistics over the padding; for the comparison, so does this model.
    return Pair(reference, TFWav2Vec2ForCTC.from_pretrained(folder, feature_norm_mask=False))


@pytest.fixture(scope="session")
def speech() -> tuple[np.ndarray, np.ndarray]:
    """A padded batch of two clips (2, samples) of unequal lengths, and its mask."""
    return burst_speech(24_000, (24_000, 15_431))
