"""Models to folders and back: bit for bit, strictly, and without ever losing what was there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.weights.formats import torch_files
from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2Model, Wav2Vec2Config
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.files import read_json, write_json
from tfwav2vec2.weights.formats.safetensors_writer import write_safetensors
from tfwav2vec2.weights.readers import CheckpointError

EMBEDDING = "wav2vec2.masked_spec_embed"
WEIGHT_NORM = "wav2vec2.encoder.pos_conv_embed.conv"


def values(model: Any) -> dict[str, np.ndarray]:
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in named_variables(model).items()}


def assert_same(model: Any, other: Any) -> None:
    expected, given = values(model), values(other)
    assert given.keys() == expected.keys()
    for name, array in expected.items():
        assert given[name].dtype == array.dtype
        np.testing.assert_array_equal(given[name], array, err_msg=name)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the saved model that a test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_saved_files_can_be_read_by_whoever_reads_other_files(folder: Path) -> None:
    plain = folder / "plain"
    plain.touch()
    assert {path.stat().st_mode for path in folder.iterdir()} == {plain.stat().st_mode}


def change(folder: Path, edit: Callable[[dict[str, np.ndarray]], Any]) -> None:
    """Edit the tensors of a saved model."""
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


# --- what is written and read back -------------------------------------------------------------------------------------


def test_round_trip(tiny_model: Any, tiny_folder: Path) -> None:
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(tiny_folder))
    assert sorted(contents(tiny_folder)) == ["config.json", "model.safetensors"]


def test_what_other_readers_look_at(tiny_model: Any, tiny_folder: Path) -> None:
    config = read_json(tiny_folder / "config.json")
    assert config["architectures"] == ["Wav2Vec2ForCTC"]
    assert config["model_type"] == "wav2vec2"
    assert config["dtype"] == "float32"
    assert "_name_or_path" not in config
    with safe_open(tiny_folder / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}
        np.testing.assert_array_equal(
            file.get_tensor("lm_head.weight"), np.transpose(tiny_model.lm_head.kernel)
        )
        assert f"{WEIGHT_NORM}.parametrizations.weight.original0" in file.keys()  # noqa: SIM118  # not a dict


def test_saving_leaves_the_models_own_configuration(tiny_config: Wav2Vec2Config, tmp_path: Path) -> None:
    model = TFWav2Vec2Model(tiny_config)
    before = model.config.to_dict()
    model.save_pretrained(tmp_path)
    assert model.config.to_dict() == before


def test_several_files(tiny_model: Any, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path, max_shard_size="4KB")
    names = sorted(contents(tmp_path))
    count = len(names) - 2
    assert count > 3
    expected = [f"model-{index:05d}-of-{count:05d}.safetensors" for index in range(1, count + 1)]
    assert names == ["config.json", *expected, "model.safetensors.index.json"]
    index = read_json(tmp_path / "model.safetensors.index.json")
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in values(tiny_model).values())
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(tmp_path))


def test_no_files_of_an_older_save_stay(tiny_model: Any, tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}")
    tiny_model.save_pretrained(tmp_path, max_shard_size="4KB")
    tiny_model.save_pretrained(tmp_path, max_shard_size="8KB")
    count = int(next(tmp_path.glob("model-00001-of-*.safetensors")).stem[-5:])
    assert len(list(tmp_path.glob("*.safetensors"))) == count
    tiny_model.save_pretrained(tmp_path)
    assert sorted(contents(tmp_path)) == ["config.json", "model.safetensors", "vocab.json"]
    tiny_model.save_pretrained(tmp_path, max_shard_size=4000)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("size", ["", "5", "5GB", "1 kib", "500MiB", 7, "0", -1, "5TB", "many", None])
def test_sizes(tiny_model: Any, tmp_path: Path, size: Any) -> None:
    if size in ("", "0", -1, "5TB", "many", None):
        with pytest.raises(ValueError, match=f"max_shard_size is {size!r}; give a number of bytes"):
            tiny_model.save_pretrained(tmp_path, max_shard_size=size)
        assert contents(tmp_path) == {}
    else:
        tiny_model.save_pretrained(tmp_path, max_shard_size=size)


@pytest.mark.parametrize("max_shard_size", ["5GB", "4KB"])
def test_a_failed_save_changes_nothing(
    tiny_model: Any, folder: Path, max_shard_size: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tfwav2vec2.weights import writers

    before = contents(folder)
    calls = []

    def full_disk(path: Path, tensors: Any) -> None:
        calls.append(path)
        if max_shard_size == "5GB" or len(calls) > 2:
            path.write_bytes(b"half")
            raise OSError("No space left on device")
        write_safetensors(path, tensors)

    monkeypatch.setattr(writers, "write_safetensors", full_disk)
    with pytest.raises(
        OSError, match=r"failed \(No space left on device\); what it held is untouched"
    ) as caught:
        tiny_model.save_pretrained(folder, max_shard_size=max_shard_size)
    assert str(folder) in str(caught.value)
    assert contents(folder) == before


def test_a_file_in_place_of_a_folder(tiny_model: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    with pytest.raises(NotADirectoryError, match="is a file; give the name of a folder"):
        tiny_model.save_pretrained(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "precious"


def test_no_pickles_are_written(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Only safetensors are written"):
        tiny_model.save_pretrained(tmp_path, safe_serialization=False)


def test_an_option_of_save_that_does_not_exist(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="got max_shard_sise, which only push_to_hub=True"):
        tiny_model.save_pretrained(tmp_path, max_shard_sise="1GB")
    assert contents(tmp_path) == {}


# --- kinds of files ------------------------------------------------------------------------------------------------------


def as_bin(folder: Path, save: Callable[[dict[str, np.ndarray]], bytes]) -> None:
    (folder / "pytorch_model.bin").write_bytes(save(load_file(folder / "model.safetensors")))
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize("save", [torch_files.save_zip, torch_files.save_legacy])
def test_torchs_files(tiny_model: Any, folder: Path, save: Any) -> None:
    as_bin(folder, save)
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(folder, from_pt=True))


def test_torchs_files_in_several(tiny_model: Any, folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    homes = {key: f"pytorch_model-{index % 2}.bin" for index, key in enumerate(tensors)}
    for name in set(homes.values()):
        part = {key: tensors[key] for key in tensors if homes[key] == name}
        (folder / name).write_bytes(torch_files.save_zip(part))
    write_json(folder / "pytorch_model.bin.index.json", {"weight_map": homes})
    (folder / "model.safetensors").unlink()
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(folder))


def test_safetensors_come_before_pickles(tiny_model: Any, folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"not even a pickle")
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(folder))


def test_one_file_by_its_path(tiny_model: Any, folder: Path) -> None:
    path = (folder / "model.safetensors").rename(folder / "epoch-3.safetensors")
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(path))


def test_a_subfolder(tiny_model: Any, folder: Path) -> None:
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(folder.parent, subfolder=folder.name))


def test_old_names_of_the_weight_norm(tiny_model: Any, folder: Path) -> None:
    def rename(tensors: dict[str, np.ndarray]) -> None:
        for new, old in (("original0", "weight_g"), ("original1", "weight_v")):
            tensors[f"{WEIGHT_NORM}.{old}"] = tensors.pop(f"{WEIGHT_NORM}.parametrizations.weight.{new}")

    change(folder, rename)
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(folder))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_files_of_other_dtypes_become_float32(tiny_model: Any, folder: Path, dtype: str) -> None:
    change(
        folder, lambda tensors: tensors.update({key: array.astype(dtype) for key, array in tensors.items()})
    )
    model = TFWav2Vec2ForCTC.from_pretrained(folder)
    for name, array in values(tiny_model).items():
        np.testing.assert_array_equal(values(model)[name], array.astype(dtype).astype("float32"))


def test_dtypes_and_policies(tiny_model: Any, tiny_folder: Path, tmp_path: Path) -> None:
    mixed = TFWav2Vec2ForCTC.from_pretrained(tiny_folder, dtype="mixed_bfloat16")
    assert mixed.compute_dtype == "bfloat16"
    assert_same(tiny_model, mixed)
    half = TFWav2Vec2ForCTC.from_pretrained(tiny_folder, dtype="bfloat16")
    assert half.lm_head.kernel.dtype == "bfloat16"
    half.save_pretrained(tmp_path)
    assert read_json(tmp_path / "config.json")["dtype"] == "bfloat16"
    with safe_open(tmp_path / "model.safetensors", "np") as file:
        assert file.get_slice("lm_head.weight").get_dtype() == "BF16"
    assert_same(half, TFWav2Vec2ForCTC.from_pretrained(tmp_path, dtype="bfloat16"))


# --- heads, and what does not fit ---------------------------------------------------------------------------------------


def test_a_bare_model_from_a_file_with_a_head(tiny_model: Any, tiny_folder: Path) -> None:
    assert_same(tiny_model.wav2vec2, TFWav2Vec2Model.from_pretrained(tiny_folder))


def test_a_new_head_on_a_bare_file(tiny_model: Any, tmp_path: Path) -> None:
    tiny_model.wav2vec2.save_pretrained(tmp_path)
    assert "masked_spec_embed" in load_file(tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"missing: lm_head\.\w+, lm_head\.\w+\n.*strict=False"):
        TFWav2Vec2ForCTC.from_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"in part.*\n  missing: lm_head\.\w+, lm_head\.\w+"):
        model = TFWav2Vec2ForCTC.from_pretrained(tmp_path, strict=False, vocab_size=40)
    assert_same(tiny_model.wav2vec2, model.wav2vec2)
    kernel = values(model)["lm_head.kernel"]
    assert kernel.shape == (16, 40)
    assert np.std(kernel) == pytest.approx(model.config.initializer_range, rel=0.2)
    assert not values(model)["lm_head.bias"].any()


def test_a_file_of_a_pretraining_model(folder: Path) -> None:
    def edit(tensors: dict[str, np.ndarray]) -> None:
        del tensors["lm_head.weight"], tensors["lm_head.bias"]
        tensors["quantizer.codevectors"] = np.zeros((1, 4, 2), np.float32)

    change(folder, edit)
    with pytest.raises(ValueError, match=r"missing: lm_head.*\n  not expected: quantizer\.codevectors"):
        TFWav2Vec2ForCTC.from_pretrained(folder)
    with pytest.warns(UserWarning, match=r"not expected: quantizer\.codevectors"):
        TFWav2Vec2ForCTC.from_pretrained(folder, strict=False)
    TFWav2Vec2Model.from_pretrained(folder)


@pytest.mark.parametrize("headed", [True, False], ids=["another head", "bare file"])
def test_fine_tuning_begins_with_a_new_head_and_no_warning(
    tiny_model: Any, folder: Path, headed: bool
) -> None:
    if headed:
        change(
            folder, lambda tensors: tensors.update({"quantizer.codevectors": np.zeros((1, 4, 2), np.float32)})
        )
    else:
        tiny_model.wav2vec2.save_pretrained(folder)
    model = TFWav2Vec2ForCTC.from_pretrained(folder, strict="backbone", vocab_size=40)
    assert_same(tiny_model.wav2vec2, model.wav2vec2)
    assert np.std(values(model)["lm_head.kernel"]) == pytest.approx(0.02, rel=0.2)


@pytest.mark.parametrize("headed", [True, False], ids=["another head", "bare file"])
def test_a_new_head_excuses_nothing_in_the_backbone(tiny_model: Any, folder: Path, headed: bool) -> None:
    prefix = "wav2vec2." if headed else ""
    if not headed:
        tiny_model.wav2vec2.save_pretrained(folder)

    def edit(tensors: dict[str, np.ndarray]) -> None:
        del tensors[f"{prefix}encoder.layer_norm.weight"]
        tensors[f"{prefix}encoder.stranger"] = np.zeros(3, np.float32)

    change(folder, edit)
    with pytest.raises(
        ValueError, match=r"missing: \S*encoder.layer_norm.weight\n.*expected: \S*encoder.stranger"
    ):
        TFWav2Vec2ForCTC.from_pretrained(folder, strict="backbone", vocab_size=40)


def test_everything_that_does_not_fit_is_listed(folder: Path) -> None:
    def edit(tensors: dict[str, np.ndarray]) -> None:
        del tensors["wav2vec2.encoder.layer_norm.weight"]
        tensors["stranger"] = np.zeros(3, np.float32)
        tensors["lm_head.bias"] = np.zeros(7, np.float32)

    change(folder, edit)
    with pytest.raises(ValueError, match=r"model\.safetensors are not those of TFWav2Vec2ForCTC") as caught:
        TFWav2Vec2ForCTC.from_pretrained(folder)
    lines = str(caught.value).splitlines()
    assert lines[1:4] == [
        "  missing: wav2vec2.encoder.layer_norm.weight",
        "  not expected: stranger",
        "  of another shape: lm_head.bias (file (7,), model (10,))",
    ]


def test_other_shapes_need_their_own_leave(tiny_model: Any, tiny_folder: Path) -> None:
    for strict in (True, False):
        with pytest.raises(ValueError, match=r"of another shape: lm_head.*\n.*ignore_mismatched_sizes=True"):
            TFWav2Vec2ForCTC.from_pretrained(tiny_folder, vocab_size=40, strict=strict)
    with pytest.warns(UserWarning, match=r"of another shape: lm_head"):
        model = TFWav2Vec2ForCTC.from_pretrained(tiny_folder, vocab_size=40, ignore_mismatched_sizes=True)
    assert_same(tiny_model.wav2vec2, model.wav2vec2)
    assert np.std(values(model)["lm_head.kernel"]) == pytest.approx(0.02, rel=0.2)


def test_a_transposed_matrix_is_another_shape(folder: Path) -> None:
    key = "lm_head.weight"
    change(folder, lambda tensors: tensors.update({key: np.ascontiguousarray(tensors[key].T)}))
    with pytest.raises(ValueError, match=r"lm_head\.weight \(file \(16, 10\), model \(10, 16\)\)"):
        TFWav2Vec2ForCTC.from_pretrained(folder)


def test_a_model_that_was_never_masked(
    tiny_model: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Published models lack the embedding that only SpecAugment reads."""
    change(folder, lambda tensors: tensors.pop(EMBEDDING))
    with caplog.at_level(logging.INFO, "tfwav2vec2"):
        model = TFWav2Vec2ForCTC.from_pretrained(folder)
    assert f"missing: {EMBEDDING}" in caplog.text
    drawn = values(model).pop(EMBEDDING)
    assert np.unique(drawn).size == drawn.size
    assert ((drawn >= 0) & (drawn < 1)).all()
    named_variables(model)[EMBEDDING].assign(values(tiny_model)[EMBEDDING])
    assert_same(tiny_model, model)


def test_a_model_that_is_no_longer_masked(tiny_model: Any, tiny_folder: Path) -> None:
    """Fine-tuning without SpecAugment, from a file that has its embedding."""
    model = TFWav2Vec2ForCTC.from_pretrained(tiny_folder, mask_time_prob=0.0, mask_feature_prob=0.0)
    left = values(tiny_model)
    assert EMBEDDING in left
    assert values(model).keys() == left.keys() - {EMBEDDING}


def test_layers_that_the_file_lacks(tiny_model: Any, tiny_folder: Path) -> None:
    with pytest.warns(UserWarning, match=r"missing: wav2vec2\.encoder\.layers\.1\."):
        model = TFWav2Vec2ForCTC.from_pretrained(tiny_folder, num_hidden_layers=3, strict=False)
    first, *others = (np.array(layer.attention.q_proj.kernel) for layer in model.wav2vec2.encoder.layers)
    np.testing.assert_array_equal(first, tiny_model.wav2vec2.encoder.layers[0].attention.q_proj.kernel)
    for kernel in others:
        assert np.std(kernel) == pytest.approx(0.02, rel=0.3)


def test_nothing_is_drawn_at_random(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("a weight was drawn at random")

    for name in ("RandomNormal", "RandomUniform", "VarianceScaling"):
        monkeypatch.setattr(getattr(keras.initializers, name), "__call__", fail)
    with pytest.raises(AssertionError, match="drawn"):
        TFWav2Vec2ForCTC(Wav2Vec2Config.from_pretrained(tiny_folder))
    TFWav2Vec2ForCTC.from_pretrained(tiny_folder)


# --- configuration ------------------------------------------------------------------------------------------------------


def test_fields_to_override(tiny_folder: Path) -> None:
    model = TFWav2Vec2ForCTC.from_pretrained(tiny_folder, ctc_loss_reduction="mean", pad_token_id=3)
    assert (model.config.ctc_loss_reduction, model.config.pad_token_id) == ("mean", 3)
    assert model.config.name_or_path == str(tiny_folder)


def test_a_configuration_of_ones_own(tiny_config: Wav2Vec2Config, tiny_folder: Path, tmp_path: Path) -> None:
    model = TFWav2Vec2ForCTC.from_pretrained(tiny_folder, config=tiny_config, layerdrop=0.5)
    assert (model.config.layerdrop, tiny_config.layerdrop) == (0.5, 0.1)
    tiny_config.save_pretrained(tmp_path)
    assert TFWav2Vec2ForCTC.from_pretrained(tiny_folder, config=tmp_path).config.vocab_size == 10


def test_an_option_that_does_not_exist(tiny_folder: Path) -> None:
    with pytest.raises(TypeError, match="got vocab_sise: neither an option of its own nor a field"):
        TFWav2Vec2ForCTC.from_pretrained(tiny_folder, vocab_sise=7)


def test_a_configuration_far_too_large_for_its_file(folder: Path) -> None:
    for field, size in {
        "num_hidden_layers": 10**9,
        "vocab_size": 10**12,
        "intermediate_size": 10**10,
    }.items():
        with pytest.raises(
            ValueError, match=r"describes a model of [\d,]+ weights .*model\.safetensors holds"
        ):
            TFWav2Vec2ForCTC.from_pretrained(folder, strict=False, **{field: size})


# --- bad folders --------------------------------------------------------------------------------------------------------


def test_a_folder_without_a_config(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
        TFWav2Vec2ForCTC.from_pretrained(folder)


def test_a_folder_without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"has a config\.json but no weights") as caught:
        TFWav2Vec2ForCTC.from_pretrained(folder)
    assert str(folder) in str(caught.value)


def test_a_truncated_file(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged .*; download or save it again"):
        TFWav2Vec2ForCTC.from_pretrained(folder)


def test_one_of_several_files_is_gone(tiny_model: Any, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path, max_shard_size="4KB")
    gone = next(tmp_path.glob("model-00002-*"))
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=gone.name):
        TFWav2Vec2ForCTC.from_pretrained(tmp_path)


# --- into a model that exists -------------------------------------------------------------------------------------------


def test_load_checkpoint(tiny_model: Any, tiny_config: Wav2Vec2Config, folder: Path) -> None:
    model = TFWav2Vec2ForCTC(tiny_config)
    before = values(model)
    change(folder, lambda tensors: tensors.pop("lm_head.bias"))
    with pytest.raises(ValueError, match=r"missing: lm_head\.bias"):
        model.load_checkpoint(folder / "model.safetensors")
    for name, array in values(model).items():
        np.testing.assert_array_equal(array, before[name])
    model.lm_head.bias.assign(np.ones(10))
    with pytest.warns(UserWarning, match=r"missing: lm_head\.bias"):
        model.load_checkpoint(folder / "model.safetensors", strict=False)
    np.testing.assert_array_equal(model.lm_head.bias, np.ones(10))
    model.lm_head.bias.assign(tiny_model.lm_head.bias)
    assert_same(tiny_model, model)
