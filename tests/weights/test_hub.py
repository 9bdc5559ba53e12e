"""The hub over HTTP, as its own client library sees it: downloads, refusals, the cache, and pushes."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from tests.weights.hub_server import Hub
from tests.weights.test_pretrained import assert_same, contents
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
from tfwav2vec2.weights.files import find_file, read_json

NAME = "somebody/tiny"
LM = "language_model"

# The hub's client library uploads in a way that its own HTTP library has come to dislike.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def model_hub(hub: Hub, tiny_folder: Path) -> Hub:
    """A hub that holds the tiny model."""
    hub.add(NAME, contents(tiny_folder))
    return hub


# --- downloads ----------------------------------------------------------------------------------------------------------


def test_a_model(model_hub: Hub, tiny_model: Any) -> None:
    model = TFWav2Vec2ForCTC.from_pretrained(NAME)
    assert_same(tiny_model, model)
    assert model.config.name_or_path == NAME


def test_a_model_in_several_files(hub: Hub, tiny_model: Any, tmp_path: Path) -> None:
    tiny_model.save_pretrained(tmp_path / "model", max_shard_size="4KB")
    hub.add(NAME, contents(tmp_path / "model"))
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(NAME))


def test_a_revision_and_a_subfolder(model_hub: Hub, tiny_model: Any, tiny_folder: Path) -> None:
    files = {f"best/{name}": content for name, content in contents(tiny_folder).items()}
    model_hub.add(NAME, files, revision="v2")
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(NAME, revision="v2", subfolder="best"))
    with pytest.raises(FileNotFoundError, match=r"revision 'v2'\) has no file config\.json"):
        TFWav2Vec2ForCTC.from_pretrained(NAME, revision="v2")
    with pytest.raises(FileNotFoundError, match="has no revision 'v3'; pass an existing branch"):
        TFWav2Vec2ForCTC.from_pretrained(NAME, revision="v3")


def test_a_private_model(hub: Hub, tiny_folder: Path) -> None:
    hub.add(NAME, contents(tiny_folder), token="hf_read")
    assert find_file(NAME, "config.json", token="hf_read").name == "config.json"
    for token in (None, "hf_wrong"):
        with pytest.raises(
            FileNotFoundError, match="nor a model on the hub; check the spelling, and pass token="
        ) as caught:
            find_file(NAME, "model.safetensors", token=token)
        assert "hf_wrong" not in str(caught.value)


def test_a_gated_model(hub: Hub) -> None:
    hub.add(NAME, {"config.json": b"{}"}, gated=True)
    with pytest.raises(PermissionError, match="restricted; accept its terms"):
        find_file(NAME, "config.json")


def test_a_model_that_does_not_exist(hub: Hub) -> None:
    for required in (True, False):
        with pytest.raises(
            FileNotFoundError, match="'nobody/nothing' is neither a folder on this machine nor a model"
        ):
            find_file("nobody/nothing", "config.json", required=required)


def test_a_file_that_does_not_exist(model_hub: Hub) -> None:
    assert find_file(NAME, "vocab.json", required=False) is None
    with pytest.raises(
        FileNotFoundError, match=r"'somebody/tiny' \(revision 'main'\) has no file vocab\.json"
    ):
        find_file(NAME, "vocab.json")


def test_a_model_without_weights(hub: Hub, tiny_folder: Path) -> None:
    hub.add(NAME, {"config.json": (tiny_folder / "config.json").read_bytes()})
    with pytest.raises(FileNotFoundError, match=r"'somebody/tiny' has a config\.json but no weights"):
        TFWav2Vec2ForCTC.from_pretrained(NAME)


# --- the cache ----------------------------------------------------------------------------------------------------------


def test_the_cache(model_hub: Hub, tiny_model: Any, tmp_path: Path) -> None:
    cache = tmp_path / "my-cache"
    with pytest.raises(
        FileNotFoundError, match="not in the local cache, and looking on the network was ruled out"
    ):
        TFWav2Vec2ForCTC.from_pretrained(NAME, cache_dir=cache, local_files_only=True)
    assert model_hub.requests == []
    TFWav2Vec2ForCTC.from_pretrained(NAME, cache_dir=cache)
    model_hub.requests.clear()
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(NAME, cache_dir=cache, local_files_only=True))
    assert find_file(NAME, "vocab.json", cache_dir=cache, local_files_only=True, required=False) is None
    assert model_hub.requests == []
    TFWav2Vec2ForCTC.from_pretrained(NAME, cache_dir=cache)
    assert not any(command == "GET" for command, _ in model_hub.requests)
    find_file(NAME, "config.json", cache_dir=cache, force_download=True)
    assert any(command == "GET" for command, _ in model_hub.requests)
    assert not (tmp_path / "cache").exists()


def test_a_hub_that_cannot_be_reached(
    model_hub: Hub, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cache holds is used; what it knows to be absent is absent; anything else is an error, not a guess."""
    TFWav2Vec2ForCTC.from_pretrained(NAME)
    assert find_file(NAME, "vocab.json", required=False) is None
    model_hub.fail_with = 503
    # The client library waits between its attempts.
    monkeypatch.setattr(time, "sleep", lambda _: None)
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(NAME))
    assert find_file(NAME, "vocab.json", required=False) is None
    for required in (True, False):
        with pytest.raises(
            ConnectionError, match=r"tokenizer\.json is not in the local cache, and the hub at http"
        ):
            find_file(NAME, "tokenizer.json", required=required)


def test_damaged_on_the_way(model_hub: Hub, tmp_path: Path) -> None:
    files = model_hub.repositories[NAME].revisions["main"]
    files["model.safetensors"] = files["model.safetensors"][:1000]
    with pytest.raises(OSError, match=r"model\.safetensors is damaged .*download or save it again"):
        TFWav2Vec2ForCTC.from_pretrained(NAME)


# --- pushes -------------------------------------------------------------------------------------------------------------


def test_push_and_read_back(hub: Hub, tiny_model: Any, tiny_folder: Path) -> None:
    info = tiny_model.push_to_hub(NAME, token=Hub.WRITE_TOKEN, commit_message="First")
    assert info.oid
    assert hub.repositories[NAME].revisions["main"] == contents(tiny_folder)
    assert_same(tiny_model, TFWav2Vec2ForCTC.from_pretrained(NAME))


def test_push_to_a_branch_and_without_an_owner(hub: Hub, tiny_model: Any, tiny_folder: Path) -> None:
    tiny_model.push_to_hub("tiny", token=Hub.WRITE_TOKEN, revision="draft")
    assert hub.repositories[NAME].revisions == {"main": {}, "draft": contents(tiny_folder)}


def test_save_and_push(hub: Hub, tiny_model: Any, tmp_path: Path) -> None:
    folder = tmp_path / "named-so"
    tiny_model.save_pretrained(folder, max_shard_size="4KB", push_to_hub=True, token=Hub.WRITE_TOKEN)
    assert hub.repositories["somebody/named-so"].revisions["main"] == contents(folder)


def test_push_of_a_configuration(hub: Hub, tiny_config: Wav2Vec2Config) -> None:
    tiny_config.push_to_hub(NAME, token=Hub.WRITE_TOKEN)
    assert Wav2Vec2Config.from_pretrained(NAME).hidden_size == 16


def test_a_push_keeps_what_else_is_there(hub: Hub, tiny_model: Any) -> None:
    hub.add(NAME, {"README.md": b"# Tiny"})
    tiny_model.push_to_hub(NAME, token=Hub.WRITE_TOKEN)
    assert hub.repositories[NAME].revisions["main"]["README.md"] == b"# Tiny"


def test_a_push_that_is_refused(hub: Hub, tiny_model: Any) -> None:
    with pytest.raises(
        OSError, match=r"Writing to 'somebody/tiny' on the hub failed .*token= may write to it"
    ) as caught:
        tiny_model.push_to_hub(NAME, token="hf_wrong")
    assert "hf_wrong" not in str(caught.value)
    assert hub.repositories == {}


def test_a_push_that_breaks_off(hub: Hub, tiny_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.break_uploads = True
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(OSError, match="Writing to 'somebody/tiny' on the hub failed"):
        tiny_model.push_to_hub(NAME, token=Hub.WRITE_TOKEN)
    assert hub.repositories[NAME].revisions["main"] == {}


def test_saving_over_a_download_leaves_the_cache_alone(
    model_hub: Hub, tiny_model: Any, tiny_folder: Path
) -> None:
    """The cache's entries are links to shared files: a save replaces the link."""
    folder = find_file(NAME, "config.json").parent
    find_file(NAME, "model.safetensors")
    shared = (folder / "model.safetensors").resolve()
    other = TFWav2Vec2ForCTC(tiny_model.config)
    other.save_pretrained(folder)
    assert shared.read_bytes() == (tiny_folder / "model.safetensors").read_bytes()
    assert read_json(folder / "config.json")["architectures"] == ["Wav2Vec2ForCTC"]
    shutil.rmtree(folder)


def test_a_decoder_is_fetched_and_kept(hub: Hub, tmp_path: Path) -> None:
    """Of a checkpoint with a language model, what its folder holds, whatever the model's file is named."""
    from tfwav2vec2.language.lm_files import find_decoder

    names = (
        "alphabet.json",
        f"{LM}/attrs.json",
        f"{LM}/unigrams.txt",
        f"{LM}/my 5gram.bin",
        "model.safetensors",
    )
    files = {f"{folder}{name}": f"{folder}{name}".encode() for folder in ("", "inner/") for name in names}
    hub.add(NAME, files)
    options = {"cache_dir": tmp_path / "my-cache"}
    find_file(NAME, "alphabet.json", **options)
    with pytest.raises(
        FileNotFoundError, match=r"attrs\.json of 'somebody/tiny'.* is not in the local cache"
    ):
        find_decoder(NAME, **options, local_files_only=True)
    for subfolder in ("", "inner"):
        found = find_decoder(NAME, **options, subfolder=subfolder)
        expected = f"{subfolder}/{LM}/my 5gram.bin".strip("/").encode()
        assert (found / LM / "my 5gram.bin").read_bytes() == expected
        assert not (found / "model.safetensors").exists()
        hub.requests.clear()
        assert find_decoder(NAME, **options, subfolder=subfolder, local_files_only=True) == found
        assert hub.requests == []
    hub.add("somebody/letters", {"alphabet.json": b"{}"})
    assert [path.name for path in find_decoder("somebody/letters", **options).iterdir()] == ["alphabet.json"]
    hub.add("somebody/plain", {"config.json": b"{}"})
    with pytest.raises(FileNotFoundError, match=r"has no file alphabet\.json"):
        find_decoder("somebody/plain", **options)


def test_a_hub_that_cannot_list_is_no_decoder_without_a_model(hub: Hub, tmp_path: Path) -> None:
    from tfwav2vec2.language.lm_files import find_decoder

    hub.add(NAME, {"alphabet.json": b"{}", f"{LM}/attrs.json": b"{}", f"{LM}/unigrams.txt": b""})
    find_decoder(NAME, cache_dir=tmp_path)
    hub.fail_with = 500
    with pytest.raises(ConnectionError, match="Listing the files of 'somebody/tiny' failed"):
        find_decoder(NAME, cache_dir=tmp_path)
