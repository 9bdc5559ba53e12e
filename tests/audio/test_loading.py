import io
import os
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwav2vec2.audio import sound_file
from tfwav2vec2.audio.loading import load_audio

# (format, subtype, largest error of a round trip): what a file format does to a quiet 440 Hz tone.
FORMATS = [
    ("WAV", "PCM_U8", 8e-3),
    ("WAV", "PCM_16", 4e-5),
    ("WAV", "PCM_24", 1e-6),
    ("WAV", "PCM_32", 1e-6),
    ("WAV", "FLOAT", 0.0),
    ("WAV", "DOUBLE", 0.0),
    ("FLAC", "PCM_S8", 8e-3),
    ("FLAC", "PCM_16", 4e-5),
    ("FLAC", "PCM_24", 1e-6),
    ("OGG", "VORBIS", 0.05),
    ("OGG", "OPUS", 0.05),
    ("MP3", None, 0.05),
    ("AIFF", "PCM_16", 4e-5),
]


def tone(seconds: float = 1.0, rate: int = 16_000, hz: float = 440.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(
    samples: np.ndarray, rate: int = 16_000, kind: str = "WAV", subtype: str | None = None, **options
) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype, **options)
    return buffer.getvalue()


def wav_with(field: str, value: int) -> bytes:
    """A sound WAV file of one second whose header says ``value`` in ``field``."""
    content = encode(tone())
    at, code = {"channels": (22, "<H"), "rate": (24, "<I"), "data": (content.index(b"data") + 4, "<I")}[field]
    return content[:at] + struct.pack(code, value) + content[at + struct.calcsize(code) :]


@pytest.mark.parametrize(
    ("kind", "subtype", "error"), FORMATS, ids=[f"{kind}-{subtype}" for kind, subtype, _ in FORMATS]
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_format_gives_the_samples_back(kind, subtype, error, channels):
    sound = tone()
    waveform = load_audio(encode(np.stack([sound] * channels, axis=1), kind=kind, subtype=subtype))
    assert waveform.dtype == np.float32
    assert waveform.shape == sound.shape
    inner = slice(800, -800)  # lossy codecs fade at the ends
    assert np.abs(waveform - sound)[inner].max() <= error


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_every_rate_becomes_16_khz(rate, kind):
    waveform = load_audio(encode(tone(rate=rate), rate, kind))
    assert waveform.shape == (16_000,)
    assert np.abs(waveform - tone())[200:-200].max() < 1e-3


@given(st.sampled_from([8_000, 12_345, 16_000, 44_100, 48_000]), st.integers(100, 20_000))
@settings(deadline=None, max_examples=30)
def test_the_length_follows_the_rates(rate, samples):
    waveform = load_audio(np.zeros(samples, np.float32), source_rate=rate)
    assert abs(len(waveform) - samples * 16_000 / rate) <= 1


def test_resampling_in_blocks_equals_resampling_at_once(monkeypatch):
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000).astype(np.float32)
    content = encode(noise, 44_100, subtype="FLOAT")
    whole = load_audio(content)
    monkeypatch.setattr(sound_file, "BLOCK_SAMPLES", 1_000)
    np.testing.assert_array_equal(load_audio(content), whole)


def test_channels_are_averaged():
    left, right = tone(hz=300), tone(hz=500)
    stereo = np.stack([left, right], axis=1)
    np.testing.assert_allclose(load_audio(stereo, source_rate=16_000), (left + right) / 2, atol=1e-7)
    np.testing.assert_allclose(load_audio(encode(stereo, subtype="FLOAT")), (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"), [("int16", 2**15, 0), ("int32", 2**31, 0), ("uint8", 2**7, 128)]
)
def test_integer_arrays_are_scaled_to_one(dtype, scale, offset):
    samples = (tone().astype(np.float64) * scale + offset).astype(dtype)
    np.testing.assert_allclose(load_audio(samples, source_rate=16_000), tone(), atol=1.01 / scale)


def test_the_target_rate_can_be_chosen():
    assert len(load_audio(tone(), source_rate=16_000, sampling_rate=8_000)) == 8_000


def test_paths_bytes_files_and_streams_agree(tmp_path):
    path = tmp_path / "clip.flac"
    path.write_bytes(encode(tone(), kind="FLAC"))
    expected = load_audio(path)
    np.testing.assert_array_equal(load_audio(str(path)), expected)
    np.testing.assert_array_equal(load_audio(memoryview(path.read_bytes())), expected)
    with path.open("rb") as file:
        file.read(7)  # a file is read from its start, wherever it stands
        np.testing.assert_array_equal(load_audio(file), expected)
        assert not file.closed
    read_end, write_end = os.pipe()  # holds less than the pipe's buffer
    with os.fdopen(write_end, "wb") as writer:
        writer.write(path.read_bytes())
    with os.fdopen(read_end, "rb") as pipe:
        np.testing.assert_array_equal(load_audio(pipe), expected)


def test_a_file_name_of_any_bytes_is_opened(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9 \xff.wav")
    path.write_bytes(encode(tone()))
    assert len(load_audio(path)) == 16_000


# --- what is wrong with a file ------------------------------------------------------------------------------------


def error_of(content: bytes, tmp_path, kind: type[Exception] = ValueError) -> str:
    """The message for a file with this content; it has to name the file."""
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        load_audio(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"hello" * 100, "cannot be read as audio"),
        (encode(tone(0)), "no audio samples"),
        (encode(tone())[:20], "cannot be read as audio"),
        (encode(tone())[:40], "cannot be read as audio"),
        (encode(tone())[:16_000], "cut short"),
        (encode(tone(), kind="AIFF")[:16_000], "cut short"),
        (encode(tone(), kind="W64")[:16_000], "cut short"),
        (encode(tone(), kind="AU")[:16_000], "cut short"),
        (encode(tone(), kind="MP3")[:1_500], "cut short"),
        (encode(tone(10), kind="FLAC")[:20_000], "damaged"),
        (wav_with("rate", 0), "impossible rate"),
        (wav_with("rate", 2**32 - 1), "impossible rate"),
        (wav_with("rate", 1), "a rate of 1 "),
        (wav_with("rate", 10**9), "a rate of 1000000000 "),
        (wav_with("channels", 0), "cannot be read as audio"),
        (wav_with("data", 10**6), "cut short"),
        (encode(np.array([0, np.nan, 0.1]), subtype="FLOAT"), "NaN or infinite"),
        (encode(np.array([0, 0.1, -np.inf]), subtype="DOUBLE"), "NaN or infinite"),
        (encode(np.array([0, 1e300]), subtype="DOUBLE"), "NaN or infinite"),
    ],
    # Not by their bytes: a file of floats holds the time at which it was made.
    ids=lambda value: value if isinstance(value, str) else "",
)
# libmpg123 warns on the standard error stream itself, past pytest's capture of Python's.
def test_a_bad_file_is_named(content, message, tmp_path, capfd):
    assert message in error_of(content, tmp_path)


def test_variable_rate_mp3_without_a_header_is_not_cut_off_silently(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32)
    content = encode(np.concatenate([tone(10), noise]), kind="MP3", bitrate_mode="VARIABLE")
    assert b"Xing" in content[:100]
    assert len(load_audio(content)) == 320_000
    first_frame = content.index(content[:2], 2)
    assert "goes on after" in error_of(content[first_frame:], tmp_path)


def test_joined_ogg_files_are_not_cut_off_silently(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, 160_000).astype(np.float32)
    assert "goes on after" in error_of(encode(noise, kind="OGG") * 2, tmp_path)


@pytest.mark.parametrize("length", [2**32 - 1, 2**31 - 1, 2**31])
def test_a_wav_that_was_written_to_a_pipe_is_read(length):
    assert len(load_audio(wav_with("data", length))) == 16_000


@pytest.mark.parametrize("claim", [0, 2**36 - 1])
def test_a_flac_of_unknown_length_is_read(claim):
    content = bytearray(encode(tone(), kind="FLAC"))
    content[21] = (content[21] & 0xF0) | (claim >> 32)
    content[22:26] = struct.pack(">I", claim & 0xFFFFFFFF)
    assert len(load_audio(bytes(content))) == 16_000


def test_a_flac_that_claims_more_than_it_holds_is_cut_short(tmp_path):
    content = bytearray(encode(tone(), kind="FLAC"))
    content[22:26] = struct.pack(">I", 10**9)
    assert "cut short" in error_of(bytes(content), tmp_path)


def test_compressed_silence_cannot_fill_the_memory(tmp_path):
    content = encode(np.zeros(60 * 16_000, np.int16), kind="FLAC")
    with pytest.raises(ValueError, match=r"<bytes> lasts more than 30 s.*split"):
        load_audio(content, max_seconds=30)


@given(st.binary(max_size=200), st.integers(0, 400))
@settings(deadline=None, max_examples=200)
def test_garbage_gives_audio_or_a_clear_error(garbage, at):
    content = bytearray(encode(tone(0.02)))
    content[at : at + len(garbage)] = garbage
    message = None
    try:
        waveform = load_audio(bytes(content))
    except ValueError as error:
        message = str(error)
    if message is not None:
        assert "<bytes>" in message
    else:
        assert waveform.ndim == 1
        assert np.isfinite(waveform).all()


def test_missing_files_folders_and_forbidden_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.wav does not exist"):
        load_audio(tmp_path / "nowhere.wav")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load_audio(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match=r"clip\.wav cannot be opened"):
        load_audio(tmp_path / "file" / "clip.wav")


def test_raw_samples_without_a_header_are_refused(tmp_path):
    (tmp_path / "clip.raw").write_bytes(bytes(1_000))
    with pytest.raises(ValueError, match=r"clip\.raw cannot be read as audio"):
        load_audio(tmp_path / "clip.raw")


# --- what is wrong with an argument ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "rate", "kind", "message"),
    [
        (tone(), None, ValueError, "pass source_rate"),
        (tone(), 0, ValueError, "a rate of 0 "),
        (tone(), 10**9, ValueError, "a rate of 1000000000 "),
        (tone(), float("nan"), ValueError, "a rate of nan "),
        (tone(), "16000", TypeError, "must be a number"),
        (tone()[None], 16_000, ValueError, "transpose"),
        (tone()[None, None], 16_000, ValueError, "shape"),
        (np.zeros(0, np.float32), 16_000, ValueError, "no audio samples"),
        (np.zeros((0, 2), np.float32), 16_000, ValueError, "no audio samples"),
        (np.array([0.0, np.nan]), 16_000, ValueError, "NaN"),
        (np.array([0.0, np.inf]), 8_000, ValueError, "NaN"),
        (np.array([1, 2, 3]), 16_000, TypeError, "full scale"),
        (None, 16_000, TypeError, "got NoneType"),
        ({"array": tone()}, 16_000, TypeError, "got dict"),
        (np.zeros(1, np.float32), 48_000, ValueError, "too short"),
        (encode(tone()), 16_000, ValueError, "leave it out"),
        (io.StringIO("text"), None, TypeError, "binary mode"),
    ],
)
def test_a_bad_argument_is_explained(source, rate, kind, message):
    with pytest.raises(kind, match=message):
        load_audio(source, source_rate=rate)


def test_real_recordings_have_the_length_that_the_manifest_says(shared_data):
    import csv

    with (shared_data / "manifest.tsv").open() as manifest:
        rows = list(csv.DictReader(manifest, delimiter="\t"))
    for row in rows[::100]:
        waveform = load_audio(shared_data / row["path"])
        assert len(waveform) == pytest.approx(float(row["seconds"]) * 16_000, abs=320)
