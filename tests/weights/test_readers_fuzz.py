"""Damaged files: whatever happened to the bytes, the answer is a checkpoint or a ``CheckpointError``."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tests.weights.formats import torch_files
from tfwav2vec2.weights.checkpoint import damage_reported
from tfwav2vec2.weights.formats.torch_pickle import read_pickle
from tfwav2vec2.weights.readers import CheckpointError, open_checkpoint

ARRAYS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.float16([1, 2, 3]),
    "steps": np.array(7, np.int64),
}
FILES: dict[str, tuple[str, Callable[[dict[str, np.ndarray]], bytes]]] = {
    "safetensors": ("model.safetensors", save),
    "zip": ("pytorch_model.bin", torch_files.save_zip),
    "legacy": ("pytorch_model.bin", torch_files.save_legacy),
}
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_or_refuse(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    refusal = f"{path}"
    try:
        with open_checkpoint(path) as checkpoint:
            for key, shape in checkpoint.shapes.items():
                assert checkpoint.read(key).shape == shape
    except CheckpointError as error:
        refusal = str(error)
    assert str(path) in refusal
    assert "\n" not in refusal


@pytest.mark.parametrize("kind", sorted(FILES))
@FUZZ
@given(data=st.data())
def test_flipped_bytes(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    name, make = FILES[kind]
    content = bytearray(make(ARRAYS))
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=8)):
        content[place] = value
    read_or_refuse(tmp_path / name, bytes(content))


@pytest.mark.parametrize("kind", sorted(FILES))
@FUZZ
@given(data=st.data())
def test_parts_cut_repeated_and_moved(tmp_path: Path, kind: str, data: st.DataObject) -> None:
    name, make = FILES[kind]
    content = make(ARRAYS)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), min_size=2, max_size=6)))
    parts = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    order = data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=8))
    read_or_refuse(tmp_path / name, b"".join(parts[index] for index in order))


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        read_or_refuse(tmp_path / name, content)


# Instructions that work on what is there, so that random programs get somewhere.
PIECES = [
    *(bytes([code]) for code in b"()}]N\x88t\x85\x86\x87RQbsuaeld\x93\x94"),
    *(b"K\x01", b"X\x01\x00\x00\x00a", b"q\x00", b"h\x00", b"G" + bytes(8)),
    *(b"ctorch\nFloatStorage\n", b"ctorch\nSize\n", b"ctorch._utils\n_rebuild_tensor_v2\n"),
    b"ccollections\nOrderedDict\n",
]


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_any_program(program: list[bytes]) -> None:
    path = Path("x.bin")
    refusal = ""
    try:
        with damage_reported(path):
            read_pickle(io.BytesIO(b"".join(program) + b"."), path)
    except CheckpointError as error:
        refusal = str(error)
    assert "\n" not in refusal
