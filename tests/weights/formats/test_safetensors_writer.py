"""Safetensors files written tensor by tensor: the library reads them, and nothing is held or lost on the way."""

from __future__ import annotations

import json
import struct
import tracemalloc
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import load_file

from tfwav2vec2.weights.checkpoint import LazyTensor
from tfwav2vec2.weights.formats.safetensors_writer import write_safetensors
from tfwav2vec2.weights.readers import open_checkpoint

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def lazy(array: np.ndarray) -> LazyTensor:
    return LazyTensor(array.shape, array.dtype, lambda: array)


def write(path: Path, tensors: dict[str, np.ndarray]) -> None:
    write_safetensors(path, {name: lazy(array) for name, array in tensors.items()})


def header_of(path: Path) -> tuple[dict, int]:
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + size]), 8 + size


def random_bits(shape: tuple[int, ...], dtype: str, seed: int) -> np.ndarray:
    """An array of any bits, NaNs of every kind among them."""
    itemsize = np.dtype(dtype).itemsize
    bits = np.random.default_rng(seed).integers(
        0, 2 if dtype == "bool" else 256, (*shape, itemsize), np.uint8
    )
    return bits.view(dtype).reshape(shape)


@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(
            lambda name: name != "__metadata__"
        ),
        st.tuples(arrays.array_shapes(min_dims=0, min_side=0, max_side=5), st.sampled_from(DTYPES)),
        max_size=8,
    ),
    st.integers(0, 99),
)
def test_the_library_reads_what_was_written(tmp_path_factory, described, seed) -> None:
    path = tmp_path_factory.mktemp("written") / "model.safetensors"
    tensors = {name: random_bits(shape, dtype, seed) for name, (shape, dtype) in described.items()}
    write(path, tensors)
    loaded = load_file(path)
    assert loaded.keys() == tensors.keys()
    for name, array in tensors.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()
    header, start = header_of(path)
    assert start % 8 == 0
    assert header.pop("__metadata__") == {"format": "pt"}
    for name, entry in header.items():
        assert entry["data_offsets"][0] % max(1, tensors[name].dtype.itemsize) == 0


def test_arrays_that_do_not_lie_in_order(tmp_path: Path) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    write(tmp_path / "a", {"turned": array.T, "skipped": array[:, ::2]})
    loaded = load_file(tmp_path / "a")
    np.testing.assert_array_equal(loaded["turned"], array.T)
    np.testing.assert_array_equal(loaded["skipped"], array[:, ::2])


def test_torch_reads_bfloat16(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch

    tensors = {
        "a": np.array([1.5, -2.0, 3.0], ml_dtypes.bfloat16),
        "b": np.array([7.0], np.float32),
        "c": np.array([True]),
    }
    write(tmp_path / "a", tensors)
    loaded = load_torch(tmp_path / "a")
    assert loaded["a"].dtype == torch.bfloat16
    assert loaded["a"].tolist() == [1.5, -2.0, 3.0]
    assert loaded["b"].tolist() == [7.0]


def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path) -> None:
    size = 2**20
    tensors = {
        f"a{index}": LazyTensor(
            (size // 4,), np.dtype(np.float32), partial(np.full, (size // 4,), 1, np.float32)
        )
        for index in range(16)
    }
    tracemalloc.start()
    try:
        write_safetensors(tmp_path / "a", tensors)
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()
    with open_checkpoint(tmp_path / "a") as checkpoint:
        assert len(checkpoint.shapes) == 16


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    write(path, {"a": np.ones(3)})
    before = path.read_bytes()

    def fail() -> np.ndarray:
        raise OSError("the disk is gone")

    good = lazy(np.ones(5))
    with pytest.raises(OSError, match="the disk is gone"):
        write_safetensors(path, {"a": good, "b": LazyTensor((5,), np.dtype("float64"), fail)})
    with pytest.raises(ValueError, match=r"b is float64 \(5,\), where float32 \(5,\) was announced"):
        write_safetensors(path, {"a": good, "b": LazyTensor((5,), np.dtype("float32"), good.read)})
    with pytest.raises(ValueError, match="b has the dtype complex64, which safetensors files cannot hold"):
        write(path, {"a": np.ones(5), "b": np.ones(2, np.complex64)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
