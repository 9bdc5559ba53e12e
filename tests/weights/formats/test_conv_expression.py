"""fairseq's text for convolutions, against Python's own reading of it."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.weights.formats.conv_expression import Convolution, parse_convolutions

triples = st.tuples(*[st.integers(1, 2000)] * 3)
lists = st.lists(triples, min_size=1, max_size=3)


@st.composite
def expressions(draw: st.DrawFn) -> str:
    """Lists, repeated on either side or not, and joined."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        part, times = str(draw(lists)), draw(st.integers(1, 4))
        parts.append(draw(st.sampled_from([part, f"{part} * {times}", f"{times}*{part}", f"({part})"])))
    return draw(st.sampled_from(["", " ", "\n"])) + draw(st.sampled_from([" + ", "+"])).join(parts)


@given(expressions())
def test_reads_what_python_reads(text: str) -> None:
    assert parse_convolutions(text) == eval(text.strip())


def test_the_published_one() -> None:
    expected: list[Convolution] = [(512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2]
    assert parse_convolutions("[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "512",
        "(512, 10, 5)",
        "[(512, 10)]",
        "[(512, 10, 5.0)]",
        "[(512, 10, True)]",
        "[(512, 10, 0)]",
        "[(512, 10, -5)]",
        "[(512, 10, 'a')]",
        "[(512, 10, 2 + 3)]",
        "[(512, 10, 5)] * -1",
        "[(512, 10, 5)] * 0",
        "[(512, 10, 5)] * True",
        "[(512, 10, 5)] * 101",
        "[(512, 10, 5)] * 100 * 100",
        "[(512, 10, 5)] * 10**9",
        "[(512, 10, 5)] * 9999999999999999999999",
        "[(512, 10, 5)] - [(512, 10, 5)]",
        "[(512, 10, 5)] + (512, 10, 5)",
        "[(512, 10, 5)] * [(512, 10, 5)]",
        "[layer for layer in [(512, 10, 5)]]",
        "__import__('os').system('true')",
        "open('x', 'w')",
        "[(512, 10, 5)] if True else []",
        "(lambda: [(512, 10, 5)])()",
        "x := [(512, 10, 5)]",
        "[*[(512, 10, 5)]]",
        "(" * 500,
        "[" * 900,
        "-" * 900 + "1",
        "[(512, 10, 5)] + " * 60,
        "[(512, 10, 5)]" + " " * 2000,
        "\x00",
        "1" * 999,
    ],
)
def test_refuses_everything_else_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match="must be a list of"):
        parse_convolutions(text)
    assert time.process_time() - start < 1


@given(st.text(alphabet="[]()+*, 0123456789x'\n", max_size=60))
def test_any_text(text: str) -> None:
    with suppress(ValueError):
        assert all(len(layer) == 3 for layer in parse_convolutions(text))
