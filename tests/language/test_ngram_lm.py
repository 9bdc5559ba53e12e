"""ARPA files and the models that they hold, against the definition of a back-off model."""

from __future__ import annotations

import contextlib
import gzip
import math
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.language.arpa_files import random_ngrams, write_arpa
from tfwav2vec2.language.ngram_lm import NGramModel

SMALL = """\\data\\
ngram 1=4
ngram 2=3

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.5
-1.5\t</s>
-0.25\tHALLÅ\t-0.125

\\2-grams:
-0.5\t<s> HALLÅ
-0.75\tHALLÅ HALLÅ
-2e-1\tHALLÅ </s>

\\end\\
"""
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def log10_by_definition(sections, context: tuple[str, ...], word: str) -> float:
    """The recursion itself: the n-gram's probability, or the context's back-off weight and the shorter context's."""
    ngram = (*context, word)
    if len(ngram) <= len(sections) and ngram in sections[len(ngram) - 1]:
        return sections[len(ngram) - 1][ngram][0]
    assert context, f"{word} is no unigram"
    known = sections[len(context) - 1] if len(context) <= len(sections) else {}
    return known.get(context, (0.0, 0.0))[1] + log10_by_definition(sections, context[1:], word)


@same_folder
@given(
    seed=st.integers(0, 2**32 - 1),
    order=st.integers(1, 4),
    sentence=st.lists(st.sampled_from(["A", "B", "ÀÉ", "D'", "missing"]), max_size=7),
    bounded=st.booleans(),
)
def test_scores_are_those_of_the_definition(tmp_path, seed, order, sentence, bounded) -> None:
    sections = random_ngrams(["A", "B", "ÀÉ", "D'"], order, np.random.default_rng(seed))
    model = NGramModel.read(write_arpa(tmp_path / "model.arpa", sections))
    assert model.order == order
    state, history = model.start(bounded), ("<s>",) if bounded else ()
    for word in [*sentence, "</s>"]:
        expected_word = word if word in model else "<unk>"
        expected = log10_by_definition(sections, history[max(0, len(history) - order + 1) :], expected_word)
        score, state = model.score(state, word)
        assert score == pytest.approx(expected, abs=1e-5)
        history = (*history, expected_word)


@pytest.mark.parametrize("order", [1, 2])
def test_every_state_is_a_context(tmp_path, order) -> None:
    """A compiled search reads the arrays at a state's place without asking whether there is one."""
    sections = random_ngrams(["A", "B"], order, np.random.default_rng(0))
    model = NGramModel.read(write_arpa(tmp_path / "model.arpa", sections))
    states = [model.start(True), model.start(False)]
    for word in ("A", "B", "missing", "</s>"):
        states += [model.score(state, word)[1] for state in states[:2]]
    assert all(0 <= state < len(model.arrays.backoff) for state in states)


def test_a_gzipped_file_is_the_same_model(tmp_path) -> None:
    plain, packed = tmp_path / "a.arpa", tmp_path / "b.arpa.gz"
    plain.write_text(SMALL, encoding="utf-8")
    packed.write_bytes(gzip.compress(SMALL.encode(), mtime=0))
    models = [NGramModel.read(path) for path in (plain, packed)]
    assert models[0].words == models[1].words == ["<unk>", "<s>", "</s>", "HALLÅ"]
    for one, other in zip(models[0].arrays, models[1].arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    assert models[0].score(models[0].start(), "HALLÅ")[0] == pytest.approx(-0.5)


@pytest.mark.parametrize(
    "rewrite", [lambda text: text.replace("\n", "\r\n"), lambda text: "made by hand\n\n" + text]
)
def test_other_ways_of_writing_it(tmp_path, rewrite) -> None:
    path = tmp_path / "model.arpa"
    path.write_bytes(rewrite(SMALL).encode())
    model = NGramModel.read(path)
    assert model.words[-1] == "HALLÅ"
    assert model.score(model.start(), "</s>")[0] == pytest.approx(-0.5 - 1.5)


def test_a_model_without_an_unknown_word_gets_one(tmp_path) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(SMALL.replace("-1.0\t<unk>\n", "").replace("1=4", "1=3"), encoding="utf-8")
    model = NGramModel.read(path)
    assert "anything" not in model
    assert model.score(0, "anything")[0] == -100
    path.write_text(SMALL.replace("<unk>", "<UNK>"), encoding="utf-8")
    assert NGramModel.read(path).score(0, "anything")[0] == -1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("\\data\\", "data"), r"has no section \\data\\"),
        (("ngram 1=4", "ngram 1=5"), "fewer n-grams than the header says (line 10)"),
        (("ngram 1=4", "ngram 1=3"), r"no \2-grams: where it is due"),
        (("ngram 1=4", "ngram 1=400000000000"), "which cannot be"),
        (("ngram 1=4", "ngram 1=0"), "which cannot be"),
        (("ngram 2=3", "ngram 3=3"), "the count of 3-grams where 2-grams are due"),
        (("\\2-grams:", "\\3-grams:"), r"no \2-grams: where it is due"),
        (("\\end\\", ""), r"no \end\ where it is due"),
        (("-0.75", "0.75"), "a probability above 1 (its logarithm is positive) (line 13)"),
        (("-0.75", "nan"), "no number"),
        (("-0.75", "-"), "no number"),
        (("-0.5\t<s> HALLÅ", "-0.5\tHALLÅ"), "another number of words"),
        (("-0.5\t<s> HALLÅ", "-0.5\t<s> HALLÅ -0.1 HALLÅ"), "another number of words"),
        (("-0.5\t<s> HALLÅ", "-0.5\t<s> HALLO"), "a word that the unigrams lack"),
        (("-1.0\t<unk>", "-1.0\t<s>"), "a word for the second time"),
        (("HALLÅ </s>", "HALLÅ HALLÅ"), "an n-gram of 2 words occurs twice"),
        (("<s>", "<t>"), "has no <s> among its words"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_clear_line(tmp_path, change, message) -> None:
    path = tmp_path / "model.arpa"
    path.write_text(SMALL.replace(*change), encoding="utf-8")
    with pytest.raises(OSError, match=message if "\\\\" in message else re.escape(message)) as caught:
        NGramModel.read(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_context_that_is_missing(tmp_path) -> None:
    sections = [
        {(word,): (-1.0, 0.0) for word in ("<unk>", "<s>", "</s>", "A", "B")},
        {("A", "B"): (-1.0, 0.0)},
    ]
    path = write_arpa(tmp_path / "model.arpa", [*sections, {("B", "A", "B"): (-1.0, 0.0)}])
    with pytest.raises(OSError, match="an n-gram of 3 words follows a context of 2 that is missing"):
        NGramModel.read(path)


def test_bytes_that_are_no_text_and_archives_that_are_cut(tmp_path) -> None:
    path = tmp_path / "model.arpa"
    path.write_bytes(SMALL.encode("latin-1"))
    with pytest.raises(OSError, match=r"a word that is not UTF-8 \(line 9\)"):
        NGramModel.read(path)
    path.write_bytes(gzip.compress(SMALL.encode(), mtime=0)[:-20])
    with pytest.raises(OSError, match="is a damaged gzip file"):
        NGramModel.read(path)
    path.write_bytes(b"")
    with pytest.raises(OSError, match="is empty"):
        NGramModel.read(path)


def test_an_archive_that_explodes_is_not_unpacked(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("tfwav2vec2.language.arpa._CHUNK", 2**16)
    path = tmp_path / "model.arpa.gz"
    path.write_bytes(gzip.compress(SMALL.encode() + bytes(2**24), mtime=0))
    with pytest.raises(OSError, match="which no ARPA file of its size does"):
        NGramModel.read(path)


@same_folder
@given(data=st.data())
def test_no_damage_does_worse_than_an_error(tmp_path, data) -> None:
    content = bytearray(SMALL.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        kind = data.draw(st.sampled_from(["change", "drop", "insert"]))
        if kind == "change":
            content[at] = data.draw(st.integers(0, 255))
        elif kind == "drop":
            del content[at : at + data.draw(st.integers(1, 30))]
        else:
            content[at:at] = data.draw(st.binary(min_size=1, max_size=8) | st.just(b"\n") | st.just(b"9"))
        if not content:
            break
    path = tmp_path / "model.arpa"
    path.write_bytes(content)
    with contextlib.suppress(OSError):
        model = NGramModel.read(path)
        state = model.start()
        for word in ("HALLÅ", "HALLÅ", "</s>"):
            score, state = model.score(state, word)
            assert math.isfinite(score)
            assert 0 <= state <= len(model.arrays.backoff)


def test_the_real_model_loads_and_sums_to_one(shared_data) -> None:
    model = NGramModel.read(next((shared_data / "lm").glob("*.arpa.gz")))
    assert (model.order, len(model.words)) == (3, 33_800)
    for history in ([], ["THE"], ["ONE", "OF"], ["NOT", "A", "WORDTHATISNOT"]):
        state = model.start()
        for word in history:
            _, state = model.score(state, word)
        total = sum(10 ** model.score(state, word)[0] for word in model.words if word != "<s>")
        assert total == pytest.approx(1, abs=1e-3)
