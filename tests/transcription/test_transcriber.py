import copy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tfwav2vec2 import EngineTranscriber, Transcriber, Wav2Vec2Config, load_audio
from tfwav2vec2.serving import engines
from tfwav2vec2.transcription.transcript import Transcript

FILES = ["a.wav", "b.flac", "sub/a.wav", "sub/deep/c.OGG"]


@pytest.fixture(scope="module")
def transcriber(tiny_folder: Path) -> Transcriber:
    return Transcriber.from_pretrained(tiny_folder)


@pytest.fixture
def paths(recordings: Path) -> list[Path]:
    return [recordings / name for name in FILES]


def test_each_recording_gets_its_transcript(transcriber, paths):
    transcripts = list(transcriber.transcribe(paths))
    assert [transcript.file for transcript in transcripts] == [str(path) for path in paths]
    assert [transcript.seconds for transcript in transcripts] == pytest.approx(
        [0.5, 0.31, 0.2, 0.45], abs=1e-3
    )
    assert all(transcript.text and transcript.error is None for transcript in transcripts)
    assert len({transcript.text for transcript in transcripts}) == len(paths)  # random weights, but not deaf


def test_the_text_is_what_the_reference_recipe_gives(transcriber, paths):
    """Features, arg max and ``batch_decode`` by hand: exactly what users of the reference write."""
    processor = transcriber.processor
    inputs = processor(
        load_audio(paths[0]), sampling_rate=16_000, return_tensors="np", return_attention_mask=True
    )
    ids = np.asarray(transcriber.model(**inputs).logits).argmax(-1)
    assert next(transcriber.transcribe(paths[0])).text == processor.batch_decode(ids)[0]


@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_a_batch_gives_what_single_clips_give(transcriber, paths, batch_size):
    together = Transcriber(transcriber.model, transcriber.processor, batch_size=batch_size)
    assert list(together.transcribe(paths)) == list(transcriber.transcribe(paths))


def test_lengths_reach_the_model_whatever_the_checkpoint_says(transcriber, paths):
    assert transcriber.processor.feature_extractor.return_attention_mask is False
    seen = []

    class Recorder:
        config = transcriber.model.config
        frame_lengths = transcriber.model.frame_lengths

        def __call__(self, input_values, attention_mask):
            seen.append((input_values, attention_mask))
            return transcriber.model(input_values, attention_mask=attention_mask)

    processor = copy.copy(transcriber.processor)
    processor.feature_extractor = copy.copy(processor.feature_extractor)
    processor.feature_extractor.padding_side = "left"
    list(Transcriber(Recorder(), processor, batch_size=4).transcribe(paths))
    values, mask = seen[0]
    lengths = [len(load_audio(path)) for path in paths]
    assert mask.sum(axis=1).tolist() == lengths
    for row, length in zip(values, lengths, strict=True):
        assert row[:length].mean() == pytest.approx(0, abs=1e-5)
        assert row[:length].std() == pytest.approx(1, abs=1e-3)
        assert not row[length:].any()


def test_bytes_files_and_arrays_are_sources_too(transcriber, paths):
    text = next(transcriber.transcribe(paths[0])).text
    content = paths[0].read_bytes()
    with paths[0].open("rb") as file:
        sources = [content, file, load_audio(paths[0])]
        transcripts = list(transcriber.transcribe(sources, source_rate=16_000))
    assert [transcript.text for transcript in transcripts] == [text] * 3
    assert [transcript.file for transcript in transcripts] == ["<bytes>", str(paths[0]), "<array>"]
    assert next(transcriber.transcribe(content)).text == text


def test_sources_are_read_one_at_a_time(transcriber, paths):
    def endless():
        while True:
            yield paths[0]

    transcripts = transcriber.transcribe(endless())
    assert next(transcripts) == next(transcripts)


def test_an_error_stops_or_is_returned(transcriber, paths, tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no audio at all")
    sources = [paths[0], bad, tmp_path / "missing.wav", paths[1]]
    iterator = transcriber.transcribe(sources)
    good = next(iterator)
    with pytest.raises(ValueError, match=r"bad\.wav cannot be read as audio"):
        next(iterator)
    for batch_size in (1, 4):
        tolerant = Transcriber(transcriber.model, transcriber.processor, batch_size=batch_size)
        transcripts = list(tolerant.transcribe(sources, errors="return"))
        assert transcripts[0] == good
        assert transcripts[1].error.startswith(f"{bad} cannot be read")
        assert transcripts[1] == Transcript(str(bad), "", 0.0, transcripts[1].error)
        assert "does not exist" in transcripts[2].error
        assert transcripts[3].error is None
    with pytest.raises(ValueError, match="'raise' or 'return'"):
        next(transcriber.transcribe(sources, errors="ignore"))


def test_a_clip_shorter_than_one_frame_is_an_error_not_a_transcript(transcriber):
    shortest = next(samples for samples in range(1, 1000) if transcriber.model.frame_lengths(samples))
    noise = np.random.default_rng(0).normal(size=shortest)
    assert next(transcriber.transcribe([noise], source_rate=16_000)).error is None
    with pytest.raises(ValueError, match=r"<array> lasts 0\.00.* less than one frame"):
        next(transcriber.transcribe([noise[:-1]], source_rate=16_000))


def test_a_clip_too_long_for_the_memory_goes_in_pieces_that_fit(transcriber, paths, monkeypatch):
    base = SimpleNamespace(config=Wav2Vec2Config(vocab_size=10))
    assert 120 < Transcriber(base, transcriber.processor).max_seconds < 140
    monkeypatch.setattr(engines, "ATTENTION_BYTES", 4 * 2 * 100**2)  # 2 heads, 100 frames of 30 samples
    longest = 100 * 30 / 16_000
    assert transcriber.max_seconds == longest
    heard = []
    run = transcriber.engine._run
    monkeypatch.setattr(
        transcriber.engine, "_run", lambda waveform, lengths: heard.append(lengths) or run(waveform, lengths)
    )
    found = next(transcriber.transcribe(paths[0]))
    assert (found.seconds, found.error) == (0.5, None)
    assert found.text
    assert len(heard) > 1
    assert max(max(lengths) for lengths in heard) <= longest * 16_000
    assert Transcriber(transcriber.model, transcriber.processor, batch_size=4).max_seconds == 50 * 30 / 16_000


def test_numbers_that_are_none_are_an_error_not_a_transcript(transcriber, paths):
    class Broken:
        config = transcriber.model.config
        frame_lengths = transcriber.model.frame_lengths

        def __call__(self, *args, **kwargs):
            output = transcriber.model(*args, **kwargs)
            output["logits"] = np.asarray(output.logits) * np.nan
            return output

    broken = Transcriber(Broken(), transcriber.processor)
    with pytest.raises(ValueError, match=r"a\.wav makes the model compute NaN"):
        next(broken.transcribe(paths[0]))
    assert "NaN" in next(broken.transcribe(paths[0], errors="return")).error


@pytest.mark.parametrize("batch_size", [0, -1, 1.5])
def test_a_batch_has_at_least_one_recording(transcriber, batch_size):
    with pytest.raises(ValueError, match="batch_size"):
        Transcriber(transcriber.model, transcriber.processor, batch_size=batch_size)


def test_a_vocabulary_that_does_not_fit_is_found_when_the_model_is_opened(tiny_folder, tmp_path):
    import shutil

    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "vocab.json").write_text('{"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4}')
    with pytest.raises(ValueError, match=r"head of .* has 10 outputs and the vocabulary 5 tokens"):
        Transcriber.from_pretrained(folder)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_what_an_engine_refuses_is_one_recordings_error(transcriber, paths, monkeypatch, batch_size):
    texts = transcriber.engine.texts
    refused = round(0.2 * 16_000)  # the third recording, at the model's rate

    def picky(waveform, lengths):
        if refused in list(lengths):
            raise ValueError("lengths must be at least 400")
        return texts(waveform, lengths)

    monkeypatch.setattr(transcriber.engine, "texts", picky)
    by_engine = EngineTranscriber(transcriber.engine, batch_size=batch_size)
    found = list(by_engine.transcribe(paths, errors="return"))
    assert [transcript.file for transcript in found] == [str(path) for path in paths]
    assert [transcript.error for transcript in found] == [
        None, None, f"{paths[2]}: lengths must be at least 400", None,
    ]  # fmt: skip
    assert all(found[index].text for index in (0, 1, 3))
    with pytest.raises(ValueError, match="lengths must be at least 400"):
        list(by_engine.transcribe(paths))
