"""Modified Kneser-Ney models: against a slow program written from the formulas, and as probability distributions."""

from __future__ import annotations

import functools
import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwav2vec2 import train_language_model
from tfwav2vec2.language import ngram_counts
from tfwav2vec2.language.arpa import read_arpa
from tfwav2vec2.language.arpa_writer import write_arpa
from tfwav2vec2.language.kneser_ney import BadDiscountError, check_options, estimate, estimate_discounts
from tfwav2vec2.language.ngram_counts import read_corpus
from tfwav2vec2.language.ngram_lm import NGramModel

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
texts = st.lists(
    st.lists(st.sampled_from("abcdé"), max_size=6).map(" ".join), min_size=1, max_size=12
).filter(lambda lines: any(line.strip() for line in lines))
prunings = st.sampled_from([(0,), (0, 0, 1), (0, 1), (0, 1, 2), (0, 0, 1, 3)])


def log10(probability):
    return math.log10(probability) if probability > 0 else -99


def by_the_formulas(lines, order, thresholds, discounts):
    """Kneser and Ney with dictionaries: {n-gram: log10 of its probability}, {context: log10 of its back-off weight}."""
    sentences = [["<s>", *line.split(), "</s>"] for line in lines if line.split()]
    raw = [
        Counter(tuple(s[i : i + n]) for s in sentences for i in range(len(s) - n + 1))
        for n in range(1, order + 1)
    ]
    del raw[0][("<s>",)]
    words = ["<unk>", *sorted({w for (w,) in raw[0]})]
    levels, gammas = [], {}

    @functools.cache
    def probability(ngram):
        if not ngram:
            return 1 / len(words)
        counts, amounts, cut = adjusted[len(ngram) - 1], discounts[len(ngram) - 1], thresholds[len(ngram) - 1]
        context = ngram[:-1]
        following = {g: c for g, c in counts.items() if g[:-1] == context}
        total = sum(following.values())

        def discount(count):
            return min(amounts[min(count, 3) - 1], count)

        left = sum(
            discount(c) if len(g) == 1 or raw[len(g) - 1][g] > cut else c for g, c in following.items()
        )
        gammas[context] = left / total
        count = counts.get(ngram, 0)
        share = (count - discount(count)) / total if count else 0
        return share + gammas[context] * probability(ngram[1:])

    adjusted = []
    for n in range(1, order + 1):
        if n == order:
            adjusted.append(raw[n - 1])
        else:
            before = Counter(g[1:] for g in raw[n])
            adjusted.append({g: c if g[0] == "<s>" else before[g] for g, c in raw[n - 1].items()})
    for n in range(1, order + 1):
        kept = (
            [(word,) for word in words]
            if n == 1
            else [g for g, c in raw[n - 1].items() if c > thresholds[n - 1]]
        )
        levels.append({g: log10(probability(g)) for g in kept})
    return levels, gammas


@given(lines=texts, order=st.integers(1, 4), prune=prunings)
def test_every_number_is_that_of_the_formulas(lines, order, prune) -> None:
    prune = prune[:order]
    result = estimate(read_corpus(lines), order, prune, discount_fallback=True)
    thresholds, _ = check_options(order, prune, True)
    levels, gammas = by_the_formulas(lines, order, thresholds, result.discounts)
    words = result.arpa.words
    for length, (section, expected) in enumerate(zip(result.arpa.sections, levels, strict=True), start=1):
        rows = [tuple(words[index] for index in row) for row in section.words.tolist()]
        found = dict(zip(rows, section.probabilities.tolist(), strict=True))
        if length == 1:
            assert found.pop(("<s>",)) == 0
        assert found.keys() == expected.keys()
        assert found == pytest.approx(expected, abs=1e-5)
        if length < order:
            weights = {g: log10(gammas.get(g, 1)) if g[-1] not in ("</s>", "<unk>") else 0 for g in rows}
            assert dict(zip(rows, section.backoffs.tolist(), strict=True)) == pytest.approx(weights, abs=1e-5)


@given(
    lines=texts,
    order=st.integers(1, 4),
    prune=prunings,
    amounts=st.sampled_from([True, (0.2, 0.9, 2.5), (0, 1, 1)]),
)
def test_probabilities_sum_to_one_after_every_context(lines, order, prune, amounts) -> None:
    model = train_language_model(lines, order, prune[:order], amounts)
    states = {model.start(True), model.start(False)}
    for _ in range(order):
        states |= {model.score(state, word)[1] for state in states for word in [*"abcdé", "missing"]}
    for state in states:
        total = sum(10 ** model.score(state, word)[0] for word in model.words if word != "<s>")
        assert total == pytest.approx(1, abs=1e-5)


@same_folder
@given(lines=texts, order=st.integers(1, 4), prune=prunings, ending=st.sampled_from([".arpa", ".arpa.gz"]))
def test_a_file_there_and_back_is_the_same_model(tmp_path, lines, order, prune, ending) -> None:
    model = train_language_model(lines, order, prune[:order], True)
    path = tmp_path / f"model{ending}"
    model.write(path)
    back = NGramModel.read(path)
    assert back.words == model.words
    for one, other in zip(back.arrays, model.arrays, strict=True):
        np.testing.assert_array_equal(one, other)
    content = path.read_bytes()
    back.write(path)
    assert path.read_bytes() == content


@same_folder
@given(lines=texts, order=st.integers(1, 4), prune=prunings, seed=st.integers(0, 99))
def test_the_order_of_the_sentences_does_not_matter(tmp_path, lines, order, prune, seed) -> None:
    shuffled = random.Random(seed).sample(lines, len(lines))
    files = [tmp_path / "one.arpa", tmp_path / "other.arpa"]
    for file, those in zip(files, (lines, shuffled), strict=True):
        write_arpa(estimate(read_corpus(those), order, prune[:order], True).arpa, file)
    assert files[0].read_bytes() == files[1].read_bytes()


@given(lines=texts, order=st.integers(2, 4), block=st.integers(1, 7))
def test_text_is_counted_in_blocks(lines, order, block) -> None:
    whole = estimate(read_corpus(lines), order, (0,), True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngram_counts, "_BLOCK", block)
        parts = estimate(read_corpus(lines), order, (0,), True)
    for one, other in zip(whole.arpa.sections, parts.arpa.sections, strict=True):
        for array, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, same)


def test_discounts_are_those_of_the_paper() -> None:
    # Chen and Goodman (1999), equation 26, with n1 = 4, n2 = 2, n3 = 2, n4 = 1 and so Y = 1/2.
    counts = np.array([1, 1, 1, 1, 2, 2, 3, 3, 4, 9])
    assert estimate_discounts(counts, 1) == pytest.approx((1 - 2 / 4, 2 - 3 / 2, 3 - 2 * 1 / 2))


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        ([1, 2, 4], "no 2-gram is counted 3 times"),
        ([2, 3], "no 2-gram is counted 1 time"),
        ([], "no 2-gram is counted 1 time"),
        ([1, 2, 3, 3, 3, 3], "those of 2-grams come out as 0.333, -2, 3"),
    ],
)
def test_too_small_a_text_names_the_way_out(counts, fault) -> None:
    with pytest.raises(BadDiscountError, match=fault) as caught:
        estimate_discounts(np.array(counts, np.int64), 2)
    assert "--discount-fallback (discount_fallback=True)" in str(caught.value)
    assert estimate_discounts(np.array(counts, np.int64), 2, (0.5, 1.0, 1.5)) == (0.5, 1.0, 1.5)


def test_an_artificial_text_needs_the_fallback() -> None:
    with pytest.raises(BadDiscountError, match="too small, or too regular"):
        train_language_model(["a b c"] * 5)
    assert "b" in train_language_model(["a b c"] * 5, discount_fallback=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "holds no words"),
        (["", "  \n"], "holds no words"),
        (["a", "b <s> c"], r"Sentence 2 holds <s>"),
        (["a </s>"], r"Sentence 1 holds </s>"),
        (["<unk>"], r"Sentence 1 holds <unk>"),
    ],
)
def test_texts_that_no_model_can_be_made_of(lines, message) -> None:
    with pytest.raises(ValueError, match=message):
        train_language_model(lines, discount_fallback=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": 0}, "order must be a whole number from 1 to 10; got 0"),
        ({"order": 11}, "got 11"),
        ({"order": 2.0}, "got 2.0"),
        ({"prune": (1,)}, "the first 0"),
        ({"prune": (0, 2, 1)}, "none less than"),
        ({"prune": (0, 0, 0, 1)}, "at most 3 whole numbers"),
        ({"prune": (0, 0.5)}, "whole numbers"),
        ({"discount_fallback": (0.5, 1)}, "three numbers"),
        ({"discount_fallback": (0.5, 3, 1)}, "at most 1, 2 and 3"),
    ],
)
def test_options_out_of_range(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        train_language_model(["a b"], **options)


def test_words_that_no_file_can_hold(tmp_path) -> None:
    model = train_language_model(["a \udc80"], discount_fallback=True)
    with pytest.raises(ValueError, match="is no text that can be written as UTF-8"):
        model.write(tmp_path / "model.arpa")
    assert not list(tmp_path.iterdir())


def test_librispeech_is_what_lmplz_made_of_it(shared_data) -> None:
    """KenLM's lmplz built the reference of the same sentences: the same n-grams, and every number within a float32's digits."""
    lines = (
        (shared_data / "lm" / "librispeech_train-clean-100.trans.txt")
        .read_text(encoding="utf-8")
        .splitlines()
    )
    found = estimate(read_corpus(line.partition(" ")[2] for line in lines), 3, (0, 0, 1)).arpa
    expected = read_arpa(next((shared_data / "lm").glob("*3gram.arpa.gz")))
    ids = {word: index for index, word in enumerate(found.words)}
    places = np.array([ids[word] for word in expected.words])
    assert len(places) == len(found.words)
    for section, reference in zip(found.sections, expected.sections, strict=True):
        words = places[reference.words]
        order = np.lexsort(words.T[::-1])
        np.testing.assert_array_equal(section.words, words[order])
        np.testing.assert_allclose(section.probabilities, reference.probabilities[order], rtol=0, atol=2e-6)
        np.testing.assert_allclose(section.backoffs, reference.backoffs[order], rtol=0, atol=2e-6)
