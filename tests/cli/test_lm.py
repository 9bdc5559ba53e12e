"""``tfwav2vec2 lm``: from text to a folder that a decoder opens."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.test_processor import make_processor
from tfwav2vec2 import AutoProcessor, NGramModel, Wav2Vec2ProcessorWithLM, perplexity
from tfwav2vec2.cli.main import cli

# Letters of make_processor's vocabulary, written as people write.
TEXT = ["A bad cab.", "a bad head", "Feed a bee", "dad had a bad cab", "a cab had a bed", "be a dad, dad"]


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(cli, ["lm", *map(str, arguments)])


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("\n".join([*TEXT, "", ""]), encoding="utf-8")
    return path


def model_of(folder: Path, name: str = "3gram.arpa") -> NGramModel:
    return NGramModel.read(folder / "language_model" / name)


def test_a_folder_without_a_recogniser(tmp_path, text) -> None:
    out = tmp_path / "out"
    result = run(text, "-o", out, "--discount-fallback", "--case", "upper", "--evaluate", text)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (out / "language_model").iterdir()) == [
        "3gram.arpa", "attrs.json", "unigrams.txt"
    ]  # fmt: skip
    model = model_of(out)
    words = sorted({word.upper() for line in TEXT for word in line.split()})
    assert model.words == ["<unk>", "<s>", "</s>", *words]
    assert (out / "language_model" / "unigrams.txt").read_text().split() == words
    assert json.loads((out / "language_model" / "attrs.json").read_text())["alpha"] == 0.5
    expected = perplexity(model, [line.upper() for line in TEXT])
    assert f"perplexity of text.txt: {expected.with_unknown:.2f}" in result.output
    assert f"({expected.words} words with the ends of 6 sentences, 0 unknown)" in result.output
    assert "6 sentences, 23 words" in result.output


def test_with_a_recogniser_the_folder_is_a_processor_that_decodes(tmp_path, text) -> None:
    recogniser = tmp_path / "recogniser"
    make_processor(tmp_path).save_pretrained(recogniser)
    result = run(text, "--model", recogniser, "-o", recogniser, "--discount-fallback", "--order", 2)
    assert result.exit_code == 0, result.output
    processor = AutoProcessor.from_pretrained(recogniser)
    assert isinstance(processor, Wav2Vec2ProcessorWithLM)
    words = sorted({word.strip(".,").upper() for line in TEXT for word in line.split()})
    assert model_of(recogniser, "2gram.arpa").words[3:] == words
    ids = processor.tokenizer("A BAD CAB").input_ids
    logits = np.full((2 * len(ids), 13), -8.0)
    logits[np.arange(0, len(logits), 2), ids] = 8
    logits[1::2, 0] = 8
    decoded = processor.decode(logits)
    assert decoded.text == "A BAD CAB"
    assert decoded.lm_score != decoded.logit_score
    again = run(text, "--model", recogniser, "-o", recogniser, "--discount-fallback", "--order", 2)
    assert again.exit_code == 0, again.output  # the same name is replaced


def test_words_that_the_letters_cannot_spell_are_counted(tmp_path, text) -> None:
    recogniser = tmp_path / "recogniser"
    make_processor(tmp_path).save_pretrained(recogniser)
    text.write_text(text.read_text() + "a cab 42\n")
    result = run(text, "--model", recogniser, "-o", tmp_path / "out", "--discount-fallback")
    assert result.exit_code == 0, result.output
    assert (
        "1 words cannot be spelled with the model's letters and are never written, such as '42'"
        in result.output
    )


@pytest.mark.parametrize(
    "arguments", [["--prune", "0", "1"], ["--prune", "0 1"], ["--prune", "0,1"], ["--prune=0,1"]]
)
def test_prune_takes_what_lmplz_takes(tmp_path, text, arguments) -> None:
    for before in (True, False):
        out = tmp_path / f"out{before}"
        options = [*arguments, "-o", out, "--discount-fallback"]
        result = run(*options, text) if before else run(text, "-o", out, "--discount-fallback", *arguments)
        assert result.exit_code == 0, result.output
        model = model_of(out)
        pairs = {tuple(model.words[index] for index in row) for row in model._sections()[1].words}
        assert pairs == {("<s>", "a"), ("a", "bad"), ("had", "a")}  # which occur more than once
        assert "pruned)" in result.output


def test_several_files_gzip_columns_and_manifests(tmp_path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf" + b"id-1 one two\r\nid-2\n\nid-3 one one\n")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"id-4 two two", mtime=0))
    (tmp_path / "c.tsv").write_text("path\ttext\nx.wav\tthree one\n")
    out = tmp_path / "out"
    result = run(
        *(tmp_path / name for name in ("a.txt", "b.gz", "c.tsv")),
        *("-o", out, "--drop-first-column", "--discount-fallback", "--gzip", "--order", 2),
    )
    assert result.exit_code == 0, result.output
    assert "4 sentences, 8 words, 3 of them different" in result.output
    assert model_of(out, "2gram.arpa.gz").words[3:] == ["one", "three", "two"]


def failure(*arguments: Any) -> str:
    result = run(*arguments)
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no words"),
        (b"a\nb \xff\n", "has something that is not UTF-8 (line 2)"),
        ("a b".encode("utf-16"), "is no text in UTF-8: it holds a zero byte (line 1)"),
        (gzip.compress(b"a b c\n" * 99, mtime=0)[:-9], "is a damaged gzip file"),
        (b"a <s> b", "Sentence 1 holds <s>"),
        (b"a b c\n" * 3, "--discount-fallback"),
    ],
)
def test_bad_text_is_one_clear_line_and_writes_nothing(tmp_path, content, message) -> None:
    (tmp_path / "text").write_bytes(content)
    assert message in failure(tmp_path / "text", "-o", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_line_without_end_is_not_read_whole(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tfwav2vec2.language.text_files._LONGEST_LINE", 100)
    (tmp_path / "text.gz").write_bytes(gzip.compress(b"a" * 200, mtime=0))
    assert "has a line of more than 100 bytes (line 1)" in failure(
        tmp_path / "text.gz", "-o", tmp_path / "out"
    )


def test_what_cannot_be_asked_for(tmp_path, text) -> None:
    out = tmp_path / "out"
    assert "the first 0" in failure(text, "-o", out, "--prune", "1")
    assert "no list of whole numbers" in failure(text, "-o", out, "--prune", "often")
    assert "--case is for texts without --model" in failure(
        text, "-o", out, "--model", "x", "--case", "upper"
    )
    assert run(text, "-o", out, "--discount-fallback").exit_code == 0
    assert "already holds the language model 3gram.arpa" in failure(text, "-o", out, "--order", 2)
    make_processor(tmp_path).save_pretrained(tmp_path / "recogniser")
    text.write_text("xyz zyx\n")
    other = tmp_path / "other"
    message = failure(text, "-o", other, "--model", tmp_path / "recogniser", "--discount-fallback")
    assert "The labels can spell 0 of the language model's 2 words" in message
    assert not other.exists()
