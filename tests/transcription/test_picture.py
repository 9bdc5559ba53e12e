from __future__ import annotations

import struct
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from tfwav2vec2.transcription.picture import (
    READABLE_SECONDS,
    LetterProbabilities,
    plot_alignment,
    readable_part,
)
from tfwav2vec2.transcription.transcript import TimedWord

RATE = 16_000
WORDS = [TimedWord("one", 0.4, 0.8, 0.9), TimedWord("$two$", 0.9, 0.95), TimedWord("שלום", 1.2, 1.9, 0.1)]


def tone(seconds: float) -> np.ndarray:
    return np.sin(np.arange(round(seconds * RATE)) / 20).astype(np.float32)


def letters(seconds: float, labels: str = "-AB ") -> LetterProbabilities:
    """A label at a time, each for a while."""
    frames = round(seconds * 50)
    logits = np.full((frames, len(labels)), -4.0, np.float32)
    logits[np.arange(frames), np.arange(frames) // 7 % len(labels)] = 4
    return LetterProbabilities(logits, list(labels), 0.02, blank=0)


def size(path: Path) -> tuple[int, int]:
    """Width and height as the PNG's header says them."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", data[16:24])


def ink(path: Path) -> float:
    """The share of pixels that are not white."""
    return float((matplotlib.image.imread(path)[:, :, :3] < 0.99).any(axis=2).mean())


def test_a_picture_shows_the_whole_of_ten_seconds(tmp_path):
    path = tmp_path / "talk.png"
    assert plot_alignment(path, tone(10), RATE, WORDS, letters(10), title="talk.wav") == (0.0, 10.0)
    width, height = size(path)
    assert width >= 10 * 150  # pixels a second, at which words can be read
    assert height < width
    assert ink(path) > 0.1
    assert [each.name for each in tmp_path.iterdir()] == ["talk.png"]


def test_a_long_recording_is_drawn_in_part(tmp_path):
    words = [TimedWord("late", 40.0, 40.5), TimedWord("later", 52.0, 53.0), TimedWord("gone", 90.0, 91.0)]
    path = tmp_path / "long.png"
    assert plot_alignment(path, tone(100), RATE, words, letters(100)) == (39.7, 39.7 + READABLE_SECONDS)
    assert plot_alignment(path, tone(100), RATE, words, letters(100), part=(90.0, 300.0)) == (90.0, 100.0)
    assert size(path)[0] > 1000


@pytest.mark.parametrize(
    ("seconds", "first", "part"),
    [
        (3.0, 1.0, (0.0, 3.0)),
        (60.0, None, (0.0, 15.0)),
        (60.0, 20.0, (19.7, 34.7)),
        (60.0, 58.0, (45.0, 60.0)),
        (60.0, 0.1, (0.0, 15.0)),
    ],
)
def test_the_part_that_is_drawn(seconds, first, part):
    words = () if first is None else (TimedWord("a", first, first + 1),)
    assert readable_part(seconds, words) == pytest.approx(part)


def test_everything_may_be_missing(tmp_path):
    """No words, no letters, a vocabulary of thousands, words on one another, a waveform of nothing."""
    path = tmp_path / "a.png"
    plot_alignment(path, tone(0.01), RATE)
    bare = size(path)
    plot_alignment(path, np.zeros(RATE, np.float32), RATE, [], letters(1))
    assert size(path)[1] > bare[1]
    many = LetterProbabilities(
        np.random.default_rng(0).normal(0, 9, (50, 3000)), list(map(chr, range(0x4E00, 0x4E00 + 3000))), 0.02
    )
    with pytest.warns(UserWarning, match="Glyph"):  # the font that comes along has no Chinese
        plot_alignment(path, tone(1), RATE, [], many)
    assert size(path)[1] < 1500
    plot_alignment(path, tone(1), RATE, [TimedWord("together", 0.5, 0.5)] * 6)
    assert size(path)[1] > bare[1]
    far = LetterProbabilities(np.zeros((5, 4)), list("-AB "), 0.02, blank=0, start=50.0)
    plot_alignment(path, tone(1), RATE, [], far)
    assert size(path) == bare


def test_words_are_drawn_where_they_are_said(tmp_path):
    """A picture of a word differs from one without only in its columns, and the labels' probabilities in theirs."""
    pictures = []
    for words in ([TimedWord("x", 0.1, 0.3)], [TimedWord("x", 1.7, 1.9)]):
        plot_alignment(tmp_path / "a.png", np.zeros(2 * RATE), RATE, words)
        pictures.append(matplotlib.image.imread(tmp_path / "a.png")[:, :, :3])
    columns = np.flatnonzero((pictures[0] != pictures[1]).any(axis=(0, 2)))
    width = pictures[0].shape[1]
    assert columns.min() < 0.25 * width
    assert columns.max() > 0.75 * width
    assert not ((columns > 0.3 * width) & (columns < 0.7 * width)).any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"waveform": np.zeros((2, 5))}, r"one channel, \(samples,\); got the shape \(2, 5\)"),
        ({"waveform": np.zeros(0)}, r"got the shape \(0,\)"),
        ({"part": (2.0, 1.0)}, "no part from 2.0 to 1.0 s"),
        ({"part": (5.0, 6.0)}, "A recording of 1.00 s has no part from 5.0 to 6.0 s"),
        (
            {"letters": LetterProbabilities(np.zeros((9, 3)), ["a"], 0.02)},
            r"of 1 labels; got the shape \(9, 3\)",
        ),
        ({"path": "a.docx"}, "a.docx is no kind of image that can be drawn: choose from .*png"),
    ],
)
def test_what_cannot_be_drawn(tmp_path, changed, message):
    arguments = {"path": "a.png", "waveform": tone(1), "sampling_rate": RATE} | changed
    arguments["path"] = tmp_path / arguments["path"]
    with pytest.raises(ValueError, match=message):
        plot_alignment(**arguments)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"Drawing needs the package matplotlib.*tfwav2vec2\[plot\]"):
        plot_alignment(tmp_path / "a.png", tone(1), RATE)
