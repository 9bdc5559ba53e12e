from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.yesno.silence import SilenceAround
from recipes.yesno.spans import spans, word_times
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import from_arrays, read_manifest

WORD, PAUSE = 0.3, 0.4


def clip(words: int, pause: float = PAUSE) -> np.ndarray:
    """So many tones with pauses around them, on a floor of noise."""
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(WORD * SAMPLE_RATE)) / SAMPLE_RATE)
    silence = np.zeros(round(pause * SAMPLE_RATE))
    samples = np.concatenate([silence, *(piece for _ in range(words) for piece in (tone, silence))])
    return (samples + 1e-3 * np.random.default_rng(0).normal(size=len(samples))).astype("float32")


def example_of(words: str, waveform: np.ndarray) -> Example:
    (example,) = from_arrays([waveform], [words], SAMPLE_RATE)
    return example


@settings(max_examples=10, deadline=None)
@given(words=st.integers(1, 8), pause=st.floats(0.3, 0.6))
def test_words_are_found_between_their_pauses(words: int, pause: float) -> None:
    times = word_times(clip(words, pause))
    begins = [pause + index * (WORD + pause) for index in range(words)]
    assert len(times) == words
    np.testing.assert_allclose(times, [(begin - 0.1, begin + WORD + 0.1) for begin in begins], atol=0.04)


def test_a_run_says_what_stands_in_it() -> None:
    said = [f"w{index}" for index in range(8)]
    waveform = clip(8)
    times = word_times(waveform)
    found = list(spans([example_of(" ".join(said), waveform)], {1: 2, 2: 1, 6: 1}, whole=3))
    assert len({example.id for example in found}) == len(found)
    for example in found:
        words = str(example.target).split()
        first = said.index(words[0])
        assert words == said[first : first + len(words)]
        if len(words) < len(said):
            assert (example.start, example.end) == (times[first][0], times[first + len(words) - 1][1])
        else:
            assert (example.start, example.end) == (0.0, None)
    assert Counter(len(str(example.target).split()) for example in found) == {1: 4, 2: 7, 6: 3, 8: 3}


def test_a_clip_with_other_words_than_it_seems_to_have_stays_whole() -> None:
    found = list(spans([example_of("one two three", clip(5))]))
    assert {(example.target, example.start, example.end) for example in found} == {
        ("one two three", 0.0, None)
    }


def test_nearly_all_recordings_fall_into_their_eight_words(shared_data) -> None:
    clips = [
        example for example in read_manifest(shared_data / "manifest.tsv") if example.id.startswith("yesno/")
    ]
    if not clips:
        pytest.skip("the folder of recordings has no yesno")
    cut = {example.id.partition("@")[0] for example in spans(clips) if example.end is not None}
    assert len(cut) >= 0.9 * len(clips)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), samples=st.integers(1, 4000), most=st.floats(0.0, 3.0))
def test_a_clip_is_whole_in_the_silence_around_it(seed: int, samples: int, most: float) -> None:
    around = SilenceAround(most)
    waveform = np.random.default_rng(seed).normal(size=samples).astype("float32")
    result = around(waveform, np.random.default_rng(seed))
    assert result.dtype == np.float32
    assert samples <= len(result) <= around.stretch * samples
    (begin,) = (
        start
        for start in range(len(result) - samples + 1)
        if np.array_equal(result[start : start + samples], waveform)
    )
    outside = np.delete(result, np.s_[begin : begin + samples])
    if samples < SAMPLE_RATE // 50:  # too short to say how loud its silence is
        assert not outside.any()


def test_silence_is_as_soft_as_the_clips_own() -> None:
    waveform = clip(3)
    result = SilenceAround(2.0)(waveform, np.random.default_rng(1))
    added = len(result) - len(waveform)
    begin = next(
        start for start in range(added + 1) if np.array_equal(result[start : start + len(waveform)], waveform)
    )
    outside = np.delete(result, np.s_[begin : begin + len(waveform)])
    assert len(outside) == added > 0
    assert 0.5e-3 < np.std(outside) < 1.1e-3  # the floor of noise has 1e-3; its quietest 20 ms somewhat less
