"""ARPA files damaged by the line, the number and the byte: an error that names the file, or a model that scores, within the
memory that a file of its size can ask for.
"""

from __future__ import annotations

import gzip
import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.language.arpa_files import random_ngrams, write_arpa
from tfwav2vec2.language.ngram_lm import NGramModel

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)

ODD_NUMBERS = ["-", "+", ".", "1e", "nan", "-inf", "1e999", "-1e-999", "9" * 50, "0x1", "-0", "0", "1_0", "٣"]


@pytest.fixture(scope="module")
def lines(tmp_path_factory) -> list[str]:
    path = tmp_path_factory.mktemp("model") / "model.arpa"
    return (
        write_arpa(path, random_ngrams(["A", "B", "ÀÉ"], 3, np.random.default_rng(3)))
        .read_text("utf-8")
        .splitlines()
    )


def error_or_model(path) -> None:
    message = None
    try:
        model = NGramModel.read(path)
    except OSError as error:
        message = str(error)
    if message is not None:
        assert str(path) in message
        assert "\n" not in message
        return
    for state in (model.start(), model.start(False)):
        for word in ("A", "B", "missing", "A", "ÀÉ", "</s>", "B"):
            score, state = model.score(state, word)
            assert math.isfinite(score)
            assert 0 <= state < len(model.arrays.backoff)


@same_folder
@given(data=st.data())
def test_lines_and_fields_that_are_not_where_they_belong(tmp_path, lines, data) -> None:
    damaged = list(lines)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        kind = data.draw(st.sampled_from(["drop", "twice", "swap", "field", "count", "cut"]))
        if kind == "drop" and len(damaged) > 1:
            del damaged[at]
        elif kind == "twice":
            damaged.insert(data.draw(st.integers(0, len(damaged))), damaged[at])
        elif kind == "swap":
            other = data.draw(st.integers(0, len(damaged) - 1))
            damaged[at], damaged[other] = damaged[other], damaged[at]
        elif kind == "cut":
            damaged = damaged[: at + 1]
        elif kind == "count":
            count = data.draw(st.integers(0, 10**12))
            order = data.draw(st.integers(0, 12))
            damaged[min(data.draw(st.integers(1, 3)), len(damaged) - 1)] = f"ngram {order}={count}"
        else:
            fields = damaged[at].split("\t")
            place = data.draw(st.integers(0, len(fields) - 1))
            fields[place] = data.draw(
                st.sampled_from([*ODD_NUMBERS, "A", "A B", "<s>", "", "\\end\\", "\\data\\"])
            )
            damaged[at] = "\t".join(fields)
    path = tmp_path / "model.arpa"
    path.write_text("\n".join([*damaged, ""]), encoding="utf-8")
    error_or_model(path)


def test_a_gzipped_file_may_end_anywhere(tmp_path, lines) -> None:
    packed = gzip.compress("\n".join([*lines, ""]).encode(), mtime=0)
    path = tmp_path / "model.arpa.gz"
    for length in range(2, len(packed) - 1, 7):
        path.write_bytes(packed[:length])
        with pytest.raises(OSError, match=r"model\.arpa\.gz is a damaged gzip file"):
            NGramModel.read(path)


@same_folder
@given(at=st.integers(2, 300), byte=st.integers(0, 255))
def test_a_gzipped_file_with_another_byte(tmp_path, lines, at, byte) -> None:
    packed = bytearray(gzip.compress("\n".join([*lines, ""]).encode(), mtime=0))
    packed[at % len(packed)] = byte
    path = tmp_path / "model.arpa.gz"
    path.write_bytes(packed)
    error_or_model(path)


@pytest.mark.parametrize("count", [10**4, 10**6, 2**31 - 3, 2**32, 10**12 - 1])
@pytest.mark.parametrize("order", [1, 2, 3])
def test_declared_counts_ask_for_no_memory_that_the_file_does_not_fill(tmp_path, lines, order, count) -> None:
    path = tmp_path / "model.arpa"
    damaged = [f"ngram {order}={count}" if line.startswith(f"ngram {order}=") else line for line in lines]
    path.write_text("\n".join([*damaged, ""]), encoding="utf-8")
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=r"which cannot be|fewer n-grams than the header says"):
            NGramModel.read(path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()
