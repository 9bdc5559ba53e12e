from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recipes.spoken_digits.corpus import WORDS, by_speaker, written
from recipes.spoken_digits.strings import (
    FADE,
    augmented_string,
    cut_tight,
    draw_clips,
    fade,
    join,
    plain_string,
    plain_strings,
)
from tfwav2vec2.audio.loading import SAMPLE_RATE


def pitch(samples: np.ndarray) -> float:
    return np.argmax(np.abs(np.fft.rfft(samples))) * SAMPLE_RATE / len(samples)


def test_joined_pieces_lie_where_the_pauses_say():
    pieces = [np.full(1000, 0.5, np.float32), np.full(800, -0.25, np.float32)]
    joined = join(pieces, [0.01, 0.02, 0.03])
    assert len(joined) == 160 + 1000 + 320 + 800 + 480
    assert not joined[:160].any()
    assert not joined[1160:1480].any()
    assert not joined[-480:].any()
    np.testing.assert_array_equal(joined[160 + FADE : 1160 - FADE], 0.5)
    np.testing.assert_array_equal(joined[1480 + FADE : 2280 - FADE], -0.25)


def test_joining_needs_a_pause_on_both_sides_of_every_piece():
    with pytest.raises(ValueError, match="1 pieces need 2 pauses around them; got 1"):
        join([np.ones(10, np.float32)], [0.1])


@pytest.mark.parametrize("length", [0, 1, 2, 50, 1000])
def test_fading_keeps_the_length_and_starts_at_zero(length):
    faded = fade(np.ones(length, np.float32))
    assert faded.shape == (length,)
    assert length < 2 or (faded[0] == 0 and faded[-1] == 0)
    assert length <= 2 * FADE or faded[length // 2] == 1


@given(words=st.integers(0, 8), seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_the_transcript_is_what_the_clips_say(tones, surroundings, words, seed):
    for string in (
        plain_string(tones, words, np.random.default_rng(seed)),
        augmented_string(tones, words, surroundings, np.random.default_rng(seed)),
    ):
        assert len(string.words) == words
        assert list(string.words) == [WORDS[int(name[0])] for name in string.sources]
        assert string.text == written(string.words)
        assert string.samples.dtype == np.float32
        assert np.isfinite(string.samples).all()
        assert np.abs(string.samples).max() <= 1.0
        assert len(string.samples) >= sum(0.2 * SAMPLE_RATE / 1.2 for _ in string.words)


def test_a_tight_cut_leaves_what_is_loud_enough():
    time = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    vowel = np.sin(2 * np.pi * 300 * time)
    clip = np.concatenate([0.1 * vowel, vowel, 0.01 * vowel]).astype(np.float32)
    assert len(cut_tight(clip, 10.0)) == pytest.approx(len(vowel), abs=400)
    assert len(cut_tight(clip, 30.0)) == pytest.approx(2 * len(vowel), abs=400)
    np.testing.assert_array_equal(cut_tight(clip, 30.0), clip[: len(cut_tight(clip, 30.0))])
    assert len(cut_tight(clip, 60.0)) == pytest.approx(len(clip), abs=10)
    hiss = np.random.default_rng(0).standard_normal(8000)
    high = np.fft.irfft(np.where(np.fft.rfftfreq(8000, 1 / SAMPLE_RATE) > 5000, np.fft.rfft(hiss), 0))
    fricative = np.concatenate([high, vowel]).astype(np.float32)  # a telephone does not hear the first half
    assert len(cut_tight(fricative, 20.0)) == pytest.approx(len(vowel), abs=400)


def test_the_sound_follows_the_transcript(tones):
    string = plain_string(tones, 5, np.random.default_rng(3))
    loud = np.abs(string.samples) > 0
    # Runs of sound, parted by at least 50 ms of silence.
    places = np.flatnonzero(loud)
    cuts = np.flatnonzero(np.diff(places) > 0.04 * SAMPLE_RATE)
    runs = np.split(places, cuts + 1)
    pitches = [pitch(string.samples[run[0] : run[-1] + 1]) for run in runs]
    assert [WORDS[round((hertz - 300) / 100)] for hertz in pitches] == list(string.words)


def test_seeds_reproduce(tones, surroundings):
    first, again, other = (
        augmented_string(tones, 4, surroundings, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first.samples, again.samples)
    assert first.words == again.words
    assert first.samples.shape != other.samples.shape or (first.samples != other.samples).any()


def test_phrases_count_all_their_words(tones):
    phrase = type(tones[0])(tones[0].samples, ("ONE", "TWO", "SIX"), "eve", "phrase")
    for words in range(1, 9):
        chosen = draw_clips([*tones[:3], phrase, phrase], words, np.random.default_rng(words))
        assert sum(len(clip.words) for clip in chosen) == words
    with pytest.raises(ValueError, match="one word"):
        draw_clips([phrase], 4, np.random.default_rng(0))


def test_plain_strings_are_of_one_pool_and_every_length(tones):
    pools = by_speaker(tones)
    strings = plain_strings(pools.values(), 2, seed=5)
    assert [len(string.words) for string in strings] == [
        length for _ in pools for length in range(1, 9) for _ in "12"
    ]
    for number, string in enumerate(strings):
        speaker = list(pools)[number // 16]
        assert all(speaker in name for name in string.sources)
    again = plain_strings(pools.values(), 2, seed=5)
    assert [string.sources for string in strings] == [string.sources for string in again]
