"""Which class a checkpoint belongs to."""

from __future__ import annotations

import pytest

import tfwav2vec2
from tfwav2vec2.weights.architecture import BARE, HEADS, architecture, model_class

BACKBONE = ["wav2vec2.feature_projection.projection.weight", "wav2vec2.encoder.layer_norm.bias"]
HEAD_KEYS = {
    BARE: [],
    "Wav2Vec2ForCTC": ["lm_head.weight", "lm_head.bias"],
    "Wav2Vec2ForSequenceClassification": ["projector.weight", "classifier.weight", "layer_weights"],
    "Wav2Vec2ForAudioFrameClassification": ["classifier.weight", "classifier.bias"],
    "Wav2Vec2ForXVector": [
        "projector.weight",
        "tdnn.0.kernel.weight",
        "feature_extractor.weight",
        "classifier.weight",
        "objective.weight",
    ],
    "Wav2Vec2ForPreTraining": [
        "quantizer.codevectors",
        "quantizer.weight_proj.weight",
        "project_hid.bias",
        "project_q.bias",
    ],
}


@pytest.mark.parametrize("name", HEAD_KEYS)
def test_the_keys_tell_the_class(name: str) -> None:
    keys = BACKBONE + HEAD_KEYS[name]
    assert architecture(keys) == name
    assert architecture(keys, [name]) == name
    # A configuration that was written for another model.
    assert architecture(keys, ["Wav2Vec2ForCTC"]) == name
    assert architecture(keys, ["BertModel"]) == name


def test_a_bare_models_keys() -> None:
    assert architecture(key.removeprefix("wav2vec2.") for key in BACKBONE) == BARE


def test_where_the_file_has_several_heads_the_configuration_decides() -> None:
    keys = BACKBONE + HEAD_KEYS["Wav2Vec2ForCTC"] + HEAD_KEYS["Wav2Vec2ForPreTraining"]
    assert architecture(keys) == "Wav2Vec2ForPreTraining"
    assert architecture(keys, ["TFWav2Vec2ForCTC"]) == "Wav2Vec2ForCTC"
    assert architecture(keys, ["FlaxWav2Vec2ForCTC"]) == "Wav2Vec2ForCTC"


@pytest.mark.parametrize("name", [BARE, *HEADS])
def test_the_classes(name: str) -> None:
    assert model_class(name) is getattr(tfwav2vec2, f"TF{name}")
    assert model_class(f"TF{name}") is model_class(name)


@pytest.mark.parametrize("name", ["", "__version__", "Wav2Vec2Config", "os.system", "BertModel"])
def test_what_is_no_class(name: str) -> None:
    with pytest.raises(ValueError, match="is no class of this package; these are: TFWav2Vec2Model, "):
        model_class(name)
