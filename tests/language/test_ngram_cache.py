"""Copies of large models: as good as the file, and never better than nothing where they are damaged."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.language.arpa_files import random_ngrams, write_arpa
from tfwav2vec2.language import ngram_cache, ngram_lm
from tfwav2vec2.language.ngram_lm import NGramModel


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(ngram_cache, "_SMALLEST_FILE", 10)
    monkeypatch.setenv("TFWAV2VEC2_CACHE", str(tmp_path / "cache"))
    return write_arpa(tmp_path / "model.arpa", random_ngrams(["A", "B", "Ü"], 3, np.random.default_rng(0)))


def copies(tmp_path) -> list:
    return sorted((tmp_path / "cache" / "ngram-models").glob("*"))


def assert_same(one: NGramModel, other: NGramModel) -> None:
    assert (one.words, one.order, one.unknown, one.path) == (
        other.words,
        other.order,
        other.unknown,
        other.path,
    )
    for array, same in zip(one.arrays, other.arrays, strict=True):
        assert array.dtype == same.dtype
        np.testing.assert_array_equal(array, same)


def test_the_second_time_the_file_is_not_read(file, tmp_path, monkeypatch) -> None:
    first = NGramModel.read(file)
    assert len(copies(tmp_path)) == 1
    monkeypatch.setattr(ngram_lm, "read_arpa", None)
    assert_same(NGramModel.read(file), first)


def test_a_file_that_changed_is_read_again(file, tmp_path) -> None:
    NGramModel.read(file)
    write_arpa(file, random_ngrams(["A", "C"], 2, np.random.default_rng(1)))
    assert NGramModel.read(file).order == 2
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    NGramModel.read(file)
    assert len(copies(tmp_path)) == 3


def test_a_damaged_copy_is_replaced(file, tmp_path) -> None:
    expected = NGramModel.read(file)
    (copy,) = copies(tmp_path)
    good = copy.read_bytes()
    for damaged in (b"", b"no archive", good[:-30], good[:500] + b"\xff" + good[501:]):
        copy.write_bytes(damaged)
        assert_same(NGramModel.read(file), expected)
        assert ngram_cache.load(file) is not None


@pytest.mark.parametrize("number", range(5))
def test_numbers_that_lead_nowhere_are_not_followed(file, tmp_path, number) -> None:
    model = NGramModel.read(file)
    (copy,) = copies(tmp_path)
    arrays = [array.copy() for array in model.arrays]
    arrays[number][len(arrays[number]) // 2] = np.nan if number in (1, 4) else 10_000
    text = np.frombuffer("\n".join(model.words).encode(), np.uint8)
    with copy.open("wb") as opened:
        np.savez(opened, words=text, **{str(index): array for index, array in enumerate(arrays)})
    assert ngram_cache.load(file) is None


def test_where_nothing_can_be_kept_the_file_is_read_all_the_same(file, tmp_path, monkeypatch) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert "A" in NGramModel.read(file)
    monkeypatch.setenv("TFWAV2VEC2_CACHE", "")
    assert "A" in NGramModel.read(file)
    assert ngram_cache.copy_of(file) is None


def test_old_copies_go(file, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(ngram_cache, "_MOST_COPIES", 2)
    for number in range(4):
        os.utime(file, ns=(number, number))
        NGramModel.read(file)
    assert len(copies(tmp_path)) == 2
