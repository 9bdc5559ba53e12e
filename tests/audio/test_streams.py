"""Audio in blocks is the audio in one piece, in the memory of a block."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio.test_loading import encode, tone
from tfwav2vec2.audio import sound_file, streams
from tfwav2vec2.audio.loading import load_audio
from tfwav2vec2.audio.streams import stream_audio


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_the_blocks_of_a_file_are_the_file(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_file, "BLOCK_SAMPLES", 1000)
    content = encode(tone(2.0, rate), rate, "FLAC")
    blocks = list(stream_audio(content))
    assert len(blocks) > 10
    assert all(block.dtype == np.float32 and block.ndim == 1 and len(block) for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), load_audio(content))


@given(st.integers(1, 5000), st.integers(50, 3000), st.sampled_from([16_000, 22_050]))
@settings(max_examples=30)
def test_the_blocks_of_an_array_are_the_array(samples: int, block: int, rate: int) -> None:
    sound = np.random.default_rng(samples).normal(size=samples)
    with pytest.MonkeyPatch.context() as patch:
        whole = load_audio(sound, source_rate=rate)
        patch.setattr(streams, "ARRAY_BLOCK", block)
        np.testing.assert_array_equal(np.concatenate(list(stream_audio(sound, source_rate=rate))), whole)


def test_a_file_is_read_as_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_file, "BLOCK_SAMPLES", 16_000)
    content = encode(tone(10), kind="FLAC")
    blocks = stream_audio(content[: len(content) * 3 // 4])  # its end is missing
    assert len(next(blocks)) == 16_000
    with pytest.raises(ValueError, match=r"<bytes> is (damaged after|cut short)"):
        list(blocks)


def test_ten_minutes_take_the_memory_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 44_100, 1) as file:
        second = np.zeros(44_100, np.float32)
        for _ in range(600):
            file.write(second)
    tracemalloc.start()
    try:
        total = sum(len(block) for block in stream_audio(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 600 * 16_000
    assert peak < 8 * 2**20


def test_a_stream_that_is_left_closes_its_file(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    path.write_bytes(encode(tone(60)))
    blocks = stream_audio(path)
    next(blocks)
    blocks.close()
    # And an open file stays its owner's.
    with io.BytesIO(path.read_bytes()) as file:
        next(stream_audio(file))
        assert not file.closed


def test_arguments_are_judged_at_once() -> None:
    with pytest.raises(ValueError, match="pass source_rate"):
        stream_audio(tone())
    with pytest.raises(ValueError, match="leave it out"):
        stream_audio("clip.wav", source_rate=16_000)
    with pytest.raises(ValueError, match=r"lasts more than 0\.5 s"):
        list(stream_audio(tone(), source_rate=16_000, max_seconds=0.5))
