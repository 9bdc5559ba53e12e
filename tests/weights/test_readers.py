"""Checkpoints of every kind: safetensors, several files with an index, and files that are none."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from tests.weights.formats import torch_files
from tfwav2vec2.weights.readers import CheckpointError, open_checkpoint

ARRAYS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.float16([1, 2, 3]),
    "b": np.array([1.5, -2.0], ml_dtypes.bfloat16),
    "steps": np.array(7, np.int64),
    "empty": np.zeros((0, 3), np.float32),
}


def read_all(path: Path) -> dict[str, np.ndarray]:
    with open_checkpoint(path) as checkpoint:
        tensors = {key: checkpoint.read(key) for key in checkpoint.shapes}
        assert {key: checkpoint.dtype(key) for key in tensors} == {
            key: array.dtype for key, array in tensors.items()
        }
        return tensors


def assert_same(tensors: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert tensors.keys() == expected.keys()
    for key, array in expected.items():
        assert tensors[key].dtype == array.dtype
        assert tensors[key].shape == array.shape
        np.testing.assert_array_equal(tensors[key], array)


def write_shards(folder: Path, index: Any) -> Path:
    save_file({key: ARRAYS[key] for key in ("a.weight", "a.bias")}, folder / "model-1.safetensors")
    save_file({key: ARRAYS[key] for key in ("b", "steps")}, folder / "model-2.safetensors")
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return path


HOMES = {
    "a.weight": "model-1.safetensors",
    "a.bias": "model-1.safetensors",
    "b": "model-2.safetensors",
    "steps": "model-2.safetensors",
}


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file(ARRAYS, path, metadata={"format": "pt"})
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.shapes == {key: array.shape for key, array in ARRAYS.items()}
    assert_same(read_all(path), ARRAYS)


def test_several_files(tmp_path: Path) -> None:
    path = write_shards(tmp_path, {"metadata": {"total_size": 1}, "weight_map": HOMES})
    assert_same(read_all(path), {key: ARRAYS[key] for key in HOMES})


def test_several_files_of_torch(tmp_path: Path) -> None:
    arrays = {key: ARRAYS[key] for key in ("a.weight", "a.bias", "steps")}
    for key, array in arrays.items():
        (tmp_path / f"{key}.bin").write_bytes(torch_files.save_zip({key: array}))
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": {key: f"{key}.bin" for key in arrays}}))
    assert_same(read_all(path), arrays)


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(save(ARRAYS))
    assert_same(read_all(path), ARRAYS)


@pytest.mark.parametrize(
    "name",
    [
        "../model-1.safetensors",
        "/etc/passwd",
        "a/b.bin",
        "a\\b.bin",
        "C:\\b.bin",
        "..",
        "",
        3,
        None,
        "x.json",
    ],
)
def test_an_index_that_leads_elsewhere(tmp_path: Path, name: Any) -> None:
    path = write_shards(tmp_path, {"weight_map": HOMES | {"b": name}})
    with pytest.raises(CheckpointError, match=r"model\.safetensors\.index\.json is not the index"):
        read_all(path)


@pytest.mark.parametrize("index", [{}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": None}])
def test_an_index_without_a_map(tmp_path: Path, index: Any) -> None:
    with pytest.raises(CheckpointError, match="is not the index"):
        read_all(write_shards(tmp_path, index))


@pytest.mark.parametrize(
    "homes",
    [
        HOMES | {"c": "model-1.safetensors"},
        HOMES | {"b": "model-1.safetensors"},
        {"a.weight": "model-1.safetensors"},
    ],
)
def test_an_index_that_disagrees_with_its_files(tmp_path: Path, homes: dict[str, str]) -> None:
    with pytest.raises(CheckpointError, match="disagree"):
        read_all(write_shards(tmp_path, {"weight_map": homes}))


def test_a_missing_file(tmp_path: Path) -> None:
    path = write_shards(tmp_path, {"weight_map": HOMES})
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"model-2\.safetensors; check the path"):
        read_all(path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git lfs pull"),
        (b"<!doctype html><html>404</html>", "is damaged or is not a checkpoint"),
        (bytes(100), "is damaged or is not a checkpoint"),
        (b"\x80", "is damaged or is not a checkpoint"),
        (b"PK\x03\x04", "is damaged or is not a checkpoint"),
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def header(entries: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + data


TEN_GIGABYTES = 10**10
LIES = {
    "a long header": struct.pack("<Q", TEN_GIGABYTES) + b"{}",
    "an endless header": struct.pack("<Q", 2**64 - 1) + b"{}",
    "ten gigabytes": header(
        {"a": {"dtype": "F32", "shape": [TEN_GIGABYTES // 4], "data_offsets": [0, TEN_GIGABYTES]}},
        bytes(1000),
    ),
    "a large shape": header({"a": {"dtype": "F32", "shape": [100, 100], "data_offsets": [0, 48]}}, bytes(48)),
    "a small shape": header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 48]}}, bytes(48)),
    "an overflow": header(
        {"a": {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 48]}}, bytes(48)
    ),
    "a negative shape": header({"a": {"dtype": "F32", "shape": [-12], "data_offsets": [0, 48]}}, bytes(48)),
    "turned offsets": header({"a": {"dtype": "F32", "shape": [12], "data_offsets": [48, 0]}}, bytes(48)),
    "an overlap": header(
        {
            "a": {"dtype": "F32", "shape": [12], "data_offsets": [0, 48]},
            "b": {"dtype": "F32", "shape": [12], "data_offsets": [0, 48]},
        },
        bytes(48),
    ),
    "a hole": header({"a": {"dtype": "F32", "shape": [4], "data_offsets": [32, 48]}}, bytes(48)),
    "no dtype": header({"a": {"dtype": "F99", "shape": [12], "data_offsets": [0, 48]}}, bytes(48)),
    "deep json": struct.pack("<Q", 100_000) + b"[" * 100_000,
}


@pytest.mark.parametrize("kind", sorted(LIES))
def test_safetensors_that_lie(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(LIES[kind])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged") as caught:
        read_all(path)
    assert "\n" not in str(caught.value)


def test_a_dtype_that_is_not_supported(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(header({"a": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}, bytes(4)))
    with pytest.raises(CheckpointError, match="holds a as F8_E4M3; save the model in float32"):
        read_all(path)


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for content in (save(ARRAYS), torch_files.save_legacy({"a": ARRAYS["a.weight"]})):
        for size in range(len(content)):
            path.write_bytes(content[:size])
            with pytest.raises(CheckpointError):
                read_all(path)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path, name: str) -> None:
    arrays = {f"a{index}": np.full((2**18,), index, np.float32) for index in range(16)}
    size = arrays["a0"].nbytes
    path = tmp_path / name
    path.write_bytes(save(arrays) if name.endswith("safetensors") else torch_files.save_zip(arrays))
    with open_checkpoint(path) as checkpoint:
        tracemalloc.start()
        try:
            for key in checkpoint.shapes:
                checkpoint.read(key)
            assert tracemalloc.get_traced_memory()[1] < 3 * size
        finally:
            tracemalloc.stop()
