"""Run one class in one variant beside the reference, with the same weights, and measure how far they are apart.

As a program it prints a line of JSON for every row, on the backend that Keras has::

    KERAS_BACKEND=jax python -m tests.parity.compare tiny
"""

from __future__ import annotations

import dataclasses
import json
import sys
import tempfile
from typing import Any

import keras
import numpy as np
import torch
import transformers
from transformers.models.wav2vec2.modeling_wav2vec2 import _sample_negative_indices

import tfwav2vec2
from tests.gradients import output_and_gradients
from tests.parity.burst_speech import burst_speech
from tests.parity.gradients import share_of_allowed
from tests.parity.matrix import NOTHING_RANDOM, ROWS, SIZES, VARIANTS, Row, Size

CLASSES = 5
CTC_LABELS = np.array([[5, 6, 6, 7, 8, 9, 3], [9, 4, 1, -100, -100, -100, -100]])

# What each class answers with, apart from the loss.
OUTPUTS = {
    "Model": ("last_hidden_state", "extract_features"),
    "ForXVector": ("logits", "embeddings"),
    "ForPreTraining": ("projected_states", "projected_quantized_states", "codevector_perplexity"),
}


@dataclasses.dataclass(frozen=True)
class Differences:
    """How far apart a row is; None where there is nothing of the kind.

    ``outputs``, ``hidden_states`` and ``attentions`` are absolute (hidden states over their largest value, where that
    is above 1), the ``loss`` is relative, ``gradients`` is the largest share of what PARITY allows a variable.
    """

    outputs: float
    hidden_states: float
    attentions: float
    loss: float | None
    gradients: float | None


def randomised(task: str, fields: dict[str, Any]) -> Any:
    """The reference's model with every weight off its initial value, norms and biases too."""
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(**fields, attn_implementation="eager")
    model = getattr(transformers, f"Wav2Vec2{task}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            scale = 0.1 if parameter.ndim == 1 else 0.1 * parameter.std()
            parameter.add_(scale * torch.randn_like(parameter))
    return model


def compare(row: Row, size: Size) -> Differences:
    """Both models on one padded batch of speech: with and without its mask, then the loss and its gradient."""
    fields = size.fields | NOTHING_RANDOM | VARIANTS[row.variant]
    if row.task not in ("Model", "ForCTC", "ForPreTraining"):
        fields = fields | {"num_labels": CLASSES}
    if row.task not in ("Model", "ForPreTraining"):
        # The reference's heads take no mask from outside, and would draw their own.
        fields = fields | {"apply_spec_augment": False}
    reference = randomised(row.task, fields)
    with tempfile.TemporaryDirectory() as folder:
        reference.save_pretrained(folder)
        kind = getattr(tfwav2vec2, f"TFWav2Vec2{row.task}")
        # The reference takes its statistics over the padding; for the comparison, so does this model.
        ours = kind.from_pretrained(folder, feature_norm_mask=False)
    waveform, mask = burst_speech(size.samples, size.lengths)
    plain = {"input_values": waveform}
    padded = plain | {"attention_mask": mask}
    gaps: dict[str, list[float]] = {"outputs": [], "hidden_states": [], "attentions": []}
    for batch in (plain, padded):
        _evaluate(row.task, reference, ours, batch, gaps)
    batch = padded | _targets(row.task, ours, waveform.shape[1], size.lengths)
    loss, gradients = _losses(row.task, reference, ours, batch)
    return Differences(*(max(gap) for gap in gaps.values()), loss, gradients)


def _evaluate(task: str, reference: Any, ours: Any, batch: dict[str, Any], gaps: dict[str, list]) -> None:
    wanted = {"output_hidden_states": True, "output_attentions": True}
    with torch.inference_mode():
        expected = reference(**_to_torch(batch), **wanted)
    output = ours(batch, **wanted)
    for name in OUTPUTS.get(task, ("logits",)):
        gaps["outputs"].append(_gap(output[name], expected[name]))
    for state, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        gaps["hidden_states"].append(_gap(state, other) / max(1.0, float(other.abs().max())))
    for part, other in zip(output.attentions, expected.attentions, strict=True):
        gaps["attentions"].append(_gap(part, other))


def _gap(ours: Any, expected: torch.Tensor) -> float:
    ours, wanted = np.asarray(keras.ops.convert_to_numpy(ours)), expected.detach().numpy()
    if ours.shape != wanted.shape:
        raise AssertionError(f"the shape is {ours.shape}, the reference's {wanted.shape}")
    if wanted.size > 1 and not wanted.std() > 0:
        raise AssertionError("the reference's values are all the same: the comparison is of nothing")
    return float(np.abs(ours - wanted).max())


def _targets(task: str, ours: Any, samples: int, lengths: tuple[int, ...]) -> dict[str, np.ndarray]:
    """What the loss of a task needs beside the waveform."""
    rng = np.random.default_rng(1)
    frames = ours.wav2vec2.frame_lengths(samples) if task != "Model" else ours.frame_lengths(samples)
    if task in ("Model", "ForPreTraining"):
        if task == "Model" and ours.config.add_adapter:
            frames = samples
            for kernel, stride in zip(ours.config.conv_kernel, ours.config.conv_stride, strict=True):
                frames = (frames - kernel) // stride + 1
        hidden = rng.random((len(lengths), frames)) < 0.4
        hidden[:, : frames // 2] |= rng.random((len(lengths), frames // 2)) < 0.2
        hidden[1, frames // 2 :] = False
        if task == "Model":
            return {"mask_time_indices": hidden}
        np.random.seed(0)  # the reference draws from the global state
        negatives = _sample_negative_indices(hidden.shape, ours.config.num_negatives, hidden)
        return {"mask_time_indices": hidden, "sampled_negative_indices": negatives}
    if task == "ForCTC":
        return {"labels": CTC_LABELS}
    if task == "ForAudioFrameClassification":
        return {"labels": np.eye(CLASSES, dtype="int64")[rng.integers(0, CLASSES, (len(lengths), frames))]}
    return {"labels": rng.integers(0, CLASSES, len(lengths))}


def _losses(task: str, reference: Any, ours: Any, batch: dict[str, Any]) -> tuple[float | None, float | None]:
    """The relative difference of the losses, and the largest share of what is allowed to a variable's gradient.

    In training mode, in which nothing is random; the quantizer's noise is, so that pretraining is compared as in
    evaluation here and with given noise in ``test_pretraining``. The backbone has no loss: its frames are weighted.
    """
    training = task != "ForPreTraining"
    reference.train(training)
    weights: np.ndarray | None = None
    if task == "Model":
        states = reference(**_to_torch(batch)).last_hidden_state
        weights = np.random.default_rng(2).standard_normal(states.shape).astype("float32")
        expected = (states * torch.tensor(weights)).sum()
    else:
        expected = reference(**_to_torch(batch)).loss
    if keras.backend.backend() == "torch":
        if weights is not None:
            return None, None
        loss = float(keras.ops.convert_to_numpy(ours(batch, training=training).loss))
        return abs(loss - expected.item()) / abs(expected.item()), None
    expected.backward()

    def loss_of(output: Any) -> Any:
        return output["loss"] if weights is None else keras.ops.sum(output["last_hidden_state"] * weights)

    output, gradients = output_and_gradients(ours, batch, training=training, loss_of=loss_of)
    loss = float(keras.ops.convert_to_numpy(loss_of(output)))
    wanted = {
        key: parameter.grad.numpy()
        for key, parameter in reference.named_parameters()
        if parameter.grad is not None
    }
    difference = abs(loss - expected.item()) / abs(expected.item())
    return (None if weights is not None else difference), share_of_allowed(gradients, wanted)


def _to_torch(batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in batch.items()}


if __name__ == "__main__":
    for row in ROWS:
        result = compare(row, SIZES[sys.argv[1]])
        print(json.dumps(dataclasses.asdict(row) | dataclasses.asdict(result)), flush=True)
