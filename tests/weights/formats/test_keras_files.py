"""Keras 3's files as data: what Keras wrote is read without Keras's loading, and hostile files are refused unread."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tests.weights.test_readers_fuzz import read_or_refuse
from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2Model
from tfwav2vec2.weights.conversion import convert
from tfwav2vec2.weights.formats.keras_archive import is_keras
from tfwav2vec2.weights.readers import CheckpointError, open_checkpoint

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def archive(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``model.save`` writes."""
    path = tmp_path_factory.mktemp("keras") / "model.keras"
    tiny_model.save(path)
    return path


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(
    path: Path, target: Path, edit: Callable[[dict[str, bytes]], Any], compression: int = zipfile.ZIP_STORED
) -> Path:
    entries = entries_of(path)
    edit(entries)
    with zipfile.ZipFile(target, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target


def with_config(change: Callable[[Any], Any]) -> Callable[[dict[str, bytes]], None]:
    def edit(entries: dict[str, bytes]) -> None:
        config = json.loads(entries["config.json"])
        config = change(config) or config
        entries["config.json"] = json.dumps(config).encode()

    return edit


def with_weights(change: Callable[[h5py.File], Any]) -> Callable[[dict[str, bytes]], None]:
    def edit(entries: dict[str, bytes]) -> None:
        buffer = io.BytesIO(entries["model.weights.h5"])
        with h5py.File(buffer, "r+") as file:
            change(file)
        entries["model.weights.h5"] = buffer.getvalue()

    return edit


@pytest.mark.parametrize("trained", [False, True])
def test_what_keras_saved(
    tiny_model: Any, tiny_folder: Path, archive: Path, tmp_path: Path, trained: bool
) -> None:
    path = archive
    if trained:  # an optimizer's state and metrics come along
        model = TFWav2Vec2ForCTC.from_pretrained(tiny_folder)
        model.compile("adam", run_eagerly=True)
        waveform = np.random.default_rng(0).normal(size=(2, 2000)).astype(np.float32)
        model.fit({"input_values": waveform, "labels": np.ones((2, 3), np.int32)}, verbose=0)
        path = tmp_path / "trained.keras"
        model.save(path)
        model.save_pretrained(tmp_path / "trained")
        tiny_folder = tmp_path / "trained"
    assert is_keras(path)
    with open_checkpoint(path) as checkpoint:
        assert checkpoint.config_fields is not None
        assert checkpoint.config_fields["architectures"] == ["Wav2Vec2ForCTC"]
        expected = load_file(tiny_folder / "model.safetensors")
        assert checkpoint.shapes == {key: array.shape for key, array in expected.items()}
        for key, array in expected.items():
            np.testing.assert_array_equal(checkpoint.read(key), array)


def test_from_pretrained(tiny_model: Any, archive: Path) -> None:
    kernel = tiny_model.wav2vec2.encoder.layers[0].attention.q_proj.kernel
    for kind, layers in (
        (TFWav2Vec2ForCTC, lambda model: model.wav2vec2.encoder.layers),
        (TFWav2Vec2Model, lambda model: model.encoder.layers),
    ):
        opened = kind.from_pretrained(archive)
        assert opened.config.hidden_size == tiny_model.config.hidden_size
        np.testing.assert_array_equal(layers(opened)[0].attention.q_proj.kernel, kernel)


def test_weights_need_a_configuration(tiny_model: Any, tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    tiny_model.save_weights(path)
    with pytest.raises(
        CheckpointError, match=r"model\.weights\.h5 holds weights alone; give the configuration"
    ):
        open_checkpoint(path)
    config = tiny_model.config
    for architectures in (["Wav2Vec2ForCTC"], ["TFWav2Vec2ForCTC"], None):
        config = type(config).from_dict(config.to_dict() | {"architectures": architectures})
        with open_checkpoint(path, config=config) as checkpoint:
            assert checkpoint.shapes["lm_head.weight"] == (10, 16)
    with pytest.raises(
        ValueError, match="holds the weights of no class of this package in this configuration"
    ):
        open_checkpoint(path, config=type(config).from_dict(config.to_dict() | {"num_hidden_layers": 3}))
    model = TFWav2Vec2ForCTC(tiny_model.config)
    model.load_checkpoint(path)
    np.testing.assert_array_equal(model.lm_head.kernel, tiny_model.lm_head.kernel)


def test_a_bare_models_weights(tiny_model: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    bare = TFWav2Vec2Model(tiny_model.config)
    bare.save_weights(path)
    with open_checkpoint(path, config=tiny_model.config) as checkpoint:
        assert "encoder.layer_norm.weight" in checkpoint.shapes


def test_arrays_that_are_missing_or_strange(archive: Path, tmp_path: Path) -> None:
    def edit(file: h5py.File) -> None:
        del file["layers/dense/vars/1"]
        file["layers/stranger/vars/0"] = np.zeros(3, np.float32)

    path = rewritten(archive, tmp_path / "model.keras", with_weights(edit))
    with pytest.raises(
        ValueError, match=r"missing: lm_head\.bias; not expected: layers/stranger/vars/0; check"
    ):
        convert(path, tmp_path / "out")


def no_weights(entries: dict[str, bytes]) -> None:
    entries["model.weights.h5"] = b"\x89HDF\r\n\x1a\n"


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], Any], str]] = {
    "another class": (
        with_config(lambda config: config.update(class_name="Functional")),
        "holds a model of the class 'Functional', which is none of this package's",
    ),
    "a class of ours that is none": (
        with_config(lambda config: config.update(class_name="TFWav2Vec2Config")),
        "is no class of this package",
    ),
    "a lambda": (
        with_config(
            lambda config: {
                "module": "keras.layers",
                "class_name": "Lambda",
                "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wAAAA"}}},
            }
        ),
        "class 'Lambda'",
    ),
    "no object": (with_config(lambda config: [1, 2, 3]), "class 'None'"),
    "no json": (lambda entries: entries.update({"config.json": b"{"}), "is damaged"),
    "deep json": (lambda entries: entries.update({"config.json": b"[" * 10**6}), "is damaged"),
    "a huge model": (
        with_config(lambda config: config["config"]["config"].update(num_hidden_layers=10**9)),
        "describes a model of",
    ),
    "no weights": (no_weights, "is damaged"),
    "an external link": (
        with_weights(
            lambda file: file.__setitem__("layers/dense/vars/9", h5py.ExternalLink("/etc/passwd", "/"))
        ),
        "model.keras",
    ),
    "a soft link": (
        with_weights(lambda file: file.__setitem__("layers/dense/vars/9", h5py.SoftLink("/layers"))),
        "holds a link",
    ),
    "a bomb": (
        with_weights(
            lambda file: file.create_dataset(
                "layers/dense/vars/9", (10**9,), "f4", chunks=(10**6,), compression="gzip"
            )
        ),
        "holds",
    ),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files(archive: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("Keras was asked to make something of the file")

    monkeypatch.setattr(keras.saving, "load_model", never)
    monkeypatch.setattr(keras.saving, "deserialize_keras_object", never)
    edit, message = HOSTILE[kind]
    path = rewritten(archive, tmp_path / "model.keras", edit)
    with pytest.raises(CheckpointError, match=r"model\.keras") as caught:
        open_checkpoint(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_zip_bomb(archive: Path, tmp_path: Path) -> None:
    path = rewritten(
        archive,
        tmp_path / "model.keras",
        lambda entries: entries.update({"model.weights.h5": bytes(10**8)}),
        zipfile.ZIP_DEFLATED,
    )
    assert path.stat().st_size < 10**6
    with pytest.raises(CheckpointError, match="is compressed, which Keras never does"):
        open_checkpoint(path)


def test_truncations(archive: Path, tmp_path: Path) -> None:
    content = archive.read_bytes()
    for size in range(1, len(content), len(content) // 40):
        read_or_refuse(tmp_path / "model.keras", content[:size])


@FUZZ
@given(data=st.data())
def test_flipped_bytes(archive: Path, tmp_path: Path, data: st.DataObject) -> None:
    content = bytearray(archive.read_bytes())
    places = st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=20)):
        content[place] = value
    read_or_refuse(tmp_path / "model.keras", bytes(content))
