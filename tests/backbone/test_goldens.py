"""Every stage of every variant against what the reference computes, so that a failure names its stage.

Each stage is given the reference's own input, so that an error in one does not show in the next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.backbone.conftest import GOLDENS, VARIANTS, to_numpy
from tfwav2vec2 import TFWav2Vec2ForCTC
from tfwav2vec2.backbone.activations import ACTIVATIONS, activation

TOLERANCE = 1e-5


class Golden:
    """One variant: the model with the reference's weights and behaviour, and the reference's stages."""

    def __init__(self, variant: str) -> None:
        folder = GOLDENS / "models" / variant
        # The reference takes its statistics over the padding; so does this model, for the comparison.
        self.model = TFWav2Vec2ForCTC.from_pretrained(folder, feature_norm_mask=False)
        self.stages = dict(np.load(folder / "stages.npz"))
        self.conv_names = [name for name in self.stages if name.startswith("unpadded/feature_extractor")]

    def check(self, stage: str, value: Any) -> None:
        np.testing.assert_allclose(to_numpy(value), self.stages[stage], rtol=0, atol=TOLERANCE, err_msg=stage)


@pytest.fixture(scope="module", params=VARIANTS)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def test_each_convolution(golden: Golden) -> None:
    x = golden.stages["input_values"][:, :, None]
    for name, layer in zip(
        golden.conv_names, golden.model.wav2vec2.feature_extractor.conv_layers, strict=True
    ):
        golden.check(name, layer(x))
        x = golden.stages[name]


def test_feature_projection(golden: Golden) -> None:
    features = golden.stages[golden.conv_names[-1]]
    projected, _ = golden.model.wav2vec2.feature_projection(features)
    golden.check("unpadded/feature_projection", projected)


def test_positional_convolution(golden: Golden) -> None:
    projected = golden.stages["unpadded/feature_projection"]
    golden.check("unpadded/encoder.pos_conv_embed", golden.model.wav2vec2.encoder.pos_conv_embed(projected))


def test_each_transformer_layer(golden: Golden) -> None:
    layers = golden.model.wav2vec2.encoder.layers
    stable = golden.model.config.do_stable_layer_norm
    for index, layer in enumerate(layers):
        state, probabilities = layer(golden.stages[f"unpadded/hidden_states.{index}"])
        golden.check(f"unpadded/attentions.{index}", probabilities)
        if stable and index == len(layers) - 1:
            state = golden.model.wav2vec2.encoder.layer_norm(state)
        golden.check(f"unpadded/hidden_states.{index + 1}", state)


def test_conv_adapter(golden: Golden) -> None:
    adapter = golden.model.wav2vec2.adapter
    if adapter is None:
        assert "unpadded/adapter" not in golden.stages
        return
    last = len(golden.model.wav2vec2.encoder.layers)
    golden.check("unpadded/adapter", adapter(golden.stages[f"unpadded/hidden_states.{last}"]))


def test_whole_model_unpadded(golden: Golden) -> None:
    output = golden.model(golden.stages["input_values"], output_hidden_states=True, output_attentions=True)
    _check_output(golden, "unpadded/", output)


def test_whole_model_padded_with_loss(golden: Golden) -> None:
    stages = golden.stages
    output = golden.model(
        stages["input_values"],
        attention_mask=stages["attention_mask"],
        labels=stages["labels"],
        output_hidden_states=True,
        output_attentions=True,
    )
    _check_output(golden, "padded/", output)
    np.testing.assert_allclose(to_numpy(output.loss), stages["padded/loss"], rtol=1e-5)


def test_explicit_mask_applies_in_evaluation(golden: Golden) -> None:
    stages = golden.stages
    if "mask_time_indices" not in stages:
        assert golden.model.config.mask_time_prob == 0
        return
    arguments = {"attention_mask": stages["attention_mask"], "mask_time_indices": stages["mask_time_indices"]}
    golden.check("masked/logits", golden.model(stages["input_values"], **arguments).logits)


def _check_output(golden: Golden, prefix: str, output: Any) -> None:
    for index, state in enumerate(output.hidden_states):
        golden.check(f"{prefix}hidden_states.{index}", state)
    for index, probabilities in enumerate(output.attentions):
        golden.check(f"{prefix}attentions.{index}", probabilities)
    golden.check(f"{prefix}logits", output.logits)


_ACTIVATIONS = dict(np.load(GOLDENS / "activations.npz"))


@pytest.mark.parametrize("name", sorted(set(_ACTIVATIONS) - {"x"}))
def test_activation(name: str) -> None:
    np.testing.assert_allclose(
        to_numpy(activation(name)(_ACTIVATIONS["x"])), _ACTIVATIONS[name], rtol=1e-5, atol=TOLERANCE
    )


def test_unknown_activation_is_refused_by_name() -> None:
    assert "softmax" not in ACTIVATIONS
    with pytest.raises(ValueError, match="no activation 'softmax'"):
        activation("softmax")
