"""What the tests of exports share: a tiny model for speech recognition, its processor, and their SavedModel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.heads.family import tiny
from tfwav2vec2 import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor
from tfwav2vec2.serving.batching_options import BatchingOptions

# Not the defaults, so that what is written is what was asked for.
BATCHING = BatchingOptions(
    max_batch_size=3, batch_timeout_micros=2_000, num_batch_threads=4, max_enqueued_batches=5
)


@pytest.fixture(scope="package")
def tiny_ctc(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Wav2Vec2Processor]:
    """A model with random weights whose every label writes something, and what belongs to it."""
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOI"]
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    processor = Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), Wav2Vec2CTCTokenizer(vocabulary))
    return tiny("TFWav2Vec2ForCTC"), processor


@pytest.fixture(scope="package")
def served_ctc(tiny_ctc: tuple[Any, Wav2Vec2Processor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model's SavedModel, in the folder of version 1 of the model ``served``."""
    from tfwav2vec2.serving.saved_model import export_saved_model

    folder = tmp_path_factory.mktemp("of") / "served" / "1"
    return export_saved_model(*tiny_ctc, folder, batching=BATCHING)
