"""Many recordings: in the order asked for, in batches of like length, read ahead but not without end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.beam.ear import RATE, Ear, text_of, tone, write_tones
from tfwav2vec2 import EngineTranscriber
from tfwav2vec2.transcription import corpus, engine_run
from tfwav2vec2.transcription.corpus import Clip, LongRecording, Reader
from tfwav2vec2.transcription.longform import LongformOptions


@pytest.fixture
def tones(tmp_path: Path) -> dict[Path, str]:
    return {tmp_path / name: text for name, text in write_tones(tmp_path, range(40)).items()}


@pytest.mark.parametrize("options", [{}, {"batch_size": 4}, {"batch_seconds": 1.0}])
@pytest.mark.parametrize("kind", [list, iter])
def test_transcripts_come_in_the_order_of_the_sources(
    tones: dict[Path, str], options: dict[str, float], kind: type
) -> None:
    transcriber = EngineTranscriber(Ear(), **options)
    found = list(transcriber.transcribe(kind(list(tones))))
    assert [transcript.file for transcript in found] == [str(path) for path in tones]
    assert [transcript.text for transcript in found] == list(tones.values())
    together = {rows for rows, _ in transcriber.engine.shapes}
    assert (together == {1}) == (not options)


def test_transcripts_as_they_are_ready_are_the_same(tones: dict[Path, str]) -> None:
    transcriber = EngineTranscriber(Ear(), batch_seconds=1.0)
    found = {heard.file: heard.text for heard in transcriber.transcribe(list(tones), ordered=False)}
    assert found == {str(path): text for path, text in tones.items()}


@given(
    lengths=st.lists(st.floats(0.05, 1.0), min_size=1, max_size=60),
    budget=st.floats(0.5, 4.0),
)
@settings(max_examples=25)
def test_batches_keep_to_the_budget(lengths: list[float], budget: float) -> None:
    ear = Ear()
    clips = [tone(number % 30, seconds) for number, seconds in enumerate(lengths)]
    found = list(EngineTranscriber(ear, batch_seconds=budget).transcribe(clips, source_rate=RATE))
    assert [heard.seconds for heard in found] == pytest.approx(lengths, abs=1 / RATE)
    assert all(rows == 1 or rows * samples <= budget * RATE for rows, samples in ear.shapes)
    assert sum(rows for rows, _ in ear.shapes) == len(lengths)


def test_sorting_leaves_little_padding() -> None:
    rng = np.random.default_rng(0)
    ear = Ear()
    clips = [tone(3, seconds) for seconds in rng.uniform(0.1, 2.0, 200)]
    list(EngineTranscriber(ear, batch_seconds=6.0).transcribe(clips, source_rate=RATE))
    padded = sum(rows * samples for rows, samples in ear.shapes)
    assert padded < 1.15 * sum(map(len, clips))
    assert len(ear.shapes) < 100


def test_no_more_is_read_than_a_few_batches_need(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(5, 0.5), RATE)
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield path

    for options, most in (
        ({}, 1),
        ({"batch_size": 3}, 3 * corpus.READ_AHEAD + engine_run.READ + 1),
        ({"batch_seconds": 2.0}, 4 * corpus.READ_AHEAD + engine_run.READ + 1),
    ):
        asked = 0
        transcripts = EngineTranscriber(Ear(), **options).transcribe(endless())
        assert next(transcripts).text == text_of(5)
        assert asked <= most
        transcripts.close()


def test_a_file_may_be_closed_when_the_next_one_is_asked_for(tones: dict[Path, str]) -> None:
    def opened() -> Iterator[object]:
        for path in tones:
            with path.open("rb") as file:
                yield file

    found = EngineTranscriber(Ear(), batch_size=5).transcribe(opened())
    assert [heard.text for heard in found] == list(tones.values())


def test_bad_recordings_keep_their_places(tones: dict[Path, str], tmp_path: Path) -> None:
    sources: list[object] = list(tones)
    (tmp_path / "bad.wav").write_bytes(b"no audio at all")
    sources[3] = tmp_path / "bad.wav"
    sources[7] = tmp_path / "missing.wav"
    sources[8] = np.zeros(10, np.float32)
    transcriber = EngineTranscriber(Ear(), batch_seconds=2.0)
    found = list(transcriber.transcribe(sources, source_rate=RATE, errors="return"))
    failed = [place for place, heard in enumerate(found) if heard.error]
    assert failed == [3, 7, 8]
    assert "less than one frame" in found[8].error
    texts = list(tones.values())
    assert all(heard.text == texts[place] for place, heard in enumerate(found) if place not in failed)
    heard = transcriber.transcribe(sources, source_rate=RATE)
    assert [next(heard).text for _ in range(3)] == texts[:3]
    with pytest.raises(ValueError, match=r"bad\.wav cannot be read"):
        next(heard)


def test_long_and_short_recordings_mix(tmp_path: Path) -> None:
    long = np.concatenate([np.concatenate([tone(number, 0.8), np.zeros(RATE // 2)]) for number in (1, 9, 4)])
    sources = [tone(7), long, tone(2), long, tone(5)]
    ear = Ear()
    transcriber = EngineTranscriber(ear, batch_seconds=3.0, longform=LongformOptions(1.5))
    found = list(transcriber.transcribe(sources, source_rate=RATE))
    whole = " ".join(map(text_of, (1, 9, 4)))
    assert [heard.text for heard in found] == [text_of(7), whole, text_of(2), whole, text_of(5)]
    assert max(samples for _, samples in ear.shapes) <= 1.5 * RATE


def test_a_long_recording_is_not_read_to_its_end_ahead_of_time(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.zeros(120 * RATE), RATE)
    read = Reader(RATE, 10 * RATE, 400, None).read(0, path)
    assert isinstance(read, LongRecording)
    assert sum(len(block) for block in read.audio) == 120 * RATE
    short = Reader(RATE, 10 * RATE, 400, None).read(1, tone(0))
    assert isinstance(short, Clip) is False  # an array needs its rate
    assert isinstance(Reader(RATE, 10 * RATE, 400, RATE).read(1, tone(0)), Clip)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_seconds": 0}, "batch_seconds must be a number of seconds above 0; got 0"),
        ({"batch_seconds": 3.0, "batch_size": 2}, "give one of them"),
    ],
)
def test_batches_of_nothing_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineTranscriber(Ear(), **options)
