"""The TensorFlow classes' files without TensorFlow: right tensors from honest files, one clear error from all others."""

from __future__ import annotations

import itertools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tests.weights.formats.foreign_files import (
    assert_fill_alike,
    assert_holds,
    damaged,
    little_memory,
    read_or_refuse,
)
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.weights.checkpoint import CheckpointError
from tfwav2vec2.weights.formats.h5_reader import H5Checkpoint, is_h5, torch_key
from tfwav2vec2.weights.formats.safetensors_reader import SafetensorsCheckpoint

GOLDENS = Path(__file__).parents[2] / "goldens" / "h5_files"
FOLDERS = ["model", "ctc", "sequence_classification"]
KERNEL = np.arange(12, dtype=np.float32).reshape(3, 4)
UNDEFINED = struct.pack("<Q", 2**64 - 1)


@pytest.mark.parametrize("folder", FOLDERS)
def test_reads_what_the_tensorflow_classes_wrote(folder: str) -> None:
    path = GOLDENS / folder / "tf_model.h5"
    assert is_h5(path.read_bytes()[:16])
    with H5Checkpoint(path) as checkpoint:
        assert_holds(checkpoint, load_file(GOLDENS / folder / "model.safetensors"))


def test_reads_one_in_several_files() -> None:
    homes = json.loads((GOLDENS / "in_parts" / "tf_model.h5.index.json").read_text())["weight_map"]
    expected = load_file(GOLDENS / "ctc" / "model.safetensors")
    assert {torch_key(name) for name in homes} == set(expected)
    for part in sorted(set(homes.values())):
        with H5Checkpoint(GOLDENS / "in_parts" / part) as checkpoint:
            keys = {torch_key(name) for name, home in homes.items() if home == part}
            assert_holds(checkpoint, {key: expected[key] for key in keys})


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("ctc", "TFWav2Vec2ForCTC"),
        ("model", "TFWav2Vec2Model"),
        ("ctc", "TFWav2Vec2Model"),
        ("sequence_classification", "TFWav2Vec2ForSequenceClassification"),
    ],
)
def test_a_model_takes_the_same_weights_as_from_the_torch_file(folder: str, name: str) -> None:
    config = Wav2Vec2Config(**json.loads((GOLDENS / folder / "config.json").read_text()))
    with (
        H5Checkpoint(GOLDENS / folder / "tf_model.h5") as foreign,
        SafetensorsCheckpoint(GOLDENS / folder / "model.safetensors") as torch,
    ):
        assert_fill_alike(name, config, foreign, torch)


@pytest.mark.parametrize(
    ("variable", "key"),
    [
        ("tf_wav2_vec2_for_ctc/lm_head/kernel:0", "lm_head.weight"),
        ("tf_wav2_vec2_model_1/wav2vec2/masked_spec_embed:0", "wav2vec2.masked_spec_embed"),
        ("model/wav2vec2/feature_extractor/conv_layers.0/layer_norm/gamma:0",
         "wav2vec2.feature_extractor.conv_layers.0.layer_norm.weight"),
        ("tf_wav2_vec2_for_sequence_classification/layer_weights:0", "layer_weights"),
        ("layer_weights:0", "layer_weights"),
    ],
)  # fmt: skip
def test_names_in_an_index(variable: str, key: str) -> None:
    assert torch_key(variable) == key


def write(path: Path, fill_file: Callable[[h5py.File], Any], **options: Any) -> Path:
    with h5py.File(path, "w", **options) as file:
        fill_file(file)
    return path


def put(file: h5py.File, name: str, **options: Any) -> h5py.Dataset:
    """An array where Keras 2 would put a variable of the head."""
    return file.create_dataset(f"lm_head/tf_wav2_vec2_for_ctc/lm_head/{name}", **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tf_model.h5"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes(path: Path, dtype: Any) -> None:
    write(path, lambda file: put(file, "kernel:0", data=KERNEL.astype(dtype)))
    with H5Checkpoint(path) as checkpoint:
        assert_holds(checkpoint, {"lm_head.weight": KERNEL.astype(dtype).T.copy()})


def test_a_scalar_and_an_unknown_word_stay_as_they_are(path: Path) -> None:
    write(path, lambda file: put(file, "stranger:0", data=np.float32(3)))
    with H5Checkpoint(path) as checkpoint:
        assert_holds(checkpoint, {"lm_head.stranger": np.array(3, np.float32)})


def test_a_group_with_many_members(path: Path) -> None:
    """More than fit in one node of the tree of its names."""
    arrays = {f"w{index}:0": np.float32([index]) for index in range(2000)}
    write(path, lambda file: [put(file, name, data=array) for name, array in arrays.items()])
    with H5Checkpoint(path) as checkpoint:
        assert_holds(
            checkpoint, {f"lm_head.{name.removesuffix(':0')}": array for name, array in arrays.items()}
        )


def test_notes_of_keras_that_fill_headers(path: Path) -> None:
    def fill_file(file: h5py.File) -> None:
        put(file, "kernel:0", data=KERNEL)
        for index in range(20):
            file["lm_head"].attrs[f"weight_names{index}"] = np.array([b"x" * 100] * 500)

    with H5Checkpoint(write(path, fill_file)) as checkpoint:
        assert list(checkpoint.shapes) == ["lm_head.weight"]


def refused(path: Path, match: str) -> None:
    with little_memory(), pytest.raises(CheckpointError, match=match) as caught:
        H5Checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def set_external(file: h5py.File) -> None:
    put(file, "kernel:0", shape=(3, 4), dtype="f4", external=[("/etc/passwd", 0, 48)])


def set_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource("/elsewhere.h5", "data", (3, 4))
    file.create_virtual_dataset("lm_head/tf/lm_head/kernel:0", layout)


def set_link(link: Any) -> Callable[[h5py.File], Any]:
    def fill_file(file: h5py.File) -> None:
        put(file, "kernel:0", data=KERNEL)
        file["lm_head/tf_wav2_vec2_for_ctc/lm_head/bias:0"] = link

    return fill_file


def set_cycle(file: h5py.File) -> None:
    put(file, "kernel:0", data=KERNEL)
    file["lm_head/again"] = file["lm_head"]


def set_tower(file: h5py.File) -> None:
    """Each level holds the one below twice: 2 ** 25 arrays."""
    group = file
    for _ in range(25):
        below = group.create_group("a")
        group["b"] = below
        group = below
    group.create_dataset("kernel:0", data=KERNEL)


def set_twice(file: h5py.File) -> None:
    put(file, "gamma:0", data=KERNEL)
    put(file, "weight:0", data=KERNEL)


compound = np.dtype([("a", "f4"), ("b", "i4")])
HOSTILE: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "objects": (lambda f: put(f, "kernel:0", shape=(2,), dtype=h5py.vlen_dtype(np.float32)), "no array of float16"),
    "text": (lambda f: put(f, "kernel:0", data="hello"), "no array of float16"),
    "fixed text": (lambda f: put(f, "kernel:0", data=np.array([b"hello"])), "no array of float16"),
    "compound": (lambda f: put(f, "kernel:0", shape=(2,), dtype=compound), "no array of float16"),
    "references": (lambda f: put(f, "kernel:0", shape=(2,), dtype=h5py.ref_dtype), "no array of float16"),
    "arrays": (lambda f: put(f, "kernel:0", shape=(2,), dtype=np.dtype(("f4", (10**8,)))), "no array of float16"),
    "whole numbers": (lambda f: put(f, "kernel:0", data=np.arange(3)), "no array of float16"),
    "complex": (lambda f: put(f, "kernel:0", data=np.ones(3, np.complex64)), "no array of float16"),
    "booleans": (lambda f: put(f, "kernel:0", data=np.ones(3, bool)), "no array of float16"),
    "other byte order": (lambda f: put(f, "kernel:0", data=KERNEL.astype(">f4")), "no array of float16"),
    "compressed": (lambda f: put(f, "kernel:0", shape=(10**5, 10**5), dtype="f4", chunks=(1000, 1000), compression="gzip"),
                   "a compressed array"),
    "checksums": (lambda f: put(f, "kernel:0", data=KERNEL, fletcher32=True), "a compressed array"),
    "chunks": (lambda f: put(f, "kernel:0", shape=(10**5, 10**5), dtype="f4", chunks=(1000, 1000)), "in chunks"),
    "unlimited": (lambda f: put(f, "kernel:0", data=KERNEL, maxshape=(None, 4)), "in chunks"),
    "no storage": (lambda f: put(f, "kernel:0", shape=(10**5, 10**5), dtype="f4"), "a shape but no numbers"),
    "null": (lambda f: put(f, "kernel:0", dtype="f4", data=h5py.Empty("f4")), "shape"),
    "external file": (set_external, "whose numbers lie in other files"),
    "virtual": (set_virtual, "in chunks|virtual|another version|unknown version|header"),
    "soft link": (set_link(h5py.SoftLink("/lm_head")), "holds a link"),
    "soft link out": (set_link(h5py.SoftLink("/../../etc/passwd")), "holds a link"),
    "external link": (set_link(h5py.ExternalLink("/etc/hosts.h5", "/")), "links to other files"),
    "cycle": (set_cycle, "lie in one place"),
    "tower": (set_tower, "lie in one place"),
    "deep": (lambda f: f.create_group("/".join("a" * 40)), "too deep"),
    "long name": (lambda f: put(f, "x" * 1000 + ":0", data=KERNEL), "too long"),
    "named type": (lambda f: f.__setitem__("lm_head/tf/lm_head/type:0", np.dtype("f4")), "neither a group nor an array"),
    "one key twice": (set_twice, r"holds 'lm_head\.weight' twice"),
    "another file": (lambda f: f.create_dataset("speech", data=KERNEL), "not the reference's tf_model.h5: it holds 'speech'"),
    "nothing": (lambda f: None, "it holds no variables"),
    "no group": (lambda f: f.create_group("empty"), "it holds no variables"),
    "a whole model": (lambda f: f.create_dataset("model_weights/dense/dense/kernel:0", data=KERNEL), "a whole model"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(HOSTILE))
def test_what_no_checkpoint_holds(path: Path, kind: str) -> None:
    fill_file, match = HOSTILE[kind]
    refused(write(path, fill_file), match)


@pytest.mark.parametrize(
    "options", [{"libver": "latest"}, {"userblock_size": 512}, {"track_order": True}], ids=str
)
def test_a_file_in_a_younger_version_of_the_format(path: Path, options: dict[str, Any]) -> None:
    refused(
        write(path, lambda file: put(file, "kernel:0", data=KERNEL), **options),
        "another version|not start as an HDF5 file",
    )


def test_a_file_of_keras_3(path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4), keras.layers.Dropout(0.1)])
    model.save_weights(path := path.with_suffix(".weights.h5"))
    refused(path, r"is a \.weights\.h5 file of Keras 3; .* model\.load_weights")


def simple(path: Path) -> bytes:
    return write(path, lambda file: put(file, "kernel:0", data=KERNEL)).read_bytes()


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    assert content.count(old) == 1
    return content.replace(old, new)


def layout(content: bytes, size: int = KERNEL.nbytes) -> bytes:
    """Where the header says that the array lies."""
    return struct.pack("<QQ", content.index(KERNEL.tobytes()), size)


SHAPE = struct.pack("<QQQQ", 3, 4, 3, 4)
LIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "ten gigabytes": (
        lambda c: replaced(replaced(c, SHAPE, struct.pack("<QQQQ", 5 * 10**4, 5 * 10**4, 3, 4)),
                           layout(c), layout(c, 10**10)),
        "past the end of the file",
    ),
    "a shape of ten gigabytes": (
        lambda c: replaced(c, SHAPE, struct.pack("<QQQQ", 5 * 10**4, 5 * 10**4, 3, 4)),
        "another shape than its numbers",
    ),
    "a shape that overflows": (
        lambda c: replaced(c, SHAPE, struct.pack("<QQQQ", 2**63, 2**63, 3, 4)),
        "another shape than its numbers",
    ),
    "a place after the end": (
        lambda c: replaced(c, layout(c), struct.pack("<QQ", 2**60, 48)),
        "past the end of the file",
    ),
    "no place": (lambda c: replaced(c, layout(c), UNDEFINED + struct.pack("<Q", 48)), "no numbers"),
    "a tree that leads back": (
        lambda c: c[: c.index(b"SNOD")] + b"TREE\0\0\1\0" + UNDEFINED * 2 + bytes(8)
        + struct.pack("<Q", c.index(b"TREE")) + c[c.index(b"SNOD") + 40 :],
        "damaged",
    ),
    "a header of the whole file": (
        lambda c: c[:96] + struct.pack("<BxHIIxxxx", 1, 9, 1, len(c) - 112) + c[112:],
        "damaged",
    ),
    "another start": (lambda c: c[:24] + b"\1" + c[25:], "another version"),
    "a driver": (lambda c: c[:48] + bytes(8) + c[56:], "another version"),
    "offsets of four bytes": (lambda c: c[:13] + b"\4" + c[14:], "another version"),
}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(LIES))
def test_a_header_that_lies(path: Path, kind: str) -> None:
    change, match = LIES[kind]
    path.write_bytes(change(simple(path)))
    refused(path, match)


def test_a_small_file_that_claims_many_tensors_of_its_own_size(path: Path) -> None:
    numbers = np.arange(5000, dtype=np.float32)

    def fill_file(file: h5py.File) -> None:
        put(file, "kernel:0", data=numbers)
        for index in range(9):
            put(file, f"w{index}:0", shape=numbers.shape, dtype="f4")

    content = write(path, fill_file).read_bytes()
    size = struct.pack("<Q", numbers.nbytes)
    place = struct.pack("<Q", content.index(numbers.tobytes()))
    assert content.count(UNDEFINED + size) == 9
    path.write_bytes(content.replace(UNDEFINED + size, place + size))
    refused(path, "lie over one another")


def test_a_truncated_file(path: Path) -> None:
    content = (GOLDENS / "ctc" / "tf_model.h5").read_bytes()
    for size in itertools.chain(range(0, 200, 7), range(200, len(content), 997)):
        path.write_bytes(content[:size])
        refused(path, f"it has {size} of {len(content)} bytes" if size >= 96 else "damaged")


FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("small", [True, False])
@FUZZ
@given(data=st.data())
def test_damaged_bytes(tmp_path: Path, small: bool, data: st.DataObject) -> None:
    path = tmp_path / "tf_model.h5"
    content = simple(path) if small else (GOLDENS / "sequence_classification" / "tf_model.h5").read_bytes()
    read_or_refuse(H5Checkpoint, path, data.draw(damaged(content)))


@FUZZ
@given(content=st.binary(max_size=300))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tf_model.h5"
    read_or_refuse(H5Checkpoint, path, content)
    read_or_refuse(H5Checkpoint, path, b"\x89HDF\r\n\x1a\n" + content)
