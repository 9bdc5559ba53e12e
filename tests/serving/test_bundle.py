"""The files at the end of a ``.tflite`` file are untrusted: whatever they hold, one clear error comes of it."""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from tests.tiny import TINY
from tfwav2vec2 import Wav2Vec2Config, Wav2Vec2Processor, __version__
from tfwav2vec2.backbone.lengths import shortest_clip
from tfwav2vec2.serving import bundle
from tfwav2vec2.serving.bundle import ABOUT, append_archive, bundle_files, read_archive

NETWORK = b"\x20\0\0\0TFL3" + bytes(100)


class Model:
    config = Wav2Vec2Config(**TINY)


def files() -> dict[str, bytes]:
    processor = Wav2Vec2Processor.from_pretrained(REPOSITORY / "saved_models" / "spoken-digits")
    return bundle_files(Model(), processor, {"precision": "float32"})


FILES = files()


def written(path: Path, content: dict[str, bytes]) -> Path:
    path.write_bytes(NETWORK)
    append_archive(path, content)
    return path


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "model.tflite", FILES)
    assert path.read_bytes().startswith(NETWORK)
    found = read_archive(path)
    assert found.config.conv_dim == Model.config.conv_dim
    assert found.about == {"format": 1, "version": __version__, "precision": "float32"}
    assert isinstance(found.processor, Wav2Vec2Processor)


def test_the_same_model_makes_the_same_file(tmp_path: Path) -> None:
    first, second = (written(tmp_path / name, files()).read_bytes() for name in ("a.tflite", "b.tflite"))
    assert first == second


def test_an_export_of_another_format_is_refused(tmp_path: Path) -> None:
    notes = {"format": 2, "version": "9.0", "precision": "float32"}
    path = written(tmp_path / "model.tflite", FILES | {ABOUT: json.dumps(notes).encode()})
    with pytest.raises(
        ValueError, match=r"model.tflite is of the export format 2, written by version '9.0' .* export"
    ):
        read_archive(path)


def test_an_export_without_notes_is_of_the_first_format(tmp_path: Path) -> None:
    path = written(tmp_path / "model.tflite", FILES | {ABOUT: b"{}"})
    assert read_archive(path).shortest == shortest_clip(Model.config)


def test_how_short_a_recording_may_be_is_a_number(tmp_path: Path) -> None:
    path = written(tmp_path / "model.tflite", FILES | {ABOUT: b'{"shortest": 5200}'})
    assert read_archive(path).shortest == 5200
    path = written(tmp_path / "other.tflite", FILES | {ABOUT: b'{"shortest": "400"}'})
    with pytest.raises(
        ValueError, match=r"other.tflite.* 'shortest' is '400', which is no number of samples"
    ):
        read_archive(path)


def test_other_names_are_never_read(tmp_path: Path) -> None:
    strange = FILES | {"../../escaped.json": b"{}", "/etc/escaped": b"", "tokenizer.py": b"raise SystemExit"}
    read_archive(written(tmp_path / "sub.tflite", strange))
    assert {path.name for path in tmp_path.iterdir()} == {"sub.tflite"}


def test_a_file_that_unfolds_without_end_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_LARGEST_FILE", 10_000)
    path = written(tmp_path / "bomb.tflite", FILES | {"vocab.json": b" " * 1_000_000})
    assert path.stat().st_size < 100_000
    with pytest.raises(OSError, match=r"damaged \(vocab.json has more than 10000 bytes\)"):
        read_archive(path)


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "vocab.json", ABOUT])
@pytest.mark.parametrize("content", [b"", b"[1]", b"\xff\xfe", b"[" * 100_000, b'"text"', b"null"])
def test_a_file_that_is_none_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    path = written(tmp_path / "model.tflite", FILES | {name: content})
    with pytest.raises((OSError, ValueError), match=name.replace(".", r"\.")) as raised:
        read_archive(path)
    assert str(path) in str(raised.value)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_one_error_or_none(tmp_path: Path, data: st.DataObject) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(
        archive, "w", data.draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    ) as file:
        for name, content in FILES.items():
            file.writestr(zipfile.ZipInfo(name), content)
    damaged = bytearray(NETWORK + archive.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(len(NETWORK), len(damaged) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.one_of(st.just(len(damaged)), st.integers(0, len(damaged)))) :]
    path = tmp_path / "model.tflite"
    path.write_bytes(damaged)
    with suppress(OSError, ValueError):
        read_archive(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(set(FILES) - {ABOUT})),
    key=st.integers(0, 200),
    value=st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=5), st.just([]), st.just({})),
)
def test_any_value_is_one_error_or_none(tmp_path: Path, name: str, key: int, value: object) -> None:
    content = json.loads(FILES[name])
    content[sorted(content)[key % len(content)]] = value
    path = written(tmp_path / "model.tflite", FILES | {name: json.dumps(content).encode()})
    with suppress(OSError, ValueError):
        read_archive(path)
