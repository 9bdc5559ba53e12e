"""The sound of videos, and of audio that libsndfile does not read; what is wrong with them is said."""

from __future__ import annotations

import builtins
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwav2vec2.audio.loading import load_audio
from tfwav2vec2.audio.streams import stream_audio
from tfwav2vec2.cli.recordings import find_recordings

av = pytest.importorskip("av", reason="needs PyAV, the extra media")

RATE = 16_000
FIRST, SECOND = 440, 880


def film(
    container: str,
    sound: str | None = "aac",
    picture: str | None = "mpeg4",
    *,
    rate: int = 48_000,
    seconds: float = 3.0,
    starts_at: float = 0.0,
    gap: float = 0.0,
    channels: str = "stereo",
    options: dict[str, str] | None = None,
) -> bytes:
    """A grey picture that gets lighter, ten a second, and a tone that jumps an octave after half of the time.

    ``gap`` is a hole in the sound's times there, and ``starts_at`` its distance from the picture's start.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film"  # a file, which the writer of faststart reads again
        with av.open(path, "w", format=container, options=options or {}) as file:
            _write(file, sound, picture, rate, seconds, starts_at, gap, channels)
        return path.read_bytes()


def _write(
    file: Any,
    sound: str | None,
    picture: str | None,
    rate: int,
    seconds: float,
    starts_at: float,
    gap: float,
    channels: str,
) -> None:
    if picture:
        video = file.add_stream(picture, rate=10)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
    if sound:
        audio = file.add_stream(sound, rate=rate)
        audio.layout = channels
        audio.bit_rate = 128_000
    if picture:
        for index in range(round((seconds + gap) * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), index, np.uint8), format="rgb24")
            file.mux(video.encode(frame))
        file.mux(video.encode())
    if sound:
        time = np.arange(round(seconds * rate)) / rate
        hz = np.where(time < seconds / 2, FIRST, SECOND)
        samples = (0.3 * np.sin(2 * np.pi * hz * time)).astype(np.float32)
        size = audio.codec_context.frame_size or 1024
        half = len(samples) // 2 // size * size
        count = 2 if channels == "stereo" else 1
        for start in range(0, len(samples), size):
            block = np.stack([samples[start : start + size]] * count)
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=channels)
            frame.sample_rate = rate
            frame.pts = start + round(rate * (starts_at + (gap if start >= half else 0)))
            converted = av.AudioResampler(audio.format.name, channels, rate).resample(frame)
            for each in converted:
                each.pts = frame.pts
                file.mux(audio.encode(each))
        file.mux(audio.encode())


def pitch(samples: np.ndarray, at: float) -> float:
    """The strongest frequency in the fifth of a second around a time."""
    middle = round(at * RATE)
    around = samples[middle - RATE // 10 : middle + RATE // 10]
    spectrum = np.abs(np.fft.rfft(around * np.hanning(len(around))))
    return float(spectrum.argmax()) * RATE / len(around)


@pytest.mark.parametrize(
    ("container", "sound", "picture", "rate"),
    [
        ("mp4", "aac", "mpeg4", 44_100),
        ("mov", "aac", "mpeg4", 48_000),
        ("matroska", "aac", "mpeg4", 48_000),
        ("webm", "libopus", "libvpx", 48_000),
        ("avi", "mp2", "mpeg4", 48_000),
        ("mpegts", "aac", "mpeg2video", 48_000),
        ("ipod", "aac", None, 44_100),  # m4a
        ("adts", "aac", None, 16_000),
        ("asf", "wmav2", None, 44_100),
    ],
)
def test_the_sound_of_every_container_comes_out(
    container: str, sound: str, picture: str | None, rate: int, tmp_path: Path
) -> None:
    path = tmp_path / f"film.{container}"
    path.write_bytes(film(container, sound, picture, rate=rate))
    samples = load_audio(path)
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(3 * RATE, abs=0.12 * RATE)  # codecs fill up their last block
    assert pitch(samples, 0.7) == pytest.approx(FIRST, abs=6)
    assert pitch(samples, 2.3) == pytest.approx(SECOND, abs=6)
    assert np.abs(samples[3000:-6000]).max() == pytest.approx(0.3, abs=0.06)
    with path.open("rb") as file:
        np.testing.assert_array_equal(load_audio(file), samples)


def test_sound_that_starts_late_or_has_a_hole_keeps_the_times_of_the_video() -> None:
    late = load_audio(film("matroska", starts_at=1.0))
    assert np.abs(late[: round(0.9 * RATE)]).max() < 1e-3
    assert pitch(late, 1.7) == pytest.approx(FIRST, abs=6)
    torn = load_audio(film("matroska", gap=2.0))
    assert len(torn) == pytest.approx(5 * RATE, abs=0.12 * RATE)
    assert np.abs(torn[round(1.8 * RATE) : round(3.2 * RATE)]).max() < 1e-3
    assert pitch(torn, 4.3) == pytest.approx(SECOND, abs=6)


def test_one_channel_is_as_loud_as_two() -> None:
    one, two = (load_audio(film("mp4", channels=channels)) for channels in ("mono", "stereo"))
    assert np.abs(one[8000:40000]).max() == pytest.approx(np.abs(two[8000:40000]).max(), abs=0.02)


def test_a_video_without_sound_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    path.write_bytes(film("mp4", None))
    with pytest.raises(ValueError, match=r"mute\.mp4 has no sound track \(video only\)"):
        load_audio(path)


@pytest.mark.parametrize("container", ["mp4", "matroska"])
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_a_video_that_was_not_copied_whole_is_named(container: str, share: float, tmp_path: Path) -> None:
    path = tmp_path / "film"
    # The table of an MP4 file in front of its sound, as it is made for the web: the file opens, and ends too early.
    content = film(container, seconds=6.0, options={"movflags": "faststart"} if container == "mp4" else None)
    path.write_bytes(content[: round(len(content) * share)])
    with pytest.raises(ValueError, match=r"film (is cut short|is damaged after|cannot be read)"):
        load_audio(path)


def test_a_longer_sound_than_is_accepted_is_refused() -> None:
    with pytest.raises(ValueError, match="lasts more than 2 s"):
        load_audio(film("mp4"), max_seconds=2)


def test_the_sound_is_read_as_it_is_asked_for() -> None:
    blocks = stream_audio(film("mp4", seconds=20.0))
    assert len(next(blocks)) < RATE


FILM = film("mp4", seconds=0.5)
MATROSKA = film("matroska", seconds=0.5)


@given(st.sampled_from([FILM, MATROSKA]), st.binary(min_size=1, max_size=40), st.integers(0, 6000))
@settings(max_examples=60)
def test_damage_gives_sound_or_a_clear_error(content: bytes, garbage: bytes, at: int) -> None:
    spoiled = bytearray(content)
    spoiled[at % len(content) : at % len(content) + len(garbage)] = garbage
    try:
        samples = load_audio(bytes(spoiled), max_seconds=60)
    except ValueError as error:
        assert "<bytes>" in str(error)  # noqa: PT017
    else:
        assert np.isfinite(samples).all()


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
)
def test_a_playlist_opens_no_other_file(content: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read as audio"):
        load_audio(content)


def test_videos_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("talk.mp4", "notes.ts", "a.M4A", "mute.txt"):
        (tmp_path / name).touch()
    recordings, problems = find_recordings([tmp_path])
    assert [recording.path.name for recording in recordings] == ["a.M4A", "talk.mp4"]
    assert not problems


def test_without_the_package_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    imported: Callable[..., Any] = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "av":
            raise ModuleNotFoundError("No module named 'av'", name="av")
        return imported(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    path = tmp_path / "film.mp4"
    path.write_bytes(FILM)
    with pytest.raises(
        ImportError, match=r"film\.mp4 needs the package av.*pip install 'tfwav2vec2\[media\]'"
    ):
        load_audio(path)
    with pytest.raises(ValueError, match="cannot be read as audio"):
        load_audio(b"hello" * 100)
