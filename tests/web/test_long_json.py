"""JSON in pieces is JSON: what is read and written, and what is refused, is what Python's own parser says."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tfwav2vec2.web import long_json

NUMBERS = st.lists(st.one_of(st.integers(-(2**53), 2**53), st.floats(width=32)), max_size=30)
TEXTS = st.text(alphabet='ab",[]{}:\\ 1', max_size=12)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(width=32), TEXTS, NUMBERS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
PIECES = st.integers(1, 40)


def plain(value: Any) -> Any:
    """Lists for arrays, and one kind of number."""
    if isinstance(value, np.ndarray):
        return [plain(each) for each in value.tolist()]
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return "NaN" if value != value else float(value)
    return value


@given(value=VALUES, piece=PIECES, spaces=st.sampled_from([None, 1]))
def test_what_is_read_is_what_python_reads(value: Any, piece: int, spaces: int | None) -> None:
    text = json.dumps(value, indent=spaces)
    assert plain(long_json.loads(text.encode(), piece)) == plain(json.loads(text))


@given(
    text=st.one_of(
        st.text(alphabet='[]{},:"1.e-+ a\\tnul', max_size=40),
        # JSON with a character changed, taken out, or put in.
        st.builds(
            lambda value, place, new: (
                (text := json.dumps(value))[: place % len(text)] + new + text[place % len(text) + 1 :]
            ),
            VALUES,
            st.integers(0, 200),
            st.sampled_from(["", ",", "]", "[", '"', "1", " ", ",,", ":"]),
        ),
    ),
    piece=PIECES,
)
@example(text="[1,2,]", piece=1)
@example(text="[1,2,3,4,,5]", piece=3)
@example(text='[1,"a,]",2]', piece=1)
@example(text="[1,2,3", piece=1)
@example(text="[,1]", piece=1)
@example(text="[1 2,3]", piece=1)
@example(text='{"a":1 "b":2}', piece=1)
@example(text='{"a":1,}', piece=1)
@example(text="[[1],]", piece=1)
@example(text="[1]1", piece=1)
@example(text="     ", piece=1)
def test_what_is_refused_is_what_python_refuses(text: str, piece: int) -> None:
    def read(loads: Any) -> Any:
        try:
            return plain(loads())
        except ValueError:
            return ValueError

    assert read(lambda: long_json.loads(text.encode(), piece)) == read(lambda: json.loads(text))


@given(value=VALUES)
def test_what_is_written_is_what_python_writes(value: Any) -> None:
    assert long_json.dumps(value) == json.dumps(value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[[1]," * 100_000])
def test_too_deep_is_a_recursion_error(text: str) -> None:
    with pytest.raises(RecursionError):
        long_json.loads(text.encode())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_any_encoding_of_json(encoding: str) -> None:
    text = json.dumps({"é": [1.5] * 100}, ensure_ascii=False)
    assert plain(long_json.loads(text.encode(encoding), 8)) == {"é": [1.5] * 100}


def test_others_get_their_turn_meanwhile() -> None:
    """Another thread is never kept waiting for long, where Python's own parser keeps it for the whole time."""
    body = json.dumps({"inputs": {"waveform": [[0.123456789] * 500_000]}}).encode()

    def longest_wait(read: Any) -> tuple[float, float]:
        waits, done = [0.0], threading.Event()

        def tick() -> None:
            while not done.is_set():
                begun = time.perf_counter()
                time.sleep(0.001)
                waits.append(time.perf_counter() - begun)

        thread = threading.Thread(target=tick)
        thread.start()
        begun = time.perf_counter()
        read(body)
        took = time.perf_counter() - begun
        done.set()
        thread.join()
        return max(waits), took

    ours = min(longest_wait(long_json.loads)[0] for _ in range(5))
    theirs = min(longest_wait(json.loads)[0] for _ in range(5))
    assert ours < theirs / 2
