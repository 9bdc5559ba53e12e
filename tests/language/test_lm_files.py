"""A decoder's folder: read, written, and what is wrong with one that is damaged."""

from __future__ import annotations

import contextlib
import gzip
import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.language.arpa_files import random_ngrams, write_arpa
from tfwav2vec2.language.alphabet import Alphabet
from tfwav2vec2.language.beam_search import BeamSearchDecoderCTC, build_ctcdecoder
from tfwav2vec2.language.lm_files import write_decoder

WORDS = ["A", "AB", "BA"]
LOGITS = 2 * np.random.default_rng(1).normal(size=(20, 4))


@pytest.fixture
def folder(tmp_path):
    """A folder as pyctcdecode writes it."""
    inner = tmp_path / "checkpoint" / "language_model"
    inner.mkdir(parents=True)
    (inner.parent / "alphabet.json").write_text(json.dumps({"labels": ["", " ", "A", "B"], "is_bpe": False}))
    attributes = {"alpha": 0.7, "beta": 1, "unk_score_offset": -5.0, "score_boundary": False}
    (inner / "attrs.json").write_text(json.dumps(attributes))
    (inner / "unigrams.txt").write_text("\n".join(["A", "AB", "ÀB", "NOTTHERE"]) + "\n", encoding="utf-8")
    write_arpa(inner / "3gram.arpa", random_ngrams([*WORDS, "ÀB"], 3, np.random.default_rng(0)))
    return inner.parent


def test_a_folder_is_read_and_written_back(folder, tmp_path) -> None:
    decoder = BeamSearchDecoderCTC.load_from_dir(folder)
    lm = decoder.language_model
    assert lm.weights() == {"alpha": 0.7, "beta": 1.0, "unk_score_offset": -5.0, "score_boundary": False}
    assert lm.unigrams == {"A", "AB", "ÀB"}
    lm.alpha = 0.25
    for target in (tmp_path / "copy", tmp_path / "copy"):  # a second time over the first
        paths = decoder.save_to_dir(target)
        assert {path.removeprefix(f"{target}/") for path in paths} == {
            "alphabet.json", "language_model/attrs.json", "language_model/unigrams.txt", "language_model/3gram.arpa"
        }  # fmt: skip
    again = BeamSearchDecoderCTC.load_from_dir(tmp_path / "copy")
    assert again.language_model.alpha == 0.25
    assert again.decode_beams(LOGITS) == decoder.decode_beams(LOGITS)


def test_a_gzipped_model_is_written_unpacked(folder, tmp_path) -> None:
    arpa = folder / "language_model" / "3gram.arpa"
    content = arpa.read_bytes()
    packed = arpa.with_name("3gram.arpa.gz")
    packed.write_bytes(gzip.compress(content, mtime=0))
    arpa.unlink()
    decoder = BeamSearchDecoderCTC.load_from_dir(folder)
    decoder.save_to_dir(tmp_path / "copy")
    assert (tmp_path / "copy" / "language_model" / "3gram.arpa").read_bytes() == content
    decoder.save_to_dir(folder)
    assert not arpa.exists()  # what it was read from stays as it is


def test_a_decoder_without_a_language_model(tmp_path) -> None:
    build_ctcdecoder(["<pad>", "|", "A", "B"]).save_to_dir(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["alphabet.json"]
    decoder = BeamSearchDecoderCTC.load_from_dir(tmp_path)
    assert decoder.language_model is None
    assert decoder.alphabet.labels == ["", " ", "A", "B"]


def test_another_language_model_is_not_overwritten(folder, tmp_path) -> None:
    decoder = BeamSearchDecoderCTC.load_from_dir(folder)
    other = tmp_path / "other" / "language_model"
    other.mkdir(parents=True)
    (other / "5gram.bin").write_bytes(b"")
    with pytest.raises(OSError, match=r"already holds the language model 5gram\.bin; remove it"):
        decoder.save_to_dir(other.parent)
    with pytest.raises(OSError, match="holds a language model that this decoder does not have"):
        write_decoder(folder, decoder.alphabet, None)


def test_a_model_that_came_from_no_file_is_written(folder, tmp_path) -> None:
    decoder = BeamSearchDecoderCTC.load_from_dir(folder)
    expected = decoder.decode_beams(LOGITS)
    decoder.language_model.model.path = None
    paths = decoder.save_to_dir(tmp_path / "new")
    assert str(tmp_path / "new" / "language_model" / "3gram.arpa") in paths
    assert BeamSearchDecoderCTC.load_from_dir(tmp_path / "new").decode_beams(LOGITS) == expected


def test_a_model_of_another_kind_without_a_file_is_not_written(folder, tmp_path) -> None:
    decoder = BeamSearchDecoderCTC.load_from_dir(folder)
    decoder.language_model.model = SimpleNamespace(order=3)
    with pytest.raises(
        OSError, match="of the type SimpleNamespace that was not read from a file cannot be saved"
    ):
        decoder.save_to_dir(tmp_path / "new")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("alphabet.json", "[]", "where an object was expected"),
        ("alphabet.json", '{"labels": ["", "A"]}', "must hold labels, a list of strings, and is_bpe"),
        ("alphabet.json", '{"labels": ["", 1], "is_bpe": false}', "must hold labels, a list of strings"),
        ("alphabet.json", '{"labels": ["A"], "is_bpe": false}', "cannot be used: The alphabet has no blank"),
        ("alphabet.json", '{"labels": ["", "A", "A"], "is_bpe": false}', "has 'A' more than once"),
        ("alphabet.json", '{"labels": ["", "▁A▁"], "is_bpe": true}', "ends with '▁'"),
        ("language_model/attrs.json", "{", "is not valid JSON"),
        ("language_model/attrs.json", '{"alpha": 1.0}', "must hold the numbers alpha, beta, unk_score_offset"),
        ("language_model/unigrams.txt", b"\xff\xfe", "cannot be read as utf-8"),
        ("language_model/3gram.arpa", "", "is empty"),
        ("language_model/3gram.bin", "", "must hold one file that ends in"),
    ],
)  # fmt: skip
def test_a_damaged_folder_is_one_clear_line(folder, file, content, message) -> None:
    (folder / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(OSError, match=message) as caught:
        BeamSearchDecoderCTC.load_from_dir(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "file",
    [
        "alphabet.json",
        "language_model/attrs.json",
        "language_model/unigrams.txt",
        "language_model/3gram.arpa",
    ],
)
def test_a_file_that_is_missing(folder, file) -> None:
    (folder / file).unlink()
    with pytest.raises(OSError, match=r"holds no (alphabet|attrs|unigrams)|it holds none"):
        BeamSearchDecoderCTC.load_from_dir(folder)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "true", '"1"', "null"])
def test_weights_that_are_no_numbers(folder, value) -> None:
    path = folder / "language_model" / "attrs.json"
    path.write_text(path.read_text().replace("0.7", value))
    with pytest.raises(OSError, match="must hold the numbers alpha, beta, unk_score_offset"):
        BeamSearchDecoderCTC.load_from_dir(folder)


def test_a_list_of_words_that_is_too_large_is_not_read(folder, monkeypatch) -> None:
    monkeypatch.setattr("tfwav2vec2.language.lm_files.MAX_UNIGRAMS_BYTES", 5)
    with pytest.raises(OSError, match="more than any list of words"):
        BeamSearchDecoderCTC.load_from_dir(folder)


def test_a_kenlm_binary_asks_for_kenlm(folder, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "kenlm", None)
    path = folder / "language_model" / "3gram.arpa"
    path.write_bytes(b"mmap lm http://kheafield.com/code format version 5\n\0")
    with pytest.raises(ImportError, match=r"is a binary file of KenLM.*pip install 'tfwav2vec2\[kenlm\]'"):
        BeamSearchDecoderCTC.load_from_dir(folder)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    file=st.sampled_from(["alphabet.json", "language_model/attrs.json", "language_model/unigrams.txt"]),
    cut=st.integers(0, 60),
    junk=st.binary(max_size=6),
)
def test_no_damage_does_worse_than_an_error(folder, file, cut, junk) -> None:
    path = folder / file
    content = path.read_bytes()
    try:
        path.write_bytes(content[:cut] + junk + content[cut + len(junk) // 2 :])
        with contextlib.suppress(OSError, ValueError):
            BeamSearchDecoderCTC.load_from_dir(folder)
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize(
    ("tokens", "labels", "is_bpe"),
    [
        (["<pad>", "<s>", "</s>", "<unk>", "|", "A"], ["", "<s>", "</s>", "⁇", " ", "A"], False),
        (["[PAD]", "[UNK]", " ", "|"], ["", "⁇", " ", "|"], False),
        (["_", "|", "a"], ["", " ", "a"], False),
        (["|", "a"], [" ", "a", ""], False),
        (["<unk>", "▁the", "▁", "s", "<pad>"], ["▁⁇▁", "▁the", "▁", "s", ""], True),
        (["[PAD]", "the", "##s", "[UNK]"], ["", "▁the", "s", "▁⁇▁"], True),
    ],
)
def test_vocabularies_in_standard_form(tokens, labels, is_bpe) -> None:
    alphabet = Alphabet.build(tokens)
    assert (alphabet.labels, alphabet.is_bpe) == (labels, is_bpe)


@pytest.mark.parametrize(
    ("tokens", "message"), [(["a", "a"], "more than once"), (["▁a", " "], "hold a space although")]
)
def test_vocabularies_that_cannot_be(tokens, message) -> None:
    with pytest.raises(ValueError, match=message):
        Alphabet.build(tokens)


def test_a_vocabulary_without_a_space_is_remarked_on(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        Alphabet.build(["<pad>", "a"])
    assert "a transcript will be a single word" in caplog.text
