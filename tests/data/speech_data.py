"""Small corpora of synthetic clips, and what prepares them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import TINY
from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.examples import Example, from_arrays
from tfwav2vec2.data.speech_data import SpeechData
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.processor import Wav2Vec2Processor

RATE = 16_000
VOCABULARY = {"<pad>": 0, "<unk>": 1, "|": 2, "A": 3, "B": 4, "C": 5, "D": 6, "'": 7}
CLASSES = {"id2label": {0: "no", 1: "yes"}, "label2id": {"no": 0, "yes": 1}}

EXTRACTOR = Wav2Vec2FeatureExtractor()


def config(**fields: Any) -> Wav2Vec2Config:
    return Wav2Vec2Config(**{**TINY, **CLASSES, **fields})


def processor(folder: Path, vocabulary: Mapping[str, int] = VOCABULARY) -> Wav2Vec2Processor:
    path = folder / "vocab.json"
    path.write_text(json.dumps(dict(vocabulary)), encoding="utf-8")
    return Wav2Vec2Processor(EXTRACTOR, Wav2Vec2CTCTokenizer(path, bos_token=None, eos_token=None))


def clip(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


def examples(
    count: int, targets: Any = ("no", "yes"), shortest: int = 1000, longest: int = 6000
) -> list[Example]:
    """Clips of different lengths and unlike each other, with the targets by turns."""
    lengths = np.random.default_rng(count).integers(shortest, longest, count)
    clips = [clip(int(length), index) for index, length in enumerate(lengths)]
    return from_arrays(clips, [targets[index % len(targets)] for index in range(count)], RATE)


def classify(count: int = 11, **options: Any) -> SpeechData:
    options = {"batch_size": 4, "buckets": 2, **options}
    return SpeechData(examples(count), "classify", EXTRACTOR, config(), **options)


def assert_same(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert list(left) == list(right)
    for name, value in left.items():
        np.testing.assert_array_equal(np.asarray(value), np.asarray(right[name]), err_msg=name)
