"""A tiny model with its processor in a folder, and recordings for it to read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.backbone.conftest import tiny_model
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

__all__ = ["recordings", "tiny_folder", "tiny_model"]

VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "D", "E"]


@pytest.fixture(scope="session")
def tiny_folder(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A group-norm model in the hub's layout; as such checkpoints do, it says that no mask is wanted."""
    folder = tmp_path_factory.mktemp("tiny-model")
    (folder / "vocab.json").write_text(json.dumps({symbol: i for i, symbol in enumerate(VOCABULARY)}))
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=False, do_normalize=True)
    tokenizer = Wav2Vec2CTCTokenizer(folder / "vocab.json")
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    tiny_model(feat_extract_norm="group").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of noise in files of several formats, rates and lengths, in subfolders too, and of other files."""
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    for name, rate, seconds in (
        ("a.wav", 16_000, 0.50),
        ("b.flac", 8_000, 0.31),
        ("sub/a.wav", 44_100, 0.20),
        ("sub/deep/c.OGG", 48_000, 0.45),
        (".hidden.wav", 16_000, 0.10),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.normal(0, 0.1, round(rate * seconds)).astype(np.float32)
        soundfile.write(path, noise, rate, format=path.suffix[1:].upper())
    (folder / "notes.txt").write_text("not audio")
    return folder
