"""One bad recording never takes another with it, and what is wrong with the engine is blamed on none."""

import numpy as np
import pytest
import soundfile

from tests.beam.ear import RATE, Ear, hear, text_of, tone, write_tones
from tfwav2vec2 import Example, Transcriber
from tfwav2vec2.beam import transcription
from tfwav2vec2.beam.transcription import BatchTranscriber, Tally, try_out


def texts(transcripts):
    return [transcript.text for transcript in transcripts]


def test_transcripts_come_in_the_order_of_the_recordings(tmp_path):
    expected = write_tones(tmp_path, range(20))
    transcriber = BatchTranscriber(Ear(), 1.0)
    transcripts = transcriber.transcribe(tmp_path / name for name in expected)
    assert texts(transcripts) == list(expected.values())
    assert [transcript.file for transcript in transcripts] == [str(tmp_path / name) for name in expected]
    assert all(transcript.error is None for transcript in transcripts)
    assert transcriber.transcribe([]) == []


def test_batches_keep_to_the_budget_and_are_counted(tmp_path):
    write_tones(tmp_path, range(30))
    ear = Ear()
    transcriber = BatchTranscriber(ear, 2.0)
    transcripts = transcriber.transcribe(sorted(tmp_path.rglob("*.wav")))
    assert all(rows * samples <= 2.0 * RATE for rows, samples in ear.shapes)
    assert any(rows > 1 for rows, _ in ear.shapes)
    tally = transcriber.tally
    assert (tally.clips, tally.failures, tally.retries) == (30, 0, 0)
    assert tally.milliseconds == pytest.approx(1000 * sum(heard.seconds for heard in transcripts), abs=30)
    assert tally.padded_samples == sum(rows * samples for rows, samples in ear.shapes)
    assert 0 < tally.padded_share < 0.2
    assert Tally().padded_share == 0


def test_no_more_is_read_ahead_than_is_needed(monkeypatch, tmp_path):
    """The audio in memory is bounded by the budget, not by the number of recordings."""
    write_tones(tmp_path, range(40), seconds=0.5)
    held, most = [0], [0]
    whole = transcription.load_audio

    def load(*args, **options):
        waveform = whole(*args, **options)
        held[0] += len(waveform)
        most[0] = max(most[0], held[0])
        return waveform

    class Forgetful(Ear):
        def before_answering(self, texts):
            held[0] = 0

    monkeypatch.setattr(transcription, "load_audio", load)
    BatchTranscriber(Forgetful(), 1.0).transcribe(sorted(tmp_path.rglob("*.wav")))
    assert most[0] <= (transcription.READ_AHEAD * 1.0 + 0.6) * RATE


def test_what_cannot_be_read_comes_back_with_the_reason(tmp_path):
    good, short, hollow = tmp_path / "good.wav", tmp_path / "short.wav", tmp_path / "nan.wav"
    soundfile.write(good, tone(3), RATE)
    soundfile.write(short, tone(3)[:399], RATE)
    soundfile.write(hollow, np.full(8000, np.nan, np.float32), RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no audio")
    bad = [tmp_path / "missing.wav", short, hollow, tmp_path / "text.wav", tmp_path]
    transcripts = BatchTranscriber(Ear(), 8.0).transcribe([*bad, good])
    assert texts(transcripts) == [""] * 5 + [text_of(3)]
    reasons = ("does not exist", "less than one frame", "NaN", "cannot be read as audio", "")
    for path, transcript, reason in zip(bad, transcripts, reasons, strict=False):
        assert transcript.error is not None
        assert str(path) in transcript.error
        assert reason in transcript.error
        assert "\n" not in transcript.error


def test_a_part_an_array_and_bytes_are_recordings_too(tmp_path):
    path = tmp_path / "two.wav"
    soundfile.write(path, np.concatenate([tone(1, 0.5), tone(9, 0.5)]), RATE)
    sources = [
        Example("second", path, start=0.5),
        Example("array", np.tile(tone(4), 3), sampling_rate=RATE),
        path.read_bytes(),
        Example("outside", path, start=3.0),
        Example("first", path, end=0.5),
    ]
    transcripts = BatchTranscriber(Ear(), 8.0).transcribe(sources)
    assert [texts(transcripts)[place] for place in (0, 1, 4)] == [text_of(9), text_of(4), text_of(1)]
    assert [transcript.file for transcript in transcripts] == [
        str(path), "array", "<bytes>", str(path), str(path),
    ]  # fmt: skip
    assert "lies outside its audio" in transcripts[3].error
    assert transcripts[0].seconds == pytest.approx(0.5)


def test_too_long_for_the_model(tmp_path):
    class Small(Ear):
        def max_seconds(self, batch_size):
            return 1.0 / batch_size

    soundfile.write(tmp_path / "long.wav", tone(1, 1.5), RATE)
    sources = [tmp_path / "long.wav", Example("part", tmp_path / "long.wav", start=0.2)]
    for transcript in BatchTranscriber(Small(), 8.0).transcribe(sources):
        assert "lasts" in transcript.error
        assert "split it into shorter clips" in transcript.error


def test_rows_that_would_not_fit_the_memory_go_apart(tmp_path):
    class Small(Ear):
        def max_seconds(self, batch_size):
            return 1.0 / batch_size

    ear = Small()
    arrays = [Example(str(number), tone(number, 0.4), sampling_rate=RATE) for number in range(6)]
    heard = BatchTranscriber(ear, 100.0).transcribe(arrays)
    assert texts(heard) == [text_of(number) for number in range(6)]
    assert {rows for rows, _ in ear.shapes} == {2}


class Squeamish(Ear):
    """Fails where a batch holds tone 5."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def before_answering(self, texts):
        if text_of(5) in texts:
            raise self.error


@pytest.mark.parametrize("error", [ValueError("ugly"), RuntimeError("ugly\nand more"), MemoryError("ugly")])
def test_a_batch_that_fails_is_tried_clip_by_clip(error):
    arrays = [Example(f"tone {number}", tone(number), sampling_rate=RATE) for number in range(10)]
    transcriber = BatchTranscriber(Squeamish(error), 4.0)
    transcripts = transcriber.transcribe(arrays)
    assert texts(transcripts) == [text_of(number) if number != 5 else "" for number in range(10)]
    assert transcripts[5].error == "tone 5: ugly"
    assert transcripts[5].seconds == pytest.approx(0.2)
    assert (transcriber.tally.clips, transcriber.tally.failures) == (9, 1)
    assert transcriber.tally.retries == 10


def test_a_clip_that_fails_alone_is_not_tried_again():
    ear = Squeamish(ValueError("ugly"))
    transcriber = BatchTranscriber(ear, 0.1)
    transcripts = transcriber.transcribe([Example("x", tone(5), sampling_rate=RATE)])
    assert transcripts[0].error == "x: ugly"
    assert transcriber.tally.retries == 0


def test_numbers_that_are_none_are_a_failure():
    class Broken(Ear):
        def texts(self, waveform, lengths):
            return [None] * len(lengths)

    (transcript,) = BatchTranscriber(Broken(), 1.0).transcribe([Example("x", tone(1), sampling_rate=RATE)])
    assert "compute NaN or infinity" in transcript.error
    assert transcript.text == ""


class Restarting(Ear):
    """A server that is away for some calls, silence included."""

    def __init__(self, away):
        super().__init__()
        self.away = away

    def before_answering(self, texts):
        if self.away:
            self.away -= 1
            raise ConnectionError("nobody there")


def test_a_server_that_restarts_costs_no_recording(monkeypatch):
    monkeypatch.setattr(transcription, "PATIENCE", (0.0, 0.0, 0.0))
    arrays = [Example(str(number), tone(number), sampling_rate=RATE) for number in range(4)]
    for away in (1, 2, 3):
        for budget in (0.1, 4.0):
            transcripts = BatchTranscriber(Restarting(away), budget).transcribe(arrays)
            assert texts(transcripts) == [text_of(number) for number in range(4)]


def test_a_server_that_stays_away_is_blamed_on_no_recording(monkeypatch):
    monkeypatch.setattr(transcription, "PATIENCE", (0.0, 0.0))
    with pytest.raises(ConnectionError, match="nobody there"):
        BatchTranscriber(Restarting(99), 1.0).transcribe([Example("x", tone(1), sampling_rate=RATE)])


def test_a_recording_that_a_server_cannot_stand_is_left_out(monkeypatch):
    """It answers everything else: the recording is to blame."""
    monkeypatch.setattr(transcription, "PATIENCE", (0.0,))
    arrays = [Example(str(number), tone(number), sampling_rate=RATE) for number in range(8)]
    transcripts = BatchTranscriber(Squeamish(ConnectionError("hung up")), 4.0).transcribe(arrays)
    assert [transcript.error for transcript in transcripts] == [None] * 5 + ["5: hung up"] + [None] * 2


def test_an_engine_that_gives_no_text_shows_at_once():
    class Deaf(Ear):
        def before_answering(self, texts):
            raise ValueError("ear gives no text")

    try_out(Ear())
    with pytest.raises(ValueError, match="gives no text"):
        try_out(Deaf())


def test_the_ear_hears():
    assert [hear(tone(number, 0.2)) for number in (0, 7, 99)] == [text_of(number) for number in (0, 7, 99)]


def test_a_real_model_gives_what_it_gives_alone(tiny_folder, recordings):
    paths = [recordings / name for name in ("a.wav", "b.flac", "sub/a.wav", "sub/deep/c.OGG")]
    model = Transcriber.from_pretrained(tiny_folder)
    expected = [transcript.text for transcript in model.transcribe(paths)]
    for budget in (0.1, 100.0):
        assert texts(BatchTranscriber(model.engine, budget).transcribe(paths)) == expected
