"""The arithmetic of windows: whole numbers that a port to another language is held to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tiny import TINY
from tests.transcription.streams import CONFIG, FIELD, HOP
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.transcription.stream_windows import StreamWindows

WINDOWS = st.builds(
    lambda hop, beyond, **frames: StreamWindows(hop, hop + beyond, **frames),
    hop=st.integers(1, 9),
    beyond=st.integers(0, 30),
    left=st.integers(0, 7),
    chunk=st.integers(1, 5),
    right=st.integers(0, 6),
)


def played(windows: StreamWindows, total: int, whole: bool) -> list[tuple[int, int, int, int]]:
    """The module's three steps on a stream of ``total`` samples, sample by sample.

    For each window its first sample (negative in the silence before the stream), how many samples of it count, and which
    frames of its answer are kept.
    """
    calls, filled, done = [], windows.before, 0

    def call(count: int) -> None:
        nonlocal done
        unheard = 0 if whole else windows.silence(done)
        start = done * windows.hop - windows.before + unheard
        calls.append(
            (start, windows.window if whole else filled - unheard, *windows.kept(done, count, whole))
        )
        done += count

    for _ in range(total):
        filled += 1
        if filled == windows.window:
            call(windows.chunk)
            filled -= windows.step
    if rest := windows.frames_in(total) - done:
        call(rest)
    return calls


@given(windows=WINDOWS, total=st.integers(0, 400), whole=st.booleans())
def test_every_frame_is_kept_once_with_its_context(windows: StreamWindows, total: int, whole: bool) -> None:
    kept = []
    for start, count, first, end in played(windows, total, whole):
        assert start % windows.hop == 0
        assert count <= windows.window
        assert whole or (start >= 0 and start + count <= total)  # the stream's own samples alone
        offset = start // windows.hop
        kept += range(offset + first, offset + end)
        assert first == (windows.left if whole else min(windows.left, offset + first))
        assert 0 < end <= windows.frames_in(count)
    assert kept == list(range(windows.frames_in(total)))


@given(windows=WINDOWS, total=st.integers(0, 400))
def test_whole_windows_are_constant_and_a_step_apart(windows: StreamWindows, total: int) -> None:
    calls = played(windows, total, whole=True)
    assert [start for start, *_ in calls] == [
        -windows.before + index * windows.step for index in range(len(calls))
    ]
    assert {count for _, count, _, _ in calls} <= {windows.window}
    assert all(end - first == windows.chunk for _, _, first, end in calls[:-1])


@given(samples=st.integers(0, 5000))
def test_frames_are_those_of_the_model(samples: int) -> None:
    windows = StreamWindows.of(CONFIG, 3, 2, 1)
    assert (windows.hop, windows.receptive_field) == (HOP, FIELD)
    assert windows.frames_in(samples) == frame_lengths(CONFIG, samples)


def test_a_base_models_second() -> None:
    """Numbers worked out by hand: 20 ms a frame of 25 ms."""
    windows = StreamWindows.of(Wav2Vec2Config(), left=50, chunk=20, right=10)
    assert windows == StreamWindows(hop=320, receptive_field=400, left=50, chunk=20, right=10)
    assert (windows.window, windows.step, windows.before) == (79 * 320 + 400, 6400, 16_000)
    assert windows.latency == 29 * 320 + 400
    assert [windows.silence(done) for done in (0, 20, 40, 60)] == [16_000, 9600, 3200, 0]
    assert [windows.kept(done, 20, whole=False) for done in (0, 20, 40, 60)] == [
        (0, 20), (20, 40), (40, 60), (50, 70),
    ]  # fmt: skip
    assert windows.kept(0, 7, whole=True) == (50, 57)


@pytest.mark.parametrize(
    ("name", "value"), [("hop", 0), ("receptive_field", 319), ("left", -1), ("chunk", 0), ("right", 1.0), ("chunk", True)]
)  # fmt: skip
def test_other_numbers_are_refused(name: str, value: object) -> None:
    fields = {"hop": 320, "receptive_field": 400, "left": 1, "chunk": 1, "right": 1, name: value}
    with pytest.raises(ValueError, match=f"{name} must be a whole number from \\d+ on"):
        StreamWindows(**fields)


def test_a_convolutional_adapter_cannot_be_streamed() -> None:
    with pytest.raises(ValueError, match="convolutional adapter"):
        StreamWindows.of(Wav2Vec2Config(**TINY, add_adapter=True), 1, 1, 1)
