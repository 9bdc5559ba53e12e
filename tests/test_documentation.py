"""The examples of the reference's documentation for its TensorFlow models, with the import line changed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from tests.tiny import TINY
from tfwav2vec2 import (
    AutoProcessor,
    TFWav2Vec2ForCTC,
    TFWav2Vec2Model,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

tf = pytest.importorskip("tensorflow")

TRANSCRIPT = "A MAN SAID TO THE UNIVERSE SIR I EXIST"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder as `facebook/wav2vec2-base-960h` is one: group norm, letters, no attention mask."""
    folder = tmp_path_factory.mktemp("wav2vec2-tiny-960h")
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    tokenizer = Wav2Vec2CTCTokenizer(folder / "vocab.json")
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    TFWav2Vec2ForCTC(Wav2Vec2Config(**{**TINY, "vocab_size": len(tokens)})).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "speech.wav"
    sf.write(path, 0.1 * np.random.default_rng(0).standard_normal(16_000).astype("float32"), 16_000)
    return path


def test_example_of_the_bare_model(checkpoint: str, recording: Path) -> None:
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = TFWav2Vec2Model.from_pretrained(checkpoint)

    def map_to_array(example):
        speech, _ = sf.read(example["file"])
        example["speech"] = speech
        return example

    example = map_to_array({"file": str(recording)})
    input_values = processor(example["speech"], return_tensors="tf").input_values  # Batch size 1
    hidden_states = model(input_values).last_hidden_state
    assert hidden_states.shape == (1, model.frame_lengths(16_000), TINY["hidden_size"])


def test_example_of_the_ctc_model(checkpoint: str, recording: Path) -> None:
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = TFWav2Vec2ForCTC.from_pretrained(checkpoint)

    speech, _ = sf.read(recording)
    input_values = processor(speech, return_tensors="tf").input_values  # Batch size 1
    logits = model(input_values).logits
    predicted_ids = tf.argmax(logits, axis=-1)
    transcription = processor.decode(predicted_ids[0])
    assert isinstance(transcription, str)
    assert processor.batch_decode(predicted_ids) == [transcription]

    # compute loss
    labels = processor(text=TRANSCRIPT, return_tensors="tf").input_ids
    assert processor.decode(labels[0], group_tokens=False) == TRANSCRIPT
    loss = model(input_values, labels=labels).loss
    assert np.isfinite(loss.numpy())
    assert loss.numpy() > 0
