"""Reading and writing a tokenizer's folder. That the files equal the reference's is in test_processing_goldens.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.language.conftest import LETTERS, numbered
from tfwav2vec2 import Wav2Vec2CTCTokenizer
from tfwav2vec2.language import tokenizer_files
from tfwav2vec2.language.vocabulary import AddedToken

names = st.text(alphabet="abXY<>é", min_size=1, max_size=5)


def write(folder: Path, **files: Any) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def same(one: Wav2Vec2CTCTokenizer, other: Wav2Vec2CTCTokenizer) -> bool:
    return all(
        getattr(one, name) == getattr(other, name)
        for name in ("vocab", "added_tokens_encoder", "special_tokens_map", "padding_side", "do_lower_case")
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(names, min_size=1, max_size=8, unique=True),
    st.lists(names, max_size=4),
    st.lists(names, max_size=3),
    st.booleans(),
)
def test_saving_and_loading_changes_nothing(make_tokenizer, tmp_path, tokens, added, special, lower) -> None:
    tokenizer = make_tokenizer([*tokens, "|"], do_lower_case=lower)
    tokenizer.add_tokens(added)
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    tokenizer.save_pretrained(tmp_path)
    again = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert same(tokenizer, again)
    again.save_pretrained(tmp_path)
    assert same(tokenizer, Wav2Vec2CTCTokenizer.from_pretrained(tmp_path))


def test_the_paths_are_returned(tokenizer, tmp_path) -> None:
    tokenizer.add_tokens(["XY"])
    paths = tokenizer.save_pretrained(tmp_path / "new", filename_prefix="p")
    assert {Path(path).name for path in paths} == {
        "p-tokenizer_config.json",
        "p-special_tokens_map.json",
        "p-added_tokens.json",
        "p-vocab.json",
    }
    assert all(Path(path).is_file() for path in paths)
    assert tokenizer.save_vocabulary(tmp_path) == (str(tmp_path / "vocab.json"),)


def test_a_vocabulary_alone_is_enough(tmp_path) -> None:
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(write(tmp_path, vocab=numbered(LETTERS)))
    assert tokenizer("AB")["input_ids"] == [5, 6]
    assert tokenizer.name_or_path == str(tmp_path)


def test_an_old_checkpoint(tmp_path) -> None:
    """As the first fine-tuned checkpoints on the hub: an added-tokens file, AddedTokens in the special tokens."""
    plain = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": True}
    write(
        tmp_path,
        vocab=numbered(["|", "a", "b", "[UNK]", "[PAD]"]),
        tokenizer_config={
            "unk_token": "[UNK]",
            "pad_token": "[PAD]",
            "do_lower_case": False,
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
            "special_tokens_map_file": None,
        },
        special_tokens_map={
            "bos_token": "<s>",
            "eos_token": {"content": "</s>", **plain},
            "unk_token": "[UNK]",
            "pad_token": "[PAD]",
            "additional_special_tokens": [{"content": "<s>", **plain}, {"content": "</s>", **plain}],
        },
        added_tokens={"<s>": 5, "</s>": 6},
    )
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id) == (4, 5, 6)
    assert len(tokenizer) == 7
    assert tokenizer("a b<s>?")["input_ids"] == [1, 0, 2, 5, 3]
    assert tokenizer.additional_special_tokens == ["<s>", "</s>"]


def test_tokens_given_as_dictionaries(tmp_path) -> None:
    token = {"__type": "AddedToken", "content": "[P]", "lstrip": False, "rstrip": False}
    write(
        tmp_path,
        vocab=numbered([*LETTERS, "[P]"]),
        tokenizer_config={"pad_token": token, "word_delimiter_token": {**token, "content": "|"}},
    )
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("[P]", 32)
    assert (tokenizer.word_delimiter_token, tokenizer.word_delimiter_token_id) == ("|", 4)


def test_a_checkpoint_of_transformers_5(tmp_path) -> None:
    write(
        tmp_path,
        vocab=numbered(LETTERS),
        tokenizer_config={
            "added_tokens_decoder": {
                "4": {"content": "|", "special": True, "normalized": False},
                "32": {"content": "<x>", "special": True, "normalized": False},
            },
            "backend": "custom",
            "extra_special_tokens": ["<x>"],
            "model_specific_special_tokens": {"word_delimiter_token": "|"},
            "is_local": True,
            "local_files_only": False,
            "tokenizer_class": "Wav2Vec2CTCTokenizer",
        },
    )
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert tokenizer.all_special_tokens == ["<s>", "</s>", "<unk>", "<pad>", "<x>"]
    assert tokenizer("A B<x>")["input_ids"] == [5, 4, 6, 32]
    tokenizer.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (config["additional_special_tokens"], config["extra_special_tokens"]) == (["<x>"], {})
    assert config["backend"] == "custom"


def test_named_extra_tokens_are_kept(make_tokenizer, tmp_path) -> None:
    tokenizer = make_tokenizer(LETTERS, extra_special_tokens={"noise_token": "<noise>"})
    assert tokenizer.all_special_tokens[-1] == "<noise>"
    tokenizer.save_pretrained(tmp_path)
    again = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert again.special_tokens_map["noise_token"] == "<noise>"
    assert again.convert_tokens_to_ids("<noise>") == 32


def test_unknown_keys_and_changed_attributes_are_written(make_tokenizer, tmp_path) -> None:
    tokenizer = make_tokenizer(LETTERS, do_normalize=True, pad={"not": "a method"})
    tokenizer.do_lower_case = True
    tokenizer.save_pretrained(tmp_path)
    again = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert again.init_kwargs["do_normalize"] is True
    assert again.init_kwargs["pad"] == {"not": "a method"}
    assert again.do_lower_case is True


def test_arguments_take_precedence_over_files(tokenizer, tmp_path) -> None:
    tokenizer.save_pretrained(tmp_path)
    again = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path, pad_token="'", do_lower_case=True, use_fast=False)
    assert (again.pad_token, again.do_lower_case) == ("'", True)
    assert "use_fast" not in again.init_kwargs


def test_a_file_cannot_point_at_another_vocabulary(tmp_path) -> None:
    secret = write(tmp_path / "elsewhere", vocab=numbered(["x"])) / "vocab.json"
    write(tmp_path, vocab=numbered(LETTERS), tokenizer_config={"vocab_file": str(secret)})
    assert Wav2Vec2CTCTokenizer.from_pretrained(tmp_path).vocab == numbered(LETTERS)


def test_another_class_in_the_file_is_mentioned(tmp_path, caplog) -> None:
    write(tmp_path, vocab=numbered(LETTERS), tokenizer_config={"tokenizer_class": "BertTokenizer"})
    Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    assert "The files are for a BertTokenizer" in caplog.text


def test_a_folder_without_vocabulary_is_refused(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no vocab\.json"):
        Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)


def test_a_vocabulary_needs_a_folder(tokenizer, tmp_path) -> None:
    with pytest.raises(NotADirectoryError, match="is no folder"):
        tokenizer.save_vocabulary(tmp_path / "missing")


def test_a_failed_save_leaves_the_old_files(tokenizer, tmp_path, monkeypatch) -> None:
    tokenizer.save_pretrained(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    tokenizer.init_kwargs["extra"] = object()
    with pytest.raises(TypeError, match="not JSON serializable"):
        tokenizer.save_pretrained(tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
keys = st.sampled_from(
    [
        "added_tokens_decoder", "pad_token", "unk_token", "additional_special_tokens", "extra_special_tokens",
        "target_lang", "word_delimiter_token", "model_max_length", "padding_side", "tokenizer_class", "save_pretrained",
        "model_input_names", "content", "__type", "name_or_path",
    ]
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(
    st.dictionaries(keys, json_values, max_size=4),
    st.dictionaries(keys, json_values, max_size=2),
    st.dictionaries(st.text(max_size=3), json_values, max_size=2),
    st.sampled_from([numbered(LETTERS), {"deu": {"a": 0}}]) | json_values,
)
def test_hostile_files_give_one_clear_error(tmp_path, config, special, added, vocab) -> None:
    write(tmp_path, vocab=vocab, tokenizer_config=config, special_tokens_map=special, added_tokens=added)
    try:
        vocabulary = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path).get_vocab()
    except (OSError, TypeError, ValueError) as error:
        message = str(error)
    else:
        message = f"vocab.json was read: {len(vocabulary)} tokens"
    assert "vocab.json" in message


def test_names_of_files() -> None:
    assert (tokenizer_files.VOCABULARY, tokenizer_files.TOKENIZER_CONFIG) == (
        "vocab.json",
        "tokenizer_config.json",
    )
    assert AddedToken("x").to_dict().keys() == {
        "content",
        "lstrip",
        "normalized",
        "rstrip",
        "single_word",
        "special",
    }
