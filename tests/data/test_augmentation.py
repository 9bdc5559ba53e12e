from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.audio import SAMPLE_RATE
from tfwav2vec2.data.augmentation import (
    AdditiveNoise,
    Chain,
    Gain,
    Reverberation,
    Sometimes,
    SpeedPerturbation,
    TelephoneBand,
    coloured_noise,
    stretch_of,
)

ALL = [
    SpeedPerturbation(),
    Gain(),
    Gain(clip=True),
    AdditiveNoise(),
    AdditiveNoise(noises=[np.ones(7, np.float32)]),
    Reverberation(),
    TelephoneBand(),
    Sometimes(Gain(), 0.5),
    Chain([SpeedPerturbation((0.8,)), Reverberation(), AdditiveNoise()]),
]


def tone(frequency: float, seconds: float = 1.0) -> np.ndarray:
    return (
        0.3 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE)
    ).astype(np.float32)


def level(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("augment", ALL, ids=repr)
@given(length=st.integers(1, 3000), seed=st.integers(0, 2**32))
def test_any_clip_stays_a_clip_that_the_seed_decides(augment, length, seed):
    clip = np.random.default_rng(seed).normal(size=length).astype(np.float32)
    before = clip.copy()
    made, again = (augment(clip, np.random.default_rng(seed)) for _ in range(2))
    np.testing.assert_array_equal(made, again)
    np.testing.assert_array_equal(clip, before)
    assert made.dtype == np.float32
    assert made.ndim == 1
    assert np.isfinite(made).all()
    assert 1 <= len(made) <= np.ceil(length * stretch_of(augment))


@pytest.mark.parametrize("augment", ALL, ids=repr)
def test_silence_stays_finite(augment):
    made = augment(np.zeros(800, np.float32), np.random.default_rng(0))
    np.testing.assert_array_equal(made, 0.0)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_moves_the_pitch_and_the_length(factor):
    made = SpeedPerturbation((factor,))(tone(1000.0), np.random.default_rng(0))
    assert len(made) == pytest.approx(SAMPLE_RATE / factor, abs=1)
    inner = made[2000:12000]
    peak = np.argmax(np.abs(np.fft.rfft(inner * np.hanning(len(inner))))) * SAMPLE_RATE / len(inner)
    assert peak == pytest.approx(1000.0 * factor, abs=2)


def test_every_speed_is_drawn_about_equally_often():
    rng = np.random.default_rng(0)
    lengths = [len(SpeedPerturbation()(np.ones(990, np.float32), rng)) for _ in range(300)]
    assert all(70 < lengths.count(length) < 130 for length in (900, 990, 1100))


def test_gain_is_in_decibels():
    assert level(Gain((6.0, 6.0))(tone(500.0), np.random.default_rng(0))) == pytest.approx(
        level(tone(500.0)) * 10**0.3, rel=1e-5
    )
    loud = Gain((20.0, 20.0), clip=True)(tone(500.0), np.random.default_rng(0))
    assert np.abs(loud).max() == 1.0


@pytest.mark.parametrize("snr", [0.0, 20.0])
@pytest.mark.parametrize("noises", [None, [np.random.default_rng(1).normal(size=500)]], ids=["made", "given"])
def test_noise_has_the_power_that_was_asked_for(snr, noises):
    clip = tone(500.0)
    made = AdditiveNoise((snr, snr), noises)(clip, np.random.default_rng(0))
    assert 20 * np.log10(level(clip) / level(made - clip)) == pytest.approx(snr, abs=0.01)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_the_power_of_coloured_noise_falls_as_its_slope_says(slope):
    power = np.abs(np.fft.rfft(coloured_noise(8 * SAMPLE_RATE, slope, np.random.default_rng(0)))) ** 2
    frequency = np.fft.rfftfreq(8 * SAMPLE_RATE, 1 / SAMPLE_RATE)
    octaves = [power[(frequency >= low) & (frequency < 2 * low)].mean() for low in (100, 200, 400, 800, 1600)]
    fitted = -np.polyfit(range(5), np.log2(octaves), 1)[0]
    assert fitted == pytest.approx(slope, abs=0.05)


@pytest.mark.parametrize("rate", [8000, SAMPLE_RATE])
def test_a_room_decays_by_60_decibels_in_its_time_and_keeps_level_and_place(rate):
    seconds, direct = 0.4, 6.0
    room = Reverberation((seconds, seconds), (direct, direct), rate)
    response = room.response(np.random.default_rng(0))
    assert response[0] == 1.0
    tail = response[1:]
    assert len(tail) == seconds * rate
    assert -20 * np.log10(np.linalg.norm(tail)) == pytest.approx(direct)
    pieces = [level(piece) for piece in np.array_split(tail, 8)]
    per_piece = np.polyfit(range(8), 20 * np.log10(pieces), 1)[0]
    assert per_piece * 8 == pytest.approx(-60.0, abs=2)
    click = np.zeros(8000, np.float32)
    click[1000] = 0.5
    made = room(click, np.random.default_rng(0))
    assert level(made) == pytest.approx(level(click), rel=1e-5)
    assert np.abs(made[:1000]).max() < 1e-6
    assert np.argmax(np.abs(made)) == 1000


@pytest.mark.parametrize("rate", [8000, SAMPLE_RATE])
@pytest.mark.parametrize(("frequency", "passes"), [(100, False), (1000, True), (3000, True), (3900, False)])
def test_a_telephone_carries_its_band_alone(frequency, passes, rate):
    heard = tone(frequency * SAMPLE_RATE / rate)
    made = TelephoneBand(sampling_rate=rate)(heard, np.random.default_rng(0))
    assert level(made) / level(heard) == pytest.approx(1.0 if passes else 0.0, abs=0.02)


def test_sometimes_is_as_often_as_asked():
    rng = np.random.default_rng(0)
    double = Sometimes(lambda samples, rng: 2 * samples, 0.3)
    made = [double(np.ones(1, np.float32), rng)[0] for _ in range(1000)]
    assert 250 < made.count(2.0) < 350
    assert made.count(1.0) + made.count(2.0) == 1000


def test_a_chain_is_as_long_as_its_parts_together():
    slow = SpeedPerturbation((0.8,))
    assert stretch_of(Chain([slow, Gain(), slow])) == pytest.approx(1 / 0.64)
    assert stretch_of(Sometimes(SpeedPerturbation((2.0,)), 0.1)) == 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpeedPerturbation(()), "at least one speed"),
        (lambda: SpeedPerturbation((0.0, 1.0)), "above 0"),
        (lambda: Gain((3.0, -3.0)), "in this order"),
        (lambda: AdditiveNoise((30.0, 5.0)), "in this order"),
        (lambda: AdditiveNoise(noises=[]), "no recording"),
        (lambda: Reverberation((-0.1, 0.2)), "seconds"),
        (lambda: TelephoneBand(3400.0, 300.0), "low must be below high"),
        (lambda: Sometimes(Gain(), 1.5), "from 0 to 1"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
