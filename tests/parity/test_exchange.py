"""Checkpoints exchanged with transformers, bit for bit, in both directions and in every kind of file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2Model  # noqa: E402  # only where the reference is installed
from tfwav2vec2.backbone.naming import named_variables  # noqa: E402
from tfwav2vec2.weights.key_map import is_transposed, torch_keys  # noqa: E402

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 12),
    "conv_stride": (5, 3, 2),
    "conv_kernel": (10, 4, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 10,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "num_codevectors_per_group": 8,
}
VARIANTS = {
    "group": {},
    "layer_stable": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
    "adapters": {
        "do_stable_layer_norm": True,
        "add_adapter": True,
        "output_hidden_size": 12,
        "num_adapter_layers": 2,
        "adapter_attn_dim": 4,
    },
    "never_masked": {"mask_time_prob": 0.0},
    "odd": {"num_conv_pos_embeddings": 7},
}
WEIGHT_NORM = "wav2vec2.encoder.pos_conv_embed.conv"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The reference announces on its own log what these tests are about."""
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity_warning()


@pytest.fixture(params=VARIANTS)
def reference(request: pytest.FixtureRequest) -> Any:
    return make_reference(**VARIANTS[request.param])


def make_reference(**fields: Any) -> Any:
    """A model of the reference, every weight off its initial value."""
    torch.manual_seed(0)
    model = transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**{**TINY, **fields})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def tensors_of(model: Any) -> dict[str, np.ndarray]:
    """This package's variables as torch would have them."""
    return {
        torch_keys(name)[0]: value.T if is_transposed(name) else value
        for name, variable in named_variables(model).items()
        for value in [keras.ops.convert_to_numpy(variable)]
    }


def assert_same(model: Any, reference: Any, prefix: str = "") -> None:
    """Every tensor of the reference, and no other, bit for bit."""
    expected = {
        key.removeprefix(prefix): tensor.float().numpy()
        for key, tensor in reference.state_dict().items()
        if key.startswith(prefix)
    }
    given = tensors_of(model)
    assert given.keys() == expected.keys()
    for key, array in expected.items():
        assert given[key].shape == array.shape
        np.testing.assert_array_equal(given[key].view(np.int32), array.view(np.int32), err_msg=key)


def load_reference(folder: Path, kind: str = "Wav2Vec2ForCTC", **options: Any) -> Any:
    model, info = getattr(transformers, kind).from_pretrained(folder, output_loading_info=True, **options)
    assert not any(info.values()), info
    return model


@pytest.mark.parametrize("max_shard_size", ["5GB", "4KB"])
def test_the_reference_reads_what_this_package_wrote(
    reference: Any, tmp_path: Path, max_shard_size: str
) -> None:
    reference.save_pretrained(tmp_path / "theirs")
    model = TFWav2Vec2ForCTC.from_pretrained(tmp_path / "theirs")
    assert_same(model, reference)
    model.save_pretrained(tmp_path / "ours", max_shard_size=max_shard_size)
    assert (max_shard_size == "4KB") == (tmp_path / "ours" / "model.safetensors.index.json").exists()
    read_back = load_reference(tmp_path / "ours")
    assert_same(model, read_back)
    auto = transformers.AutoModelForCTC.from_pretrained(tmp_path / "ours", torch_dtype="auto")
    assert type(auto) is type(reference)
    assert auto.dtype == torch.float32
    written, original = read_back.config.to_dict(), reference.config.to_dict()
    differing = {key for key in original if written.get(key) != original[key]}
    assert differing <= {"_name_or_path", "architectures", "dtype", "transformers_version"}


@pytest.mark.parametrize("safe", [True, False])
@pytest.mark.parametrize("max_shard_size", ["5GB", "4KB"])
def test_this_package_reads_what_the_reference_wrote(
    reference: Any, tmp_path: Path, safe: bool, max_shard_size: str
) -> None:
    reference.save_pretrained(tmp_path, safe_serialization=safe, max_shard_size=max_shard_size)
    assert bool(list(tmp_path.glob("*.bin"))) == (not safe)
    assert_same(TFWav2Vec2ForCTC.from_pretrained(tmp_path), reference)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save(tmp_path: Path, zipped: bool) -> None:
    reference = make_reference()
    reference.config.save_pretrained(tmp_path)
    path = tmp_path / "pytorch_model.bin"
    torch.save(reference.state_dict(), path, _use_new_zipfile_serialization=zipped)
    assert_same(TFWav2Vec2ForCTC.from_pretrained(tmp_path), reference)
    with_parameters = dict(reference.named_parameters())
    torch.save(with_parameters, path, _use_new_zipfile_serialization=zipped)
    assert_same(TFWav2Vec2ForCTC.from_pretrained(tmp_path), reference)


def test_files_whose_checksums_were_left_out(tmp_path: Path) -> None:
    reference = make_reference()
    reference.config.save_pretrained(tmp_path)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(reference.state_dict(), tmp_path / "pytorch_model.bin")
    finally:
        torch.serialization.set_crc32_options(True)
    assert_same(TFWav2Vec2ForCTC.from_pretrained(tmp_path), reference)


@pytest.mark.parametrize("zipped", [True, False])
def test_old_names_of_the_weight_norm(tmp_path: Path, zipped: bool) -> None:
    reference = make_reference()
    reference.config.save_pretrained(tmp_path)
    state = dict(reference.state_dict())
    for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
        state[f"{WEIGHT_NORM}.{old}"] = state.pop(f"{WEIGHT_NORM}.parametrizations.weight.{new}")
    torch.save(state, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    assert_same(TFWav2Vec2ForCTC.from_pretrained(tmp_path), reference)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize("safe", [True, False])
def test_other_dtypes(tmp_path: Path, dtype: str, safe: bool) -> None:
    reference = make_reference().to(getattr(torch, dtype))
    reference.save_pretrained(tmp_path, safe_serialization=safe)
    model = TFWav2Vec2ForCTC.from_pretrained(tmp_path)
    assert_same(model, reference)
    model.save_pretrained(tmp_path / "ours")
    # Newer versions read with the dtype that the configuration names.
    assert json.loads((tmp_path / "ours" / "config.json").read_text())["dtype"] == "float32"
    assert_same(model, load_reference(tmp_path / "ours", torch_dtype="auto"))


def test_bfloat16_comes_back_as_bfloat16(tmp_path: Path) -> None:
    reference = make_reference().bfloat16()
    reference.save_pretrained(tmp_path / "theirs")
    TFWav2Vec2ForCTC.from_pretrained(tmp_path / "theirs", dtype="bfloat16").save_pretrained(tmp_path / "ours")
    read_back = load_reference(tmp_path / "ours", torch_dtype="auto")
    assert read_back.dtype == torch.bfloat16
    for key, tensor in reference.state_dict().items():
        assert torch.equal(read_back.state_dict()[key], tensor), key


def test_bare_models(tmp_path: Path) -> None:
    reference = make_reference()
    reference.wav2vec2.save_pretrained(tmp_path / "bare")
    model = TFWav2Vec2Model.from_pretrained(tmp_path / "bare")
    assert_same(model, reference.wav2vec2)
    model.save_pretrained(tmp_path / "ours")
    assert_same(model, load_reference(tmp_path / "ours", "Wav2Vec2Model"))
    with pytest.warns(UserWarning, match="missing: lm_head"):
        headed = TFWav2Vec2ForCTC.from_pretrained(tmp_path / "ours", strict=False)
    assert_same(headed.wav2vec2, reference.wav2vec2)
    reference.save_pretrained(tmp_path / "headed")
    assert_same(TFWav2Vec2Model.from_pretrained(tmp_path / "headed"), reference, prefix="wav2vec2.")


def test_a_pretraining_model_is_where_fine_tuning_starts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    reference = transformers.Wav2Vec2ForPreTraining(transformers.Wav2Vec2Config(**TINY))
    reference.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"missing: lm_head(.|\n)*not expected: .*quantizer\.codevectors"):
        TFWav2Vec2ForCTC.from_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"not expected: .*quantizer\.codevectors"):
        model = TFWav2Vec2ForCTC.from_pretrained(tmp_path, strict=False)
    assert_same(model.wav2vec2, reference.wav2vec2)
    assert_same(TFWav2Vec2Model.from_pretrained(tmp_path), reference.wav2vec2)
