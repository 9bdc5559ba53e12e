"""Files: found locally, read within limits, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tfwav2vec2.weights import files
from tfwav2vec2.weights.files import find_file, read_json, take_hub_options, write_atomically, write_json


def test_finds_a_local_file_and_one_in_a_subfolder(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        (folder / "config.json").write_text("{}")
    assert find_file(tmp_path, "config.json") == tmp_path / "config.json"
    assert find_file(tmp_path, "config.json", subfolder="sub") == tmp_path / "sub" / "config.json"


def test_a_folder_without_the_file(tmp_path: Path) -> None:
    assert find_file(tmp_path, "vocab.json", required=False) is None
    with pytest.raises(FileNotFoundError, match=r"holds no vocab\.json; give the folder"):
        find_file(tmp_path, "vocab.json")


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "clip.wav").write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="is a file; give the folder"):
        find_file(tmp_path / "clip.wav", "config.json")


@pytest.mark.parametrize("name", ["./no/such/folder", "/no/such/folder", "a/b/c", "what is this?"])
def test_neither_folder_nor_name(name: str) -> None:
    with pytest.raises(FileNotFoundError, match="neither a folder on this machine nor a name on the hub"):
        find_file(name, "config.json")


def test_hub_options_are_taken_out() -> None:
    options = {"revision": "v1", "token": None, "vocab_size": 5}
    assert take_hub_options(options) == {"revision": "v1", "token": None}
    assert options == {"vocab_size": 5}


@pytest.mark.parametrize("content", [b"", b"{", b"{'a': 1}", b"\xff\xfe", b"[" * 100_000, b'{"a": ' * 50_000])
def test_json_that_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(OSError, match=r"config\.json is not valid JSON"):
        read_json(path)


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"'])
def test_json_that_is_no_object(tmp_path: Path, content: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(OSError, match=r"config\.json holds a JSON \w+ where an object"):
        read_json(path)


def test_json_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_JSON_BYTES", 10)
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"key": "value"}))
    with pytest.raises(OSError, match="has 16 bytes"):
        read_json(path)


def test_json_round_trip(tmp_path: Path) -> None:
    content = {"b": [1, 2.5, None], "a": "naïve ⁇", "nested": {"x": True}}
    write_json(tmp_path / "x.json", content)
    assert read_json(tmp_path / "x.json") == content
    assert (tmp_path / "x.json").read_text(encoding="utf-8").startswith('{\n  "b": [')
    write_json(tmp_path / "x.json", content, sort_keys=True, ensure_ascii=True)
    assert (tmp_path / "x.json").read_text(encoding="ascii").startswith('{\n  "a": "na\\u00efve')


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert read_json(path) == {"old": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("old")

    def write_half() -> None:
        with write_atomically(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_whole_write_replaces_the_old_file_and_is_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("old")
    with write_atomically(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    plain = tmp_path / "plain"
    plain.write_text("")
    assert path.stat().st_mode == plain.stat().st_mode


def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    with write_atomically(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
