"""The table between torch's keys and variable names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfwav2vec2.weights.key_map import is_optional, is_transposed, match, torch_keys
from tfwav2vec2.weights.readers import open_checkpoint

MODELS = Path(__file__).parents[1] / "goldens" / "models"


@pytest.mark.parametrize(
    ("variable", "key", "transposed"),
    [
        ("wav2vec2.masked_spec_embed", "wav2vec2.masked_spec_embed", False),
        ("wav2vec2.feature_extractor.conv_layers.0.conv.kernel", None, True),
        ("wav2vec2.feature_extractor.conv_layers.0.layer_norm.gamma", None, False),
        ("wav2vec2.feature_projection.projection.kernel", None, True),
        ("wav2vec2.encoder.pos_conv_embed.conv.bias", "wav2vec2.encoder.pos_conv_embed.conv.bias", False),
        (
            "encoder.layers.11.attention.q_proj.bias",
            "encoder.layers.11.attention.q_proj.bias",
            False,
        ),
        ("encoder.layer_norm.beta", "encoder.layer_norm.bias", False),
        ("lm_head.kernel", "lm_head.weight", True),
    ],
)
def test_names(variable: str, key: str | None, transposed: bool) -> None:
    stem = variable.rpartition(".")[0]
    assert torch_keys(variable) == (key or f"{stem}.weight",)
    assert is_transposed(variable) == transposed


def test_the_weight_norm_has_two_names() -> None:
    stem = "wav2vec2.encoder.pos_conv_embed.conv"
    assert torch_keys(f"{stem}.weight_g") == (f"{stem}.parametrizations.weight.original0", f"{stem}.weight_g")
    assert torch_keys(f"{stem}.weight_v") == (f"{stem}.parametrizations.weight.original1", f"{stem}.weight_v")
    assert is_transposed(f"{stem}.weight_g")
    assert is_transposed(f"{stem}.weight_v")


def test_a_name_without_a_rule() -> None:
    with pytest.raises(KeyError, match=r"no rule for the variable 'encoder\.unknown'"):
        torch_keys("encoder.unknown")


def test_only_the_mask_embedding_is_optional() -> None:
    assert is_optional("masked_spec_embed")
    assert is_optional("wav2vec2.masked_spec_embed")
    assert not is_optional("wav2vec2.not_masked_spec_embed")
    assert not is_optional("lm_head.weight")


HEADED = ["wav2vec2.masked_spec_embed", "wav2vec2.layer_norm.gamma", "lm_head.kernel"]
BARE = ["masked_spec_embed", "layer_norm.gamma"]
HEADED_KEYS = ["wav2vec2.masked_spec_embed", "wav2vec2.layer_norm.weight", "lm_head.weight"]
BARE_KEYS = ["masked_spec_embed", "layer_norm.weight"]


def test_a_head_takes_its_own_file() -> None:
    found = match(HEADED, HEADED_KEYS)
    assert found.pairs == dict(zip(HEADED, HEADED_KEYS, strict=True))
    assert (found.missing, found.unexpected) == ([], [])


def test_a_bare_model_takes_its_own_file() -> None:
    found = match(BARE, BARE_KEYS)
    assert found.pairs == dict(zip(BARE, BARE_KEYS, strict=True))
    assert (found.missing, found.unexpected) == ([], [])


def test_a_bare_model_takes_the_backbone_of_a_file_with_a_head() -> None:
    found = match(BARE, [*HEADED_KEYS, "wav2vec2.stranger"])
    assert found.pairs == dict(zip(BARE, HEADED_KEYS[:2], strict=True))
    assert (found.missing, found.unexpected) == ([], ["wav2vec2.stranger"])


def test_a_head_takes_the_backbone_of_a_bare_file() -> None:
    found = match(HEADED, [*BARE_KEYS, "stranger"])
    assert found.pairs == dict(zip(HEADED[:2], BARE_KEYS, strict=True))
    assert (found.missing, found.unexpected) == (["lm_head.weight"], ["stranger"])


def test_another_head_is_unexpected() -> None:
    found = match(HEADED, [*HEADED_KEYS[:2], "quantizer.codevectors", "project_q.weight"])
    assert found.missing == ["lm_head.weight"]
    assert found.unexpected == ["quantizer.codevectors", "project_q.weight"]


@pytest.mark.parametrize("variant", sorted(folder.name for folder in MODELS.iterdir()))
def test_every_variant_has_the_references_keys_and_shapes(variant: str) -> None:
    from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
    from tfwav2vec2.backbone.naming import named_variables

    model = TFWav2Vec2ForCTC(Wav2Vec2Config.from_pretrained(MODELS / variant))
    shapes = {}
    for name, variable in named_variables(model).items():
        shape = tuple(variable.shape)
        shapes[torch_keys(name)[0]] = shape[::-1] if is_transposed(name) else shape
    with open_checkpoint(MODELS / variant / "model.safetensors") as checkpoint:
        assert shapes == checkpoint.shapes
