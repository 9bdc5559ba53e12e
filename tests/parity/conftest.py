"""Pairs of models, the reference's and this package's, with the same weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the live comparison needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")


@dataclass
class Pair:
    """The reference's model and this package's, with the same random weights."""

    reference: Any
    ours: Any


def make_pair(folder: Path, **fields: Any) -> Pair:
    """Random weights off their initial values, every norm and bias too, carried over by the reference's own file."""
    from tfwav2vec2 import TFWav2Vec2ForCTC

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(**fields)
    reference = transformers.Wav2Vec2ForCTC(config).eval()
    with torch.no_grad():
        for parameter in reference.parameters():
            scale = 0.1 if parameter.ndim == 1 else 0.1 * parameter.std()
            parameter.add_(scale * torch.randn_like(parameter))
    reference.save_pretrained(folder)
    # The reference takes its statistics over the padding; for the comparison, so does this model.
    return Pair(reference, TFWav2Vec2ForCTC.from_pretrained(folder, feature_norm_mask=False))


@pytest.fixture(scope="session")
def speech() -> tuple[np.ndarray, np.ndarray]:
    """A padded batch of two clips (2, samples) and its mask: voiced bursts over noise, of unequal lengths."""
    rng = np.random.default_rng(0)
    samples, lengths = 24_000, (24_000, 15_431)
    time = np.arange(samples) / 16_000
    tones = [
        np.sin(2 * np.pi * pitch * time * k) / k for pitch, k in ((120, 1), (120, 2), (210, 3), (330, 5))
    ]
    envelope = np.sin(2 * np.pi * 3 * time) ** 2
    batch = np.stack([envelope * sum(tones) + 0.1 * rng.standard_normal(samples) for _ in lengths])
    batch = (batch - batch.mean(1, keepdims=True)) / batch.std(1, keepdims=True)
    mask = np.arange(samples)[None] < np.array(lengths)[:, None]
    return np.where(mask, batch, 0.0).astype("float32"), mask.astype("int64")
