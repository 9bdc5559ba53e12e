"""The Flax classes' files without Flax: right tensors from honest files, one clear error from all others."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save

from tests.weights.formats import torch_files
from tests.weights.formats.foreign_files import (
    assert_fill_alike,
    assert_holds,
    damaged,
    little_memory,
    read_or_refuse,
)
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.weights.checkpoint import CheckpointError
from tfwav2vec2.weights.formats.flax_reader import FlaxCheckpoint, is_flax, torch_key
from tfwav2vec2.weights.formats.safetensors_reader import SafetensorsCheckpoint

GOLDENS = Path(__file__).parents[2] / "goldens" / "flax_files"
KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.mark.parametrize(
    ("folder", "same_as"), [("model", "model"), ("ctc", "ctc"), ("ctc_chunked", "ctc"), ("pretraining", "pretraining")]
)  # fmt: skip
def test_reads_what_the_flax_classes_wrote(folder: str, same_as: str) -> None:
    path = GOLDENS / folder / "flax_model.msgpack"
    assert is_flax(path.read_bytes()[:16])
    with FlaxCheckpoint(path) as checkpoint:
        assert_holds(checkpoint, load_file(GOLDENS / same_as / "model.safetensors"))


def test_reads_half_precision() -> None:
    expected = load_file(GOLDENS / "ctc" / "model.safetensors")
    with FlaxCheckpoint(GOLDENS / "ctc_bfloat16" / "flax_model.msgpack") as checkpoint:
        assert_holds(checkpoint, {key: array.astype(ml_dtypes.bfloat16) for key, array in expected.items()})


def test_reads_one_in_several_files() -> None:
    folder = GOLDENS / "ctc_in_parts"
    homes = json.loads((folder / "flax_model.msgpack.index.json").read_text())["weight_map"]
    expected = load_file(GOLDENS / "ctc" / "model.safetensors")
    assert {torch_key(name) for name in homes} == set(expected)
    for part in sorted(set(homes.values())):
        with FlaxCheckpoint(folder / part) as checkpoint:
            keys = {torch_key(name) for name, home in homes.items() if home == part}
            assert_holds(checkpoint, {key: expected[key] for key in keys})


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("ctc", "TFWav2Vec2ForCTC"),
        ("model", "TFWav2Vec2Model"),
        ("pretraining", "TFWav2Vec2Model"),
        ("pretraining", "TFWav2Vec2ForPreTraining"),
    ],
)
def test_a_model_takes_the_same_weights_as_from_the_torch_file(folder: str, name: str) -> None:
    config = Wav2Vec2Config(**json.loads((GOLDENS / folder / "config.json").read_text()))
    with (
        FlaxCheckpoint(GOLDENS / folder / "flax_model.msgpack") as foreign,
        SafetensorsCheckpoint(GOLDENS / folder / "model.safetensors") as torch,
    ):
        assert_fill_alike(name, config, foreign, torch)


def test_other_kinds_of_file_are_told_apart() -> None:
    arrays = {"a.weight": KERNEL}
    for content in (
        save(arrays),
        torch_files.save_zip(arrays),
        torch_files.save_legacy(arrays),
        b"\x89HDF\r\n\x1a\n",
    ):
        assert not is_flax(content[:26])
    # The length of this header begins with bytes that could open a map and a name.
    assert not is_flax(struct.pack("<Q", 0xA581) + b'{"a":{"dtype":"F32"')
    assert not is_flax(b"")


# MessagePack, in its longest forms, and wherever a test wants it to lie.
def text(value: str) -> bytes:
    return b"\xdb" + struct.pack(">I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"\xcf" + struct.pack(">Q", value)


def table(entries: dict[str, bytes], count: int | None = None) -> bytes:
    size = len(entries) if count is None else count
    return b"\xdf" + struct.pack(">I", size) + b"".join(text(name) + value for name, value in entries.items())


def array(
    value: np.ndarray, dtype: str = "", shape: tuple[int, ...] | None = None, size: int | None = None, code: int = 1,
    length: int | None = None, extra: bytes = b"",
) -> bytes:  # fmt: skip
    """An array as Flax packs it, by default as it is."""
    axes = value.shape if shape is None else shape
    body = b"\x93\xdd" + struct.pack(">I", len(axes)) + b"".join(map(number, axes))
    body += text(dtype or value.dtype.name) + b"\xc6"
    body += struct.pack(">I", value.nbytes if size is None else size) + value.tobytes() + extra
    return b"\xc9" + struct.pack(">IB", len(body) if length is None else length, code) + body


def chunked(value: np.ndarray, step: int, **changes: bytes) -> bytes:
    chunks = {str(i): array(value.ravel()[i * step : (i + 1) * step]) for i in range(-(-value.size // step))}
    shape = table({str(axis): number(size) for axis, size in enumerate(value.shape)})
    parts = {"__msgpack_chunked_array__": b"\xc3", "shape": shape, "chunks": table(chunks)}
    return table(parts | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flax_model.msgpack"


def test_names_and_layouts(path: Path) -> None:
    cube = np.arange(24, dtype=np.float16).reshape(2, 3, 4)
    conv = {"weight_g": array(cube), "weight_v": array(cube), "bias": array(KERNEL[0])}
    content = {
        "conv": table({"kernel": array(cube)}),
        "pos": table({"conv": table(conv)}),
        "norm": table({"scale": array(KERNEL[0])}),
        "quantizer": table({"codevectors": array(KERNEL)}),
        "stranger": table({"kernel_of_nothing": array(np.int64(7))}),
        "joined": table({"kernel": chunked(KERNEL, 5)}),
    }
    path.write_bytes(table(content))
    with FlaxCheckpoint(path) as checkpoint:
        assert_holds(
            checkpoint,
            {
                "conv.weight": cube.T.copy(),
                "pos.conv.parametrizations.weight.original0": cube,
                "pos.conv.parametrizations.weight.original1": cube,
                "pos.conv.bias": KERNEL[0],
                "norm.weight": KERNEL[0],
                "quantizer.codevectors": KERNEL,
                "stranger.kernel_of_nothing": np.array(7),
                "joined.weight": KERNEL.T.copy(),
            },
        )


def test_a_name_in_an_index() -> None:
    assert (
        torch_key("wav2vec2/encoder/layers/0/layer_norm/scale")
        == "wav2vec2.encoder.layers.0.layer_norm.weight"
    )
    assert torch_key("lm_head/kernel") == "lm_head.weight"


def nested(depth: int) -> bytes:
    return b"\x81\xa1a" * depth + array(KERNEL)


HOSTILE: dict[str, tuple[bytes, str]] = {
    "ten gigabytes in the array": (table({"a": array(KERNEL, shape=(5 * 10**4, 5 * 10**4), size=2**32 - 1)}), "size"),
    "ten gigabytes in the shape": (table({"a": array(KERNEL, shape=(5 * 10**4, 5 * 10**4))}), "size is not that of"),
    "a shape that overflows": (table({"a": array(KERNEL, shape=(2**63, 2**63, 2))}), "size is not that of"),
    "a shape with more numbers": (table({"a": array(KERNEL, shape=(3, 5))}), "size is not that of its numbers"),
    "many axes": (table({"a": array(np.ones(1, "f4"), shape=(1,) * 40)}), "a list of 40 where"),
    "four gigabytes in the extension": (table({"a": array(KERNEL, length=2**32 - 1)}), "ends inside a tensor"),
    "a short extension": (table({"a": array(KERNEL, length=20)}), "size is not that of its numbers"),
    "a long extension": (table({"a": array(KERNEL, extra=b"more")}), "size is not that of its numbers"),
    "another extension": (table({"a": array(KERNEL, code=2)}), "extension of type 2, which is no array"),
    "a scalar of numpy's": (table({"a": array(KERNEL, code=3)}), "extension of type 3, which is no array"),
    "a time": (b"\x81\xa1a\xd6\xff\0\0\0\0", "extension of type 255, which is no array"),
    "complex numbers": (table({"a": array(np.ones(3, np.complex64))}), "a tensor as 'complex64'; save"),
    "objects": (table({"a": array(KERNEL, dtype="object")}), "a tensor as 'object'; save"),
    "a dtype of many": (table({"a": array(KERNEL, dtype="x" * 1000)}), "a text of 1000 where"),
    "an extension without an array": (b"\x81\xa1a\xd4\x01\x01", "a number of 1 where a list was expected"),
    "four billion entries": (table({"a": array(KERNEL)}, count=2**32 - 1), "ends too early"),
    "a deep nest": (nested(100_000), "more values than any checkpoint"),
    "a nest of lists": (b"\x81\xa1a" + b"\x91" * 100_000, "a list where an array was expected"),
    "many entries": (table({str(i): b"\x80" for i in range(50_000)}), "more values than any checkpoint"),
    "a long name": (table({"x" * 1000: array(KERNEL)}), "a text of 1000 where"),
    "a name that is no text": (b"\x81\xc4\x01a" + array(KERNEL), "a bytes of 1 where a text was expected"),
    "a number for a name": (b"\x81\x01" + array(KERNEL), "a number of 1 where a text was expected"),
    "a name that is no UTF-8": (b"\x81\xa1\xff" + array(KERNEL), "damaged"),
    "a name twice": (b"\x82\xa1a" + array(KERNEL) + b"\xa1a" + array(KERNEL), "holds 'a' twice"),
    "a key twice": (table({"a": table({"scale": array(KERNEL), "weight": array(KERNEL)})}), r"holds 'a\.weight' twice"),
    "text for an array": (table({"a": text("hello")}), "a text where an array was expected"),
    "a number for an array": (table({"a": table({"step": number(7)})}), "under 'a/step' a number"),
    "nothing for an array": (b"\x81\xa1a\xc0", "a value of the kind 0xc0"),
    "a float for an array": (b"\x81\xa1a\xcb" + bytes(8), "a value of the kind 0xcb"),
    "a byte that is never used": (b"\x81\xa1a\xc1", "a value of the kind 0xc1"),
    "two values": (table({"a": array(KERNEL)}) * 2, "goes on after its end"),
    "no map": (array(KERNEL), "not a map of names"),
    "chunks that are too few": (table({"a": chunked(KERNEL, 5, chunks=table({"0": array(KERNEL[0])}))}), "do not make it up"),
    "no chunks": (table({"a": chunked(KERNEL, 5, chunks=table({}))}), "do not make it up"),
    "chunks without a shape": (table({"a": chunked(KERNEL, 5, shape=array(KERNEL))}), "damaged"),
    "chunks of two kinds": (
        table({"a": chunked(KERNEL, 5, chunks=table({"0": array(KERNEL), "1": array(KERNEL.astype("f8"))}))}),
        "do not make it up",
    ),
    "chunks of numbers": (table({"a": chunked(KERNEL, 5, chunks=table({"0": number(1)}))}), "not made up of"),
    "chunks out of order": (table({"a": chunked(KERNEL, 5, chunks=table({"1": array(KERNEL)}))}), "damaged"),
    "a shape of arrays": (table({"a": chunked(KERNEL, 5, shape=table({"0": array(KERNEL)}))}), "not made up of"),
    "a shape of ten gigabytes": (
        table({"a": chunked(KERNEL, 5, shape=table({"0": number(5 * 10**4), "1": number(5 * 10**4)}))}),
        "do not make it up",
    ),
}  # fmt: skip


def refused(path: Path, match: str) -> None:
    with little_memory(2**24), pytest.raises(CheckpointError, match=match) as caught:
        FlaxCheckpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_what_no_checkpoint_holds(path: Path, kind: str) -> None:
    content, match = HOSTILE[kind]
    path.write_bytes(content)
    refused(path, match)


def test_a_truncated_file(path: Path) -> None:
    content = (GOLDENS / "ctc_chunked" / "flax_model.msgpack").read_bytes()
    for size in range(0, len(content), 37):
        path.write_bytes(content[:size])
        refused(path, "ends too early|ends inside a tensor")


def test_a_file_that_shrinks_after_it_was_opened(path: Path) -> None:
    content = table({"a": array(np.zeros(10_000, np.float32))})
    path.write_bytes(content)
    with FlaxCheckpoint(path) as checkpoint:
        path.write_bytes(content[:20_000])
        with pytest.raises(CheckpointError, match="ends inside a tensor"):
            checkpoint.read("a")


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("folder", ["ctc_chunked", "pretraining"])
@FUZZ
@given(data=st.data())
def test_damaged_bytes(tmp_path: Path, folder: str, data: st.DataObject) -> None:
    content = (GOLDENS / folder / "flax_model.msgpack").read_bytes()
    read_or_refuse(FlaxCheckpoint, tmp_path / "flax_model.msgpack", data.draw(damaged(content)))


# Heads of values, so that random bytes get somewhere.
PIECES: list[Any] = [
    *(bytes([code]) for code in (0x80, 0x81, 0x82, 0x93, 0xA1, 0xC1, 0xC3, 0xC4, 0xC7, 0xC8, 0xC9, 0xD4, 0xDB, 0xDF)),
    *(b"\xa1a", b"\xa7float32", b"\x01", array(KERNEL), text("chunks"), text("__msgpack_chunked_array__")),
    b"\xc7\x10\x01\x93\x91\x01\xa7float32\xc4\x04",
]  # fmt: skip


@FUZZ
@given(pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=4), max_size=30))
def test_any_bytes(tmp_path: Path, pieces: list[bytes]) -> None:
    read_or_refuse(FlaxCheckpoint, tmp_path / "flax_model.msgpack", b"".join(pieces))
