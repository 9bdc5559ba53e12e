"""Recordings in other voices: what is changed, and by how much."""

from __future__ import annotations

import numpy as np
import pytest

from recipes.spoken_digits.corpus import Clip
from recipes.spoken_digits.voices import FORMANTS, PITCH, Voice, revoice, revoiced_clips, voices_of
from tfwav2vec2.audio.loading import SAMPLE_RATE

pyworld = pytest.importorskip("pyworld", reason="new voices are made with pyworld")


def vowel(pitch: float, formant: float, seconds: float = 0.6) -> np.ndarray:
    """Harmonics of a pitch under one resonance, as a throat has it."""
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    made = np.zeros(len(time))
    for partial in range(1, int(SAMPLE_RATE / 2 / pitch)):
        gain = 1 / (1 + ((partial * pitch - formant) / 150) ** 2) + 0.02 / partial
        made += gain * np.sin(2 * np.pi * partial * pitch * time + partial**2)
    return (0.2 * made / np.abs(made).max()).astype(np.float32)


def pitch_of(samples: np.ndarray) -> float:
    pitch, _ = pyworld.harvest(samples.astype(np.float64), SAMPLE_RATE)
    return float(np.median(pitch[pitch > 0]))


def resonance_of(samples: np.ndarray) -> float:
    x = samples.astype(np.float64)
    pitch, times = pyworld.harvest(x, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(x, pitch, times, SAMPLE_RATE).mean(axis=0)
    return float(envelope.argmax()) * SAMPLE_RATE / 2 / (len(envelope) - 1)


@pytest.mark.parametrize("pitch", [0.75, 1.0, 1.8])
@pytest.mark.parametrize("formants", [0.85, 1.0, 1.2])
def test_pitch_and_formants_move_by_themselves(pitch: float, formants: float) -> None:
    (made,) = revoice(vowel(120, 1500), [Voice(pitch, formants, 1.0)])
    assert pitch_of(made) == pytest.approx(120 * pitch, rel=0.03)
    assert resonance_of(made) == pytest.approx(1500 * formants, rel=0.06)


def test_length_and_level_stay() -> None:
    samples = vowel(110, 900)
    for made in revoice(samples, [Voice.draw(np.random.default_rng(seed)) for seed in range(4)]):
        assert len(made) == pytest.approx(len(samples), abs=SAMPLE_RATE // 100)
        assert np.sqrt(np.mean(made**2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=1e-3)


def test_what_has_no_pitch_passes() -> None:
    noise = 0.1 * np.random.default_rng(0).normal(size=8000).astype(np.float32)
    (made,) = revoice(noise, [Voice(1.5, 1.1, 1.0)])
    assert np.isfinite(made).all()
    (made,) = revoice(np.zeros(8000, np.float32), [Voice(1.5, 1.1, 1.0)])
    assert np.isfinite(made).all()


def test_voices_are_a_speakers_and_always_the_same() -> None:
    voices = voices_of("ann", 50, seed=0)
    assert voices == voices_of("ann", 50, seed=0)
    assert voices[:10] == voices_of("ann", 10, seed=0)
    assert voices != voices_of("bob", 50, seed=0)
    for voice in voices:
        assert PITCH[0] <= voice.pitch <= PITCH[1]
        assert FORMANTS[0] <= voice.formants <= FORMANTS[1]
    high = [voice.formants for voice in voices if voice.pitch > 1.3]
    low = [voice.formants for voice in voices if voice.pitch < 1.1]
    assert np.mean(high) > np.mean(low)


def test_clips_come_back_from_the_cache(tmp_path) -> None:
    clips = [Clip(vowel(120, 900, 0.2), ("ONE",), "ann", "1_ann_0.wav")]
    made = revoiced_clips(clips, tmp_path, count=3)
    assert [clip.speaker for clip in made] == ["ann*0", "ann*1", "ann*2"]
    assert {clip.words for clip in made} == {("ONE",)}
    assert len({clip.name for clip in made}) == 3
    (file,) = tmp_path.iterdir()
    before = file.stat().st_mtime_ns
    again = revoiced_clips(clips, tmp_path, count=3)
    assert file.stat().st_mtime_ns == before
    for one, other in zip(made, again, strict=True):
        np.testing.assert_array_equal(one.samples, other.samples)
