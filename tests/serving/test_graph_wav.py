"""WAV files in a graph: what soundfile writes is read as soundfile reads it, and what is no WAV file is refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
import soxr
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwav2vec2.serving.graph_wav import _feasible, read_wav, read_wavs

RATE = 16_000

read = tf.function(lambda contents: read_wav(contents, RATE), input_signature=[tf.TensorSpec((), tf.string)])


def wav(samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16", kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, subtype=subtype, format=kind)
    return file.getvalue()


def tone(rate: int, seconds: float = 0.4) -> np.ndarray:
    return (0.4 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype("float32")


@settings(max_examples=40, deadline=None)
@given(
    subtype=st.sampled_from(["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"]),
    kind=st.sampled_from(["WAV", "WAVEX"]),
    channels=st.integers(1, 3),
    frames=st.integers(0, 300),
    seed=st.integers(0, 99),
)
def test_every_encoding_is_read_as_soundfile_reads_it(
    subtype: str, kind: str, channels: int, frames: int, seed: int
) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, (frames, channels))
    contents = wav(samples, subtype=subtype, kind=kind)
    expected = soundfile.read(io.BytesIO(contents), dtype="float32", always_2d=True)[0].mean(axis=1)
    np.testing.assert_allclose(read(contents), expected, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 96_000])
def test_other_rates_agree_with_soxr(rate: int) -> None:
    rng = np.random.default_rng(0)
    # Without the highest quarter, where the two filters may differ, and of which speech has little.
    spectrum = np.fft.rfft(rng.normal(0, 1, rate))
    spectrum[round(0.75 * min(rate, RATE) / 2) :] = 0
    smooth = np.fft.irfft(spectrum, rate).astype("float32")
    smooth *= 0.5 / np.abs(smooth).max()
    contents = wav(smooth, rate, "FLOAT")
    expected = soxr.resample(smooth, rate, RATE)
    found = read(contents).numpy()
    assert abs(len(found) - len(expected)) <= 1
    common = slice(200, min(len(found), len(expected)) - 200)
    np.testing.assert_allclose(found[common], expected[common], atol=2e-3)


@pytest.mark.parametrize("rate", [8_001, 11_127, 16_001, 22_254, 44_101])
def test_a_rate_that_shares_little_with_the_models_is_read_nearly_as_it_is(rate: int) -> None:
    found = read(wav(tone(rate, 1.0), rate, "FLOAT")).numpy()
    assert abs(len(found) / RATE - 1.0) < 2e-3
    inner = found[1_600:-1_600]
    assert 0.39 < np.abs(inner).max() < 0.41
    crossings = np.count_nonzero(np.diff(np.signbit(inner)))
    assert abs(crossings / 2 / (len(inner) / RATE) - 440) < 2


def test_a_rate_of_the_usual_ones_is_kept() -> None:
    usual = [8_000, 11_025, 12_000, 16_000, 16_384, 22_050, 24_000, 32_000, 37_800, 44_100, 48_000, 96_000]
    assert [int(_feasible(tf.constant(rate), RATE)) for rate in usual] == usual


def test_a_batch_has_the_lengths_of_its_files() -> None:
    files = [wav(tone(RATE, 0.3)), wav(tone(8_000, 0.5), 8_000)]
    waveforms, lengths = read_wavs(tf.constant(files), RATE)
    assert lengths.numpy().tolist() == [4_800, 8_000]
    assert waveforms.shape == (2, 8_000)
    assert not waveforms[0, 4_800:].numpy().any()


def test_chunks_before_the_samples_are_passed_over_and_a_stream_ends_with_its_file() -> None:
    contents = wav(tone(RATE))
    expected = read(contents).numpy()
    extra = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    with_list = contents[:12] + extra + contents[12:]
    np.testing.assert_array_equal(read(with_list), expected)
    np.testing.assert_array_equal(read(contents + extra), expected)
    place = contents.index(b"data") + 4
    for size in (0xFFFFFFFF, 0x7FFFFFFF):
        endless = contents[:place] + struct.pack("<I", size) + contents[place + 4 :]
        np.testing.assert_array_equal(read(endless), expected)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (b"", "shorter than its header"),
        (b"RIFF1234WAVX" + bytes(40), "does not begin with RIFF and WAVE"),
        (b"RIFF\0\0\0\0WAVE", "no format chunk"),
        (wav(tone(RATE), subtype="ALAW"), "this one has encoding"),
        (wav(tone(RATE), subtype="DOUBLE"), "this one has encoding"),
    ],
)
def test_what_is_no_such_file_is_refused(contents: bytes, message: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        read(contents)


@settings(max_examples=60, deadline=None)
@given(
    place=st.integers(0, 60),
    bytes_=st.binary(min_size=1, max_size=8),
    cut=st.integers(0, 400),
)
def test_damaged_files_end_in_samples_or_in_an_error(place: int, bytes_: bytes, cut: int) -> None:
    contents = wav(tone(RATE, 0.01))
    damaged = (contents[:place] + bytes_ + contents[place + len(bytes_) :])[: max(cut, 1)]
    try:
        found = read(damaged).numpy()
    except tf.errors.InvalidArgumentError:
        return
    assert found.ndim == 1
