from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import srt
import webvtt
from click.testing import CliRunner, Result

from tests.conftest import REPOSITORY
from tfwav2vec2 import load_audio
from tfwav2vec2.cli.main import cli

CLIPS = REPOSITORY / "demo" / "clips"
MODEL = REPOSITORY / "saved_models" / "spoken-digits" / "model.tflite"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.flac"
    path.write_bytes((CLIPS / "four_digits.flac").read_bytes())
    return path


def subtitles(*arguments: str | Path) -> Result:
    return CliRunner().invoke(
        cli, ["subtitles", "--model", str(MODEL), *map(str, arguments)], catch_exceptions=False
    )


def text_of(path: Path) -> str:
    return CliRunner().invoke(cli, ["transcribe", "--model", str(MODEL), str(path)]).stdout.strip()


def test_subtitles_stand_beside_the_recording(clip):
    result = subtitles(clip, "--format", "srt", "--format", "vtt", "--format", "srt")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [str(clip.with_suffix(".srt")), str(clip.with_suffix(".vtt"))]
    shown = list(srt.parse(clip.with_suffix(".srt").read_text()))
    assert " ".join(each.content for each in shown) == text_of(clip)
    seconds = len(load_audio(clip)) / 16_000
    assert 0 < shown[0].start.total_seconds() < shown[-1].end.total_seconds() <= seconds
    read = webvtt.read(clip.with_suffix(".vtt"))
    assert [each.text for each in read] == [each.content for each in shown]


def test_a_video_gets_the_subtitles_of_its_sound(tmp_path, clip):
    video = tmp_path / "clip.mp4"
    sound = load_audio(clip)
    with av.open(str(video), "w") as container:
        picture = container.add_stream("mpeg4", rate=5)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream("aac", rate=16_000, layout="mono")
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
            container.mux(picture.encode(frame))
        container.mux(picture.encode())
        samples = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
        samples.sample_rate = 16_000
        container.mux(track.encode(samples))
        container.mux(track.encode())
    expected = text_of(clip)
    clip.unlink()
    assert subtitles(tmp_path).stdout == f"{tmp_path / 'clip.srt'}\n"
    shown = srt.parse((tmp_path / "clip.srt").read_text())
    assert " ".join(each.content for each in shown) == expected


def test_a_text_is_timed_as_it_was_written(clip, tmp_path):
    digits = text_of(clip)
    text = tmp_path / "said.txt"
    text.write_text(f"{digits[:2]},\n{digits[2:]}!")
    assert subtitles(clip, "--text", text).exit_code == 0
    shown = list(srt.parse(clip.with_suffix(".srt").read_text()))
    assert " ".join(each.content for each in shown).split() == [f"{digits[:2]},", f"{digits[2:]}!"]


def test_highlighted_words(clip, tmp_path):
    digits = text_of(clip)
    text = tmp_path / "said.txt"
    text.write_text(" ".join(digits))
    subtitles(clip, "--text", text, "--highlight-words")
    shown = [each.content for each in srt.parse(clip.with_suffix(".srt").read_text())]
    assert len(shown) == 4
    assert [each.split("<u>")[1][0] for each in shown] == list(digits)


def test_rules_are_followed(clip, tmp_path):
    text = tmp_path / "said.txt"
    text.write_text(" ".join(text_of(clip)))
    subtitles(clip, "--text", text, "--characters", "3", "--lines", "1")
    shown = [each.content for each in srt.parse(clip.with_suffix(".srt").read_text())]
    assert len(shown) >= 2
    assert all(len(each) <= 3 for each in shown)


def test_nothing_is_written_over_without_force(clip, tmp_path):
    other = tmp_path / "other.flac"
    other.write_bytes((CLIPS / "two_digits.flac").read_bytes())
    clip.with_suffix(".srt").write_text("mine")
    result = subtitles(tmp_path)
    assert result.exit_code == 1
    assert clip.with_suffix(".srt").read_text() == "mine"
    assert f"{clip.with_suffix('.srt')} is there already" in result.stderr
    assert "--force" in result.stderr
    assert result.stdout.splitlines() == [str(other.with_suffix(".srt"))]
    assert subtitles(clip, "--force").exit_code == 0
    assert clip.with_suffix(".srt").read_text() != "mine"


def test_silence_has_subtitles_without_any(tmp_path):
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(16_000), 16_000)
    assert text_of(silent) == ""
    assert subtitles(silent, "--format", "srt", "--format", "vtt").exit_code == 0
    assert silent.with_suffix(".srt").read_text() == ""
    assert silent.with_suffix(".vtt").read_text() == "WEBVTT\n"


def test_what_cannot_be_read_is_named_and_the_rest_runs(clip, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio at all")
    result = subtitles(bad, tmp_path / "missing.mp4", clip)
    assert result.exit_code == 1
    assert "missing.mp4 does not exist" in result.stderr
    assert str(bad) in result.stderr
    assert result.stdout.splitlines() == [str(clip.with_suffix(".srt"))]
    assert not bad.with_suffix(".srt").exists()


def test_wrong_usage(clip, tmp_path):
    twin = clip.with_suffix(".wav")
    soundfile.write(twin, load_audio(clip), 16_000)
    result = subtitles(clip, twin)
    assert result.exit_code == 2
    assert "would both be" in " ".join(result.stderr.split())
    text = tmp_path / "said.txt"
    text.write_text("1")
    assert "--text is what is said in one recording, and 2 are named" in " ".join(
        subtitles(clip, twin, "--text", text).stderr.split()
    )
    text.write_bytes(b"\xff\xfe\x00")
    twin.unlink()
    assert "is no text in UTF-8" in subtitles(clip, "--text", text).stderr
    assert not list(tmp_path.glob("*.srt"))


def test_a_text_that_is_not_said_there(clip, tmp_path):
    text = tmp_path / "said.txt"
    text.write_text("1 2 " * 500)
    result = subtitles(clip, "--text", text)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {clip}")
    assert not clip.with_suffix(".srt").exists()
