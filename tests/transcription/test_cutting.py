"""A recording in pieces: every frame once, each where it was, cut in the pauses, in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcription.streams import CUTS, FIELD, HOP, numbered, pieces
from tfwav2vec2.transcription.cutting import PAUSE_SECONDS, Piece, cut_in_pieces
from tfwav2vec2.transcription.stream_windows import StreamWindows

RATE = 1500  # 50 frames a second
PAUSE = round(PAUSE_SECONDS * RATE)

WINDOWS = st.builds(
    StreamWindows, st.just(HOP), st.just(FIELD), st.integers(0, 12), st.integers(1, 60), st.integers(0, 12)
)


def cut(samples: np.ndarray, windows: StreamWindows, at_pauses: bool = True) -> list[Piece]:
    return list(cut_in_pieces([samples], windows, RATE, at_pauses=at_pauses))


@given(
    windows=WINDOWS,
    total=st.integers(0, 9000),
    cuts=CUTS,
    quiet=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 1500)), max_size=6),
    at_pauses=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_frame_comes_once_with_the_samples_that_it_hears(
    windows: StreamWindows,
    total: int,
    cuts: list[int],
    quiet: list[tuple[int, int]],
    at_pauses: bool,
    seed: int,
) -> None:
    # Noise with silent stretches, whose samples tell their place nevertheless: by what is added to find it again.
    sound = np.random.default_rng(seed).normal(size=total).astype(np.float32)
    for start, length in quiet:
        sound[start : start + length] = 0
    parts = pieces(sound, cuts)
    found = list(cut_in_pieces(parts, windows, RATE, at_pauses=at_pauses))
    assert [piece.start for piece in found] == np.cumsum([0, *(piece.frames for piece in found)])[
        :-1
    ].tolist()
    assert sum(piece.frames for piece in found) == windows.frames_in(total)
    for before, piece in zip([None, *found], found, strict=False):
        assert piece.frames >= 1
        begin = (piece.start - piece.first) * HOP
        np.testing.assert_array_equal(piece.samples, sound[begin : begin + len(piece.samples)])
        assert windows.frames_in(len(piece.samples)) >= piece.first + piece.frames
        assert len(piece.samples) <= windows.window
        assert piece.from_pause == (before is None or before.to_pause)
        if piece.from_pause:
            assert piece.first == 0
        else:
            assert piece.first == min(windows.left, piece.start)
    if found:
        assert found[-1].to_pause
        end = (found[-1].start - found[-1].first) * HOP + len(found[-1].samples)
        assert end == total or (total - HOP < end and len(found[-1].samples) == windows.window)


def speech(seconds: float, level: float = 0.3, seed: int = 0) -> np.ndarray:
    """Noise whose loudness goes up and down five times a second, as syllables do, and never away."""
    samples = round(seconds * RATE)
    syllables = 0.6 + 0.4 * np.sin(2 * np.pi * 5 * np.arange(samples) / RATE)
    noise = np.random.default_rng(seed).normal(size=samples)
    return (level * syllables * noise).astype(np.float32)


def breath(seconds: float, level: float = 0.002) -> np.ndarray:
    return (level * np.random.default_rng(1).normal(size=round(seconds * RATE))).astype(np.float32)


TEN_SECONDS = StreamWindows(HOP, FIELD, 50, 400, 50)


@pytest.mark.parametrize("level", [0.0, 0.002, 0.008])
@pytest.mark.parametrize("pause", [0.4, 1.0, 3.0])
def test_a_cut_lies_in_the_middle_of_a_pause(pause: float, level: float) -> None:
    sound = np.concatenate([speech(8), breath(pause, level), speech(8 - pause, seed=2)])
    first, second = cut(sound, TEN_SECONDS)
    assert first.to_pause
    assert second.from_pause
    assert second.start / 50 == pytest.approx((8 + min(8 + pause, 10)) / 2, abs=0.15)
    assert second.first == 0  # and hears nothing of what came before


def test_an_early_pause_is_better_than_none() -> None:
    sound = np.concatenate([speech(3), breath(0.6), speech(12)])
    first, *rest = cut(sound, TEN_SECONDS)
    assert first.to_pause
    assert first.frames / 50 == pytest.approx(3.3, abs=0.1)
    assert not rest[0].to_pause  # 12 s of speech follow


def test_speech_without_a_pause_is_cut_with_context() -> None:
    sound = speech(25)
    first, second, *_ = cut(sound, TEN_SECONDS)
    assert not first.to_pause
    assert 330 < first.frames <= 450
    assert len(first.samples) == (first.frames + 50 - 1) * HOP + FIELD
    assert (second.first, second.start) == (50, first.frames)


def test_a_quiet_speaker_behind_a_loud_one_is_no_pause() -> None:
    sound = np.concatenate([speech(4, 0.5), speech(16, 0.05)])
    assert not cut(sound, TEN_SECONDS)[0].to_pause


def test_a_short_gap_inside_a_word_is_no_pause() -> None:
    sound = np.concatenate([speech(8), np.zeros(round(0.12 * RATE), np.float32), speech(8)])
    assert not cut(sound, TEN_SECONDS)[0].to_pause


def test_a_constant_that_the_microphone_adds_hides_no_pause() -> None:
    sound = np.concatenate([speech(8), breath(1), speech(7)]) + np.float32(0.2)
    assert cut(sound, TEN_SECONDS)[0].to_pause


def test_strides_are_all_alike() -> None:
    found = cut(numbered(60 * RATE), TEN_SECONDS, at_pauses=False)
    assert found[0].frames == 450  # nothing is before it
    assert {piece.frames for piece in found[1:-1]} == {400}
    assert {piece.first for piece in found[1:]} == {50}
    assert [piece.from_pause for piece in found] == [True, *[False] * (len(found) - 1)]


@pytest.mark.parametrize("at_pauses", [True, False])
def test_memory_does_not_grow_with_the_recording(at_pauses: bool) -> None:
    def endless(blocks: int) -> Iterator[np.ndarray]:
        for _ in range(blocks):
            yield speech(5)

    peaks = []
    for blocks in (20, 200):
        tracemalloc.start()
        for _ in cut_in_pieces(endless(blocks), TEN_SECONDS, RATE, at_pauses=at_pauses):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert peaks[1] < 30 * 4 * RATE * 8
