from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from recipes.spoken_digits import augmentation
from recipes.spoken_digits.augmentation import (
    Shares,
    Surroundings,
    babble,
    change_speed,
    change_tempo,
    colour,
    coloured_noise,
    decibels,
    mask,
    rms,
    room,
    telephone,
)
from tfwav2vec2.audio.loading import SAMPLE_RATE


def slope_of(noise: np.ndarray) -> float:
    """Decibels an octave between 200 Hz and 4 kHz."""
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / SAMPLE_RATE)
    low = power[(frequency > 150) & (frequency < 250)].mean()
    high = power[(frequency > 3000) & (frequency < 5000)].mean()
    return 10 * np.log10(high / low) / np.log2(4000 / 200)


@pytest.mark.parametrize(("slope", "decibels_an_octave"), [(0.0, 0.0), (1.0, -3.0), (2.0, -6.0)])
def test_noise_has_its_colour_and_unit_level(slope, decibels_an_octave):
    noise = coloured_noise(8 * SAMPLE_RATE, slope, np.random.default_rng(1))
    assert slope_of(noise) == pytest.approx(decibels_an_octave, abs=0.5)
    assert rms(noise) == pytest.approx(1.0, abs=1e-3)


def test_babble_fills_its_length(tones):
    noise = babble(tones, 3 * SAMPLE_RATE, np.random.default_rng(1))
    assert noise.shape == (3 * SAMPLE_RATE,)
    assert rms(noise) == pytest.approx(1.0, abs=1e-3)
    # Eight voices: no silence anywhere.
    assert min(rms(part) for part in np.split(noise, 30)) > 0.3


def test_speed_changes_length_and_pitch_together(tones):
    samples = tones[0].samples  # 300 Hz
    faster = change_speed(samples, 1.25)
    assert len(faster) == pytest.approx(len(samples) / 1.25, abs=2)
    peak = np.argmax(np.abs(np.fft.rfft(faster))) * SAMPLE_RATE / len(faster)
    assert peak == pytest.approx(375, abs=10)


def test_a_room_starts_with_the_direct_sound_and_dies_away():
    for seed in range(20):
        response = room(np.random.default_rng(seed))
        assert response[0] == 1.0
        assert not response[1:15].any()
        tail = response[len(response) // 10 :]
        start, end = np.array_split(tail, 8)[0], np.array_split(tail, 8)[-1]
        assert rms(end) < 0.05 * rms(start)
        assert np.sum(response[1:] ** 2) <= 1.0 + 1e-6


def test_colour_is_bounded_and_positive():
    for seed in range(20):
        gains = colour(513, np.random.default_rng(seed))
        assert (gains > 0).all()
        assert gains.max() <= decibels(6.0) + 1e-6


def test_a_colour_may_lean_to_the_dull():
    def mean_gain(tilt: tuple[float, float]) -> np.ndarray:
        shares = Shares(0.0, 1.0, 0.0, 0.0, tilt=tilt)
        drawn = [20 * np.log10(colour(513, np.random.default_rng(seed), shares)) for seed in range(200)]
        return np.mean(drawn, axis=0)

    difference = mean_gain((-6.0, -4.0)) - mean_gain((0.0, 0.0))
    at = [round(frequency * 512 / 8000) for frequency in (250, 1000, 2000, 4000)]
    np.testing.assert_allclose(difference[at], [0, -5, -10, -15], atol=4)


def test_masks_take_bands_away_and_leave_the_rest():
    for seed in range(50):
        gains = mask(2049, np.random.default_rng(seed))
        taken = gains < 1.0
        assert 0.01 <= gains.min() <= 10 ** (-10 / 20)
        octaves = np.sum(1 / np.flatnonzero(taken)) / np.log(2)
        assert 0.28 <= octaves < 2.45
        np.testing.assert_array_equal(gains[~taken], 1.0)
        edges = np.flatnonzero(np.diff(taken))
        assert len(edges) in {2, 3, 4}
    hiss = np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    masking = Surroundings([], [np.ones(1)], Shares(0.0, 0.0, 0.0, 0.0, masks=1.0))
    assert np.std(masking.filter(hiss, np.random.default_rng(1), 1.0)) < 0.99 * np.std(hiss)
    np.testing.assert_array_equal(masking.filter(hiss, np.random.default_rng(1), 0.0), hiss)


def test_noise_is_as_far_below_the_speech_as_drawn(tones, surroundings, monkeypatch):
    settings = {"WORST_SNR_DB": 20.0, "CLEAN_SNR_DB": 20.0, "LEVEL_DB": (-30.0, -30.0)}
    for name, value in settings.items():
        monkeypatch.setattr(augmentation, name, value)
    surroundings = replace(surroundings, shares=Shares(0.0, 0.0, 1.0, 0.0))
    speech = np.tile(tones[0].samples, 40)
    noisy = surroundings.apply(speech, rms(speech), np.random.default_rng(0))
    clean = speech / rms(speech) * decibels(-30.0)
    assert rms(clean) == pytest.approx(decibels(-30.0), rel=1e-4)
    assert 20 * np.log10(rms(clean) / rms(noisy - clean)) == pytest.approx(20.0, abs=2.0)


def test_without_effects_only_the_level_changes(tones, surroundings):
    surroundings = replace(surroundings, shares=Shares(0.0, 0.0, 0.0, 0.0))
    speech = tones[5].samples
    changed = surroundings.apply(speech, rms(speech), np.random.default_rng(0))
    ratio = rms(changed) / rms(speech)
    np.testing.assert_allclose(changed, speech * ratio, atol=1e-6)


def test_surroundings_of_no_strength_change_the_level_within_the_clean_range(tones, surroundings):
    speech = tones[5].samples
    for seed in range(20):
        changed = surroundings.apply(speech, rms(speech), np.random.default_rng(seed), strength=0.0)
        ratio = rms(changed) / rms(speech)
        np.testing.assert_allclose(changed, speech * ratio, atol=1e-6)
        low, high = (decibels(level) for level in augmentation.CLEAN_LEVEL_DB)
        assert low <= rms(changed) * 1.001
        assert rms(changed) <= high * 1.001


@pytest.mark.parametrize("companded", [False, True])
def test_a_telephone_leaves_the_band_below_4_khz(companded):
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    low, high = (0.2 * np.sin(2 * np.pi * pitch * time).astype(np.float32) for pitch in (700, 5500))
    kept = telephone(low + high, companded)
    assert kept.shape == low.shape
    assert kept.dtype == np.float32
    middle = slice(1000, -1000)
    assert rms((kept - low)[middle]) < (0.02 if companded else 0.002)
    assert len(telephone(low[:1001], companded)) == 1001


def test_another_tempo_keeps_the_pitch():
    pytest.importorskip("pedalboard", reason="pedalboard is not installed")
    tone = np.sin(2 * np.pi * 440 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    for factor in (0.5, 2.0):
        changed = change_tempo(tone, factor)
        assert changed.dtype == np.float32
        assert len(changed) == pytest.approx(len(tone) / factor, rel=0.02)
        assert np.argmax(np.abs(np.fft.rfft(changed))) * SAMPLE_RATE / len(changed) == pytest.approx(
            440, abs=5
        )


def test_without_pedalboard_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pedalboard", None)
    with pytest.raises(ImportError, match="pip install pedalboard"):
        change_tempo(np.zeros(100), 1.5)
