"""Torch's files written without torch: aligned, the same each time, and read back bit for bit."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfwav2vec2.weights.checkpoint import LazyTensor
from tfwav2vec2.weights.formats import torch_writer
from tfwav2vec2.weights.formats.torch_writer import write_torch
from tfwav2vec2.weights.readers import open_checkpoint

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def lazy(array: np.ndarray) -> LazyTensor:
    return LazyTensor(array.shape, array.dtype, lambda: array)


def read_back(path: Path) -> dict[str, np.ndarray]:
    with open_checkpoint(path) as checkpoint:
        return {key: checkpoint.read(key) for key in checkpoint.shapes}


def check_equal(read: dict[str, np.ndarray], written: dict[str, np.ndarray]) -> None:
    assert list(read) == list(written)
    for key, array in written.items():
        assert read[key].shape == array.shape
        assert read[key].dtype == array.dtype
        assert read[key].tobytes() == array.tobytes()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20).filter(lambda key: key.isprintable()),
        st.sampled_from(DTYPES).flatmap(
            lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0))
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    path = tmp_path / "pytorch_model.bin"
    write_torch(path, {key: lazy(array) for key, array in tensors.items()})
    check_equal(read_back(path), tensors)


def test_bfloat16_and_memory_in_another_order(tmp_path: Path) -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    tensors = {"turned": matrix.T, "part": matrix[:, 1::2], "bfloat16": matrix.astype(ml_dtypes.bfloat16)}
    write_torch(tmp_path / "model.pt", {key: lazy(array) for key, array in tensors.items()})
    check_equal(read_back(tmp_path / "model.pt"), tensors)


def test_big_endian_numbers(tmp_path: Path) -> None:
    array = np.arange(5, dtype=">f4")
    write_torch(tmp_path / "model.pt", {"a": lazy(array)})
    np.testing.assert_array_equal(read_back(tmp_path / "model.pt")["a"], array)


@pytest.mark.parametrize("large", [False, True])
def test_every_storage_is_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """Also behind the longer headers of entries of many gigabytes."""
    if large:
        monkeypatch.setattr(torch_writer, "_LARGE", 8)
    path = tmp_path / "model.pt"
    tensors = {f"t{size}": np.arange(size, dtype=np.float16) for size in range(40)}
    write_torch(path, {key: lazy(array) for key, array in tensors.items()})
    content = path.read_bytes()
    for index, array in enumerate(tensors.values()):
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(f"archive/data/{index}")
        names, extras = content[entry.header_offset + 26], content[entry.header_offset + 28]
        start = entry.header_offset + 30 + names + extras
        assert start % 64 == 0
        assert content[start : start + array.nbytes] == array.tobytes()
    check_equal(read_back(path), tensors)


def test_the_same_tensors_give_the_same_file(tmp_path: Path) -> None:
    tensors = {"a": lazy(np.arange(3)), "b": lazy(np.ones((2, 2)))}
    for name in ("one.bin", "two.bin"):
        write_torch(tmp_path / name, tensors)
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "two.bin").read_bytes()


def test_one_tensor_at_a_time(tmp_path: Path) -> None:
    size = 2**20

    def make() -> np.ndarray:
        return np.zeros(size, np.float32)

    tensors = {str(index): LazyTensor((size,), np.dtype(np.float32), make) for index in range(8)}
    tracemalloc.start()
    try:
        write_torch(tmp_path / "model.bin", tensors)
        assert tracemalloc.get_traced_memory()[1] < 1.5 * 4 * size
    finally:
        tracemalloc.stop()
    assert (tmp_path / "model.bin").stat().st_size > 8 * 4 * size


def fails() -> np.ndarray:
    raise OSError("the disk is gone")


@pytest.mark.parametrize(
    ("tensor", "error", "message"),
    [
        (LazyTensor((2,), np.dtype(np.float32), fails), OSError, "the disk is gone"),
        (LazyTensor((2,), np.dtype(np.float32), lambda: np.zeros(3, np.float32)), ValueError, "announced as"),
        (LazyTensor((2,), np.dtype(np.float32), lambda: np.zeros(2)), ValueError, "announced as"),
        (LazyTensor((2,), np.dtype(np.uint16), lambda: np.zeros(2, np.uint16)), ValueError, "uint16"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, tensor: LazyTensor, error: type[Exception], message: str
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(error, match=message):
        write_torch(path, {"fine": lazy(np.zeros(3)), "a": tensor})
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_model(tmp_path: Path, tiny_model: Any) -> None:
    from tfwav2vec2.weights.variables import tensors

    path = tmp_path / "pytorch_model.bin"
    written = tensors(tiny_model)
    write_torch(path, written)
    check_equal(read_back(path), {key: tensor.read() for key, tensor in written.items()})
