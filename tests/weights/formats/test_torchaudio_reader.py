"""State dicts of torchaudio without torchaudio, against what torchaudio computes with them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.weights.formats import torch_files
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError
from tfwav2vec2.weights.formats.torch_reader import TorchCheckpoint
from tfwav2vec2.weights.formats.torchaudio_reader import torchaudio_view

GOLDENS = Path(__file__).parents[2] / "goldens" / "torchaudio_files"
OVERRIDES: dict[str, dict[str, Any]] = {
    "group": {},
    "layer_outputs": {},
    "two_heads": {"num_attention_heads": 2},
}


def view(path: Path) -> Checkpoint | None:
    checkpoint = TorchCheckpoint(path)
    try:
        seen = torchaudio_view(checkpoint)
    except BaseException:
        checkpoint.close()
        raise
    if seen is None:
        checkpoint.close()
    return seen


def opened(path: Path) -> Checkpoint:
    seen = view(path)
    assert seen is not None
    return seen


def arrays_of(name: str) -> dict[str, np.ndarray]:
    with TorchCheckpoint(GOLDENS / f"{name}.pt") as checkpoint:
        return {key: checkpoint.read(key) for key in checkpoint.shapes}


def view_arrays(folder: Path, arrays: dict[str, np.ndarray]) -> Checkpoint | None:
    path = folder / "model.pth"
    path.write_bytes(torch_files.save_zip(arrays))
    return view(path)


@pytest.mark.parametrize("name", sorted(OVERRIDES))
def test_what_torchaudio_computes(name: str) -> None:
    from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2Model
    from tfwav2vec2.weights.variables import fill

    path = GOLDENS / f"{name}.pt"
    with np.load(path.with_suffix(".npz")) as expected, opened(path) as checkpoint:
        has_outputs = "lm_head.weight" in checkpoint.shapes
        config = Wav2Vec2Config(**(checkpoint.config_fields or {}) | OVERRIDES[name])
        model = (TFWav2Vec2ForCTC if has_outputs else TFWav2Vec2Model)(config)
        left = fill(model, checkpoint, strict=True, ignore_mismatched_sizes=False)
        # torchaudio's models for use have no masks.
        assert [key.rpartition(".")[2] for key in left] == ["masked_spec_embed"]
        output = model(expected["wave"])
        found = output.logits if has_outputs else output.last_hidden_state
        np.testing.assert_allclose(found, expected["answer"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["group", "layer_outputs"])
def test_what_the_shapes_say(name: str) -> None:
    layer = name == "layer_outputs"
    expected = {
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 1,
        "intermediate_size": 48,
        "conv_dim": [16, 12, 12],
        "conv_kernel": [10, 3, 2],
        "conv_stride": [5, 2, 2],
        "conv_bias": layer,
        "feat_extract_norm": "layer" if layer else "group",
        "do_stable_layer_norm": layer,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 4,
        **({"vocab_size": 9} if layer else {}),
    }
    with opened(GOLDENS / f"{name}.pt") as checkpoint:
        assert checkpoint.config_fields == expected
        assert checkpoint.vocabulary is None


@pytest.mark.parametrize(("hidden", "heads"), [(768, 12), (1024, 16), (1280, 16), (1920, 16)])
def test_the_sizes_of_the_bundles_need_no_guess(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, hidden: int, heads: int
) -> None:
    kernels = [10, 3, 3, 3, 3, 2, 2]
    wide, layer = "encoder.transformer.", "encoder.transformer.layers.0."
    shapes = {
        **{f"feature_extractor.conv_layers.{i}.conv.weight": (2, 1, k) for i, k in enumerate(kernels)},
        "feature_extractor.conv_layers.0.layer_norm.weight": (2,),
        "encoder.feature_projection.projection.weight": (hidden, 2),
        f"{wide}pos_conv_embed.conv.weight_v": (hidden, 1, 2),
        f"{layer}feed_forward.intermediate_dense.weight": (3, hidden),
        f"{layer}final_layer_norm.weight": (hidden,),
    }
    seen = view_arrays(tmp_path, {key: np.zeros(shape, np.float16) for key, shape in shapes.items()})
    assert seen is not None
    with seen, caplog.at_level(logging.WARNING):
        fields = seen.config_fields or {}
    assert fields["num_attention_heads"] == heads
    assert fields["conv_stride"] == [5, 2, 2, 2, 2, 2, 2]
    assert not caplog.records


def test_what_is_guessed_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with opened(GOLDENS / "group.pt"):
        (record,) = caplog.records
    assert "num_attention_heads and conv_stride" in record.getMessage()


@pytest.mark.parametrize("prefix", ["model.", "wav2vec2."])
def test_models_inside_others(tmp_path: Path, prefix: str) -> None:
    arrays = arrays_of("group")
    masks = {"mask_generator.mask_embedding": np.ones(64, np.float32)} if prefix == "wav2vec2." else {}
    seen = view_arrays(tmp_path, {prefix + key: array for key, array in arrays.items()} | masks)
    assert seen is not None
    with seen, opened(GOLDENS / "group.pt") as plain:
        assert set(seen.shapes) == set(plain.shapes) | ({"wav2vec2.masked_spec_embed"} if masks else set())
        assert seen.config_fields == plain.config_fields
        for key in plain.shapes:
            np.testing.assert_array_equal(seen.read(key), plain.read(key))


def test_every_tensor_has_its_own_numbers(tmp_path: Path) -> None:
    arrays = arrays_of("layer_outputs")
    for index, (key, array) in enumerate(arrays.items()):
        arrays[key] = np.full_like(array, index)
    seen = view_arrays(tmp_path, arrays)
    assert seen is not None
    with seen:
        found = {float(seen.read(key).flat[0]) for key in seen.shapes}
        assert found == set(map(float, range(len(arrays))))
        assert {seen.dtype(key) for key in seen.shapes} == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("name", "part"),
    [("wavlm", "gru_rel_pos_const"), ("hubert_pretraining", r"logit_generator\.label_embeddings")],
)
def test_other_architectures_of_torchaudios(name: str, part: str) -> None:
    with pytest.raises(CheckpointError, match=f"no wav2vec 2.0 model of torchaudio.*{part}") as caught:
        view(GOLDENS / f"{name}.pt")
    assert "\n" not in str(caught.value)


def test_other_files_of_torchs_are_none_of_torchaudios() -> None:
    assert view(GOLDENS.parent / "torch_files" / "zip.bin") is None
    assert view(GOLDENS.parent / "fairseq_files" / "group" / "pretrained.pt") is None


@pytest.mark.parametrize(
    "key",
    [
        "encoder.transformer.pos_conv_embed.conv.weight_v",
        "encoder.transformer.layers.0.feed_forward.intermediate_dense.weight",
    ],
)
def test_a_part_of_a_model(tmp_path: Path, key: str) -> None:
    arrays = arrays_of("group")
    names = (key, key.replace("weight_v", "parametrizations.weight.original1"))
    with pytest.raises(CheckpointError, match="is missing"):
        view_arrays(tmp_path, {name: array for name, array in arrays.items() if name not in names})


@pytest.mark.parametrize("shape", [(), (64,), (0, 12), (64, 12, 1)])
def test_tensors_with_other_axes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    arrays = arrays_of("group") | {
        "encoder.feature_projection.projection.weight": np.zeros(shape, np.float32)
    }
    with pytest.raises(CheckpointError, match="is missing or has no 2 axes") as caught:
        view_arrays(tmp_path, arrays)
    assert "\n" not in str(caught.value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4
    ),
    kept=st.floats(0, 1) | st.just(1.0),
)
def test_changed_bytes(tmp_path: Path, changes: list[tuple[float, int]], kept: float) -> None:
    written = bytearray((GOLDENS / "layer_outputs.pt").read_bytes())
    for place, value in changes:
        # Half of the changes hit the pickle.
        written[int(place * len(written)) if value % 2 else int(place * 8000)] = value
    path = tmp_path / "model.pth"
    path.write_bytes(written[: int(kept * len(written))])
    refusal = str(path)
    try:
        with TorchCheckpoint(path) as source:
            seen = torchaudio_view(source) or source
            for key, shape in seen.shapes.items():
                assert seen.read(key).shape == shape
    except CheckpointError as error:
        refusal = str(error)
    assert str(path) in refusal
    assert "\n" not in refusal
