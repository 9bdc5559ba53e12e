"""A tiny model of every class, with a batch that suits its loss."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import tfwav2vec2
from tests.backbone.conftest import to_numpy
from tests.tiny import TINY
from tfwav2vec2 import Wav2Vec2Config

CLASSES = 3
SAMPLES = 1200
LENGTHS = (1200, 811, 1200, 640)
FIELDS = {
    **TINY,
    "num_labels": CLASSES,
    "classifier_proj_size": 8,
    "tdnn_dim": [8, 8, 8, 8, 12],
    "xvector_output_dim": 8,
    "num_codevectors_per_group": 8,
    "num_negatives": 5,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
}
CLASSIFIERS = (
    "TFWav2Vec2ForSequenceClassification",
    "TFWav2Vec2ForAudioFrameClassification",
    "TFWav2Vec2ForXVector",
)
LABELLED = ("TFWav2Vec2ForCTC", *CLASSIFIERS)
HEADS = (*LABELLED, "TFWav2Vec2ForPreTraining")
FAMILY = ("TFWav2Vec2Model", *HEADS)

NO_DROPOUT = dict.fromkeys(
    ("hidden_dropout", "attention_dropout", "activation_dropout", "final_dropout", "layerdrop"), 0.0
)
# Nothing random, so that a step can be compared with another.
STILL = {**NO_DROPOUT, "apply_spec_augment": False}


def tiny(name: str, dtype: str = "float32", **overrides: Any) -> Any:
    """A model of the class with random weights off their initial values; keywords change the configuration."""
    keras.utils.set_random_seed(0)
    model = getattr(tfwav2vec2, name)(Wav2Vec2Config(**{**FIELDS, **overrides}), dtype=dtype)
    rng = np.random.default_rng(0)
    for weight in model.trainable_weights:
        weight.assign(to_numpy(weight) + 0.2 * rng.standard_normal(weight.shape).astype("float32"))
    return model


def padded_batch(filling: float = 0.0) -> dict[str, np.ndarray]:
    """Four clips of unequal lengths with their mask; the padding holds ``filling``."""
    mask = (np.arange(SAMPLES)[None] < np.array(LENGTHS)[:, None]).astype("int32")
    waveform = np.random.default_rng(1).standard_normal(mask.shape)
    return {"input_values": np.where(mask, waveform, filling).astype("float32"), "attention_mask": mask}


def labels_for(name: str, frames: int) -> np.ndarray:
    """Labels of the four clips."""
    if name == "TFWav2Vec2ForCTC":
        return np.array([[3, 4, 4], [5, -100, -100], [6, 7, -100], [8, 9, 3]], "int32")
    if name == "TFWav2Vec2ForAudioFrameClassification":
        return np.random.default_rng(2).integers(0, CLASSES, (len(LENGTHS), frames)).astype("int32")
    return np.array([0, 2, 1, 2], "int32")


def training_batch(model: Any) -> dict[str, np.ndarray]:
    """What the model's own loss can be computed of."""
    name = type(model).__name__
    batch = padded_batch()
    if name in LABELLED:
        batch["labels"] = labels_for(name, model.frame_lengths(SAMPLES))
    return batch


def main_field(name: str) -> str:
    """The output that stands for the others."""
    return {"TFWav2Vec2Model": "last_hidden_state", "TFWav2Vec2ForPreTraining": "projected_states"}.get(
        name, "logits"
    )
