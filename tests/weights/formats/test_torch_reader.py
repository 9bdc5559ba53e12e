"""Torch's files without torch: right numbers from honest files, one clear error from all others."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.weights.formats import torch_files
from tests.weights.formats.torch_files import Entry, state_pickle, zip_file
from tfwav2vec2.weights.formats.torch_pickle import UnsafePickleError
from tfwav2vec2.weights.readers import CheckpointError, open_checkpoint

GOLDENS = Path(__file__).parents[2] / "goldens" / "torch_files"
ARRAYS = {
    "a.weight": np.arange(12, dtype=np.float32).reshape(3, 4),
    "a.bias": np.float16([1, 2, 3]),
    "steps": np.array(7, np.int64),
}


def open_bytes(folder: Path, content: bytes) -> dict[str, np.ndarray]:
    path = folder / "pytorch_model.bin"
    path.write_bytes(content)
    with open_checkpoint(path) as checkpoint:
        return {key: checkpoint.read(key) for key in checkpoint.shapes}


@pytest.mark.parametrize("name", ["zip.bin", "legacy.bin"])
def test_reads_what_torch_wrote(name: str) -> None:
    with np.load(GOLDENS / "expected.npz") as expected, open_checkpoint(GOLDENS / name) as checkpoint:
        assert set(expected) - set(checkpoint.shapes) <= {"unsigned"}
        for key, shape in checkpoint.shapes.items():
            tensor = checkpoint.read(key)
            assert tensor.shape == shape == expected[key].shape
            assert tensor.dtype == ("bfloat16" if key == "torch.bfloat16" else expected[key].dtype)
            np.testing.assert_array_equal(tensor.astype(expected[key].dtype), expected[key])


@pytest.mark.parametrize("save", [torch_files.save_zip, torch_files.save_legacy])
def test_reads_what_the_helper_wrote(tmp_path: Path, save: Any) -> None:
    tensors = open_bytes(tmp_path, save(ARRAYS))
    assert tensors.keys() == ARRAYS.keys()
    for key, array in ARRAYS.items():
        assert tensors[key].dtype == array.dtype
        np.testing.assert_array_equal(tensors[key], array)


def test_tensors_that_share_a_storage_are_apart_in_memory(tmp_path: Path) -> None:
    array = np.arange(4, dtype=np.float32)
    pickled = state_pickle({"a": Entry(array, "0"), "b": Entry(array, "0")})
    tensors = open_bytes(tmp_path, zip_file(pickled, {"0": array.tobytes()}))
    tensors["a"][:] = 0
    np.testing.assert_array_equal(tensors["b"], array)


def test_a_file_without_checksums(tmp_path: Path) -> None:
    """torch writes 0 for every checksum where it was told to save the time."""
    content = bytearray(torch_files.save_zip(ARRAYS))
    with zipfile.ZipFile(io.BytesIO(bytes(content))) as archive:
        for entry in archive.infolist():
            for start in range(len(content) - 4):
                if entry.CRC and content[start : start + 4] == struct.pack("<I", entry.CRC):
                    content[start : start + 4] = bytes(4)
    np.testing.assert_array_equal(open_bytes(tmp_path, bytes(content))["a.weight"], ARRAYS["a.weight"])


class Run:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def hostile_pickles(target: Path) -> dict[str, bytes]:
    import os

    command = f"touch {target}"
    module = b"cbuiltins\n__import__\n(" + torch_files.text("os") + b"tR"
    function = b"cbuiltins\ngetattr\n(" + module + torch_files.text("system") + b"tR"
    return {
        "os.system": pickle.dumps({"a": Run(os.system, command)}, protocol=2),
        "builtins.eval": pickle.dumps({"a": Run(eval, f"open({str(target)!r}, 'w')")}, protocol=2),
        "builtins.exec, protocol 4": pickle.dumps(
            {"a": Run(exec, f"open({str(target)!r}, 'w')")}, protocol=4
        ),
        "nested": b"\x80\x02" + function + b"(" + torch_files.text(command) + b"tR.",
        "open": pickle.dumps(Run(open, str(target), "w"), protocol=2),
        "as a key": pickle.dumps({Run(os.system, command): 1}, protocol=2),
        "as hooks": state_pickle({"a": Entry(ARRAYS["a.weight"], "0")}).replace(
            b"ccollections\nOrderedDict\n)R", b"cos\nsystem\n(" + torch_files.text(command) + b"tR"
        ),
        "protocol 0": f"cos\nsystem\n(S'{command}'\ntR.".encode(),
        "inst": f"(S'{command}'\nios\nsystem\n.".encode(),
        "obj": f"(cos\nsystem\nS'{command}'\no.".encode(),
        "newobj": b"\x80\x02cos\nsystem\n" + torch_files.text(command) + b"\x85\x81.",
        "extension": b"\x80\x02\x82\x01.",
        "torch's own door to everything": b"\x80\x02ctorch.hub\nload\n(" + torch_files.text("x") + b"tR.",
        "attributes of a module": b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.__init__\x93.",
        "call of a dtype": b"\x80\x02ctorch\nFloatStorage\n)R.",
        "call of a tensor": b"\x80\x02})R.",
        "poison for later": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}("
        + torch_files.text("__call__")
        + b"Nub.",
    }


@pytest.mark.parametrize("kind", sorted(hostile_pickles(Path("unused"))))
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_tries_to_run_code(tmp_path: Path, kind: str, legacy: bool) -> None:
    target = tmp_path / "executed"
    pickled = hostile_pickles(target)[kind]
    content = torch_files.legacy_file(pickled, {}) if legacy else zip_file(pickled, {"0": bytes(48)})
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin") as caught:
        open_bytes(tmp_path, content)
    assert not target.exists()
    assert "\n" not in str(caught.value)
    if not kind.startswith("poison"):
        assert isinstance(caught.value, UnsafePickleError)
        assert "nothing in it was run" in str(caught.value)


def test_a_bare_pickle(tmp_path: Path) -> None:
    target = tmp_path / "executed"
    for pickled in hostile_pickles(target).values():
        with pytest.raises(CheckpointError):
            open_bytes(tmp_path, pickled)
    assert not target.exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"shape": (100, 100)},
        {"shape": (3, 5)},
        {"shape": (2**40,)},
        {"shape": (2**62,) * 3},
        {"shape": (2**70,)},
        {"shape": (-3, 4)},
        {"shape": (1,) * 40, "stride": (1,) * 40},
        {"offset": 1},
        {"offset": -1},
        {"offset": 2**61},
        {"stride": (4, 4)},
        {"stride": (-4, 1)},
        {"stride": (0, 0)},
        {"stride": (1,)},
        {"storage": "1"},
        {"count": 10**10, "shape": (10**10,)},
    ],
    ids=str,
)
@pytest.mark.parametrize("legacy", [False, True])
def test_a_tensor_that_lies_about_its_place(tmp_path: Path, entry: dict[str, Any], legacy: bool) -> None:
    array = ARRAYS["a.weight"]
    pickled = state_pickle({"a": Entry(array, **{"storage": "0", **entry})}, legacy=legacy)
    content = (
        torch_files.legacy_file(pickled, {"0": array})
        if legacy
        else zip_file(pickled, {"0": array.tobytes()})
    )
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is damaged"):
        open_bytes(tmp_path, content)


def test_a_storage_that_claims_ten_gigabytes(tmp_path: Path) -> None:
    array = ARRAYS["a.weight"]
    honest = torch_files.save_zip({"a": array})
    lies = {
        "the archive's sizes": honest.replace(struct.pack("<II", 48, 48), struct.pack("<II", 2**31, 2**31)),
        "the old format's count": torch_files.save_legacy({"a": array}).replace(
            struct.pack("<q", 12), struct.pack("<q", 10**10 // 4)
        ),
    }
    tracemalloc.start()
    try:
        for content in lies.values():
            with pytest.raises(CheckpointError, match="damaged"):
                open_bytes(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


def test_a_compressed_archive_is_never_expanded(tmp_path: Path) -> None:
    zeros = np.zeros(2**22, np.float32)
    pickled = state_pickle({"a": Entry(zeros, "0")})
    content = zip_file(pickled, {"0": zeros.tobytes()}, zipfile.ZIP_DEFLATED)
    assert len(content) < 2**16
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="compressed"):
            open_bytes(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 2**23
    finally:
        tracemalloc.stop()


BOMBS = {
    "a far memo": b"\x80\x02}r\xff\xff\xff\x7f0.",
    "a long text": b"\x80\x04\x8d" + struct.pack("<Q", 10**10) + b"x.",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 10**10) + b"x.",
    "a long number": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    # Each level holds the one below twice: hashing it, or showing it, would take 2 ** 60 steps.
    "a tower of tuples": b"\x80\x02})"
    + b"".join(b"q%ch%c\x86" % (level, level) for level in range(60))
    + b"Ns.",
    "many marks": b"\x80\x02" + b"(" * 200_000 + b".",
    "deep lists": b"\x80\x02" + b"](" * 100_000 + b".",
    "no stop": b"\x80\x02}}}}",
    "an empty stack": b"\x80\x02.",
    "nothing to pop": b"\x80\x02R.",
}


@pytest.mark.parametrize("kind", sorted(BOMBS))
@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_that_would_exhaust_the_machine(tmp_path: Path, kind: str, legacy: bool) -> None:
    content = torch_files.legacy_file(BOMBS[kind], {}) if legacy else zip_file(BOMBS[kind], {})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError):
            open_bytes(tmp_path, content)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def test_a_flipped_bit_in_the_numbers(tmp_path: Path) -> None:
    content = bytearray(torch_files.save_zip(ARRAYS))
    content[content.index(ARRAYS["a.weight"].tobytes()) + 7] ^= 1
    with pytest.raises(CheckpointError, match="does not match its checksum"):
        open_bytes(tmp_path, bytes(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"epoch": 3, "model": {}}, "holds under 'epoch' what is not a tensor"),
        ([1, 2], "does not hold a state dict"),
        ({1: 2}, "holds under '1'"),
    ],
)
def test_a_file_that_holds_something_else(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        open_bytes(tmp_path, zip_file(pickle.dumps(content, protocol=2), {}))


def test_an_archive_that_is_not_torchs(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    with pytest.raises(CheckpointError, match="not one of torch's"):
        open_bytes(tmp_path, buffer.getvalue())


def test_numbers_that_numpy_does_not_know(tmp_path: Path) -> None:
    pickled = state_pickle({"a": Entry(ARRAYS["a.weight"], "0")}).replace(
        b"FloatStorage", b"ComplexFloatStorage"
    )
    with pytest.raises(CheckpointError, match=r"torch\.ComplexFloatStorage are not supported"):
        open_bytes(tmp_path, zip_file(pickled, {"0": bytes(96)}))


def test_a_big_endian_file(tmp_path: Path) -> None:
    content = torch_files.save_zip(ARRAYS)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"big" if name.endswith("byteorder") else old.read(name))
    with pytest.raises(CheckpointError, match="big-endian"):
        open_bytes(tmp_path, buffer.getvalue())
