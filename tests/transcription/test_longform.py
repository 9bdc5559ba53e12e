"""A long recording gives the text of its parts, on every engine, with every cut, and its words where they were said."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from tests.transcription.streams import CONFIG, CUTS, FIELD, HOP, HearingEngine, numbered, pieces
from tfwav2vec2 import (
    EngineTranscriber,
    TFWav2Vec2ForCTC,
    Transcriber,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    load_audio,
)
from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.serving.engines import Engine, KerasEngine, LiteRTEngine, open_engine
from tfwav2vec2.transcription.longform import LogitBlock, LongformEncoder, LongformOptions, WordSeparator

RATE = 16_000
FRAME = HOP / RATE
DEMO = REPOSITORY / "demo" / "clips"

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the embedded exports are run by TensorFlow and LiteRT"
)


def options(left: int, chunk: int, right: int, cut: str = "stride") -> LongformOptions:
    """So many frames, ``chunk`` of which count between cuts."""
    return LongformOptions((left + chunk + right) * FRAME, (left * FRAME, right * FRAME), cut)


# --- frames ---------------------------------------------------------------------------------------------------------


@given(
    left=st.integers(0, 12),
    chunk=st.integers(1, 40),
    right=st.integers(0, 12),
    total=st.integers(FIELD, 6000),
    cut=st.sampled_from(["silence", "stride"]),
)
def test_the_stitched_frames_are_those_of_the_recording(
    left: int, chunk: int, right: int, total: int, cut: str
) -> None:
    encoder = LongformEncoder(HearingEngine(), options(left, chunk, right, cut))
    found = np.concatenate(list(encoder.stream_logits(numbered(total), source_rate=RATE)))
    frames = frame_lengths(CONFIG, total)
    # Each frame heard the samples that it hears in the whole recording.
    np.testing.assert_array_equal(found[:, 0], 1 + HOP * np.arange(frames))
    np.testing.assert_array_equal(found[:, 1], FIELD + HOP * np.arange(frames))


@pytest.mark.parametrize("normalize", [True, False])
def test_context_over_the_whole_recording_gives_the_logits_of_one_piece(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], normalize: bool
) -> None:
    model = tiny_model(feat_extract_norm="layer", do_stable_layer_norm=True)
    engine = KerasEngine(model, Wav2Vec2FeatureExtractor(do_normalize=normalize))
    samples = np.random.default_rng(0).normal(0.1, 0.1, 2345).astype(np.float32)
    offline = engine(samples[None], [len(samples)])["logits"][0]
    for chosen in (options(99, 20, 99), options(0, 99, 0)):
        encoder = LongformEncoder(engine, chosen)
        found = np.concatenate(list(encoder.stream_logits(samples, source_rate=RATE)))
        # The last samples are fewer than a frame: where a piece does not hear them its normalisation is a little another.
        np.testing.assert_allclose(found, offline, rtol=0, atol=2e-2 if normalize else 1e-4)


def test_pieces_go_together_as_far_as_they_fit(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    model = tiny_model(feat_extract_norm="layer", do_stable_layer_norm=True)
    engine = KerasEngine(model, Wav2Vec2FeatureExtractor())
    samples = np.random.default_rng(0).normal(size=9000).astype(np.float32)
    alone, together = (
        list(LongformEncoder(engine, options(4, 30, 4), batch_size=size).blocks(samples, source_rate=RATE))
        for size in (1, 4)
    )
    assert len(alone) == len(together) > 4
    for one, other in zip(alone, together, strict=True):
        assert one.start == other.start
        np.testing.assert_allclose(one.logits, other.logits, rtol=0, atol=1e-5)


def test_an_engine_of_one_length_gets_pieces_of_one_length_and_short_recordings_as_they_are() -> None:
    class Compiled(HearingEngine):
        one_length = True

        def expect(self, rows: int, samples: int) -> None:
            expected.append((rows, samples))

    expected: list[tuple[int, int]] = []
    engine = Compiled()
    encoder = LongformEncoder(engine, options(4, 30, 4, "silence"))
    longest = encoder.windows.window
    for total in (FIELD, longest):
        list(encoder.blocks(numbered(total), source_rate=RATE))
    assert engine.sizes == {FIELD, longest}
    assert expected == []
    engine.sizes.clear()
    found = list(encoder.blocks(numbered(3 * longest), source_rate=RATE))
    assert sum(len(block.logits) for block in found) == frame_lengths(CONFIG, 3 * longest)
    assert engine.sizes == {longest}
    assert expected == [(1, longest)]


def test_a_model_compiles_one_program_for_a_long_recording(
    tiny_model: Callable[..., TFWav2Vec2ForCTC],
) -> None:
    model = tiny_model(feat_extract_norm="layer", do_stable_layer_norm=True)
    samples = np.random.default_rng(0).normal(size=9000).astype(np.float32)
    found = []
    for compiled in ("auto", False):
        model.configure_call(jit_compile=compiled, buckets=Buckets(lengths=range(100, 3000, 100)))
        encoder = LongformEncoder(
            KerasEngine(model, Wav2Vec2FeatureExtractor()), options(4, 30, 4, "silence")
        )
        found.append(np.concatenate(list(encoder.stream_logits(samples, source_rate=RATE))))
        assert model.compiled_programs == (1 if compiled else 0)
    np.testing.assert_allclose(*found, rtol=0, atol=1e-5)


def test_a_model_with_less_memory_hears_shorter_pieces() -> None:
    class Small(HearingEngine):
        def max_seconds(self, batch_size: int) -> float:
            return 40 * FRAME / batch_size

    engine = Small()
    encoder = LongformEncoder(engine, LongformOptions(30.0, 5.0), batch_size=4)
    assert encoder.windows.window <= 40 * HOP
    assert encoder.batch_size == 1
    blocks = list(encoder.blocks(numbered(9000), source_rate=RATE))
    assert sum(len(block.logits) for block in blocks) == frame_lengths(CONFIG, 9000)
    assert max(engine.sizes) <= 40 * HOP


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(ValueError, match="less than one frame"):
        list(LongformEncoder(HearingEngine()).stream_logits(numbered(FIELD - 1), source_rate=RATE))

    class Broken(HearingEngine):
        def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
            answer = super()._run(waveform, lengths)
            return answer | {"logits": answer["logits"] * np.nan}

    with pytest.raises(ValueError, match=r"<array> makes the model compute NaN or infinity"):
        list(LongformEncoder(Broken()).stream_logits(numbered(5000), source_rate=RATE))

    class Unknown(HearingEngine):
        config = None

    with pytest.raises(ValueError, match="does not say what model it runs"):
        LongformEncoder(Unknown())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"chunk_seconds": 0}, "chunk_seconds must be a number of seconds above 0; got 0"),
        ({"chunk_seconds": float("nan")}, "chunk_seconds"),
        ({"chunk_seconds": "30"}, "chunk_seconds"),
        ({"stride_seconds": -1}, "stride_seconds must be a number of seconds from 0 on; got -1"),
        ({"stride_seconds": (1, -1)}, "stride_seconds"),
        ({"stride_seconds": (1, 2, 3)}, "one number or two"),
        ({"chunk_seconds": 6, "stride_seconds": 3}, "leave something of a chunk of 6 s"),
        ({"cut": "words"}, "cut must be 'silence' or 'stride'; got 'words'"),
    ],
)
def test_options_that_are_none_are_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LongformOptions(**fields)


# --- words that a cut would join ------------------------------------------------------------------------------------

VOCABULARY = ["<pad>", "|", "A", "B"]


def separator(folder: Path, symbols: list[str]) -> WordSeparator:
    import json

    path = folder / "vocab.json"
    path.write_text(json.dumps({symbol: index for index, symbol in enumerate(symbols)}))
    return WordSeparator(Wav2Vec2CTCTokenizer(path, bos_token=None, eos_token=None, unk_token=None))


def separated(separate: WordSeparator, *blocks: tuple[str, bool], symbols: list[str] = VOCABULARY) -> str:
    """The likeliest symbols of blocks, given as theirs, ``.`` for blank, and whether a pause precedes them."""
    found = ""
    for text, from_pause in blocks:
        ids = [symbols.index(symbol) if symbol != "." else 0 for symbol in text]
        logits = np.eye(len(symbols), dtype=np.float32)[ids]
        block = separate(LogitBlock(logits, 0, from_pause, False))
        found += "".join("." if each == 0 else symbols[each] for each in block.logits.argmax(-1))
    return found


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([("..A.", True), (".B..", True)], "..A.|B.."),
        ([("..A.", True), (".B..", False)], "..A..B.."),  # with context the model decides
        ([("A|..", True), (".B..", True)], "A|...B.."),
        ([("A...", True), ("..|B", True)], "A.....|B"),
        ([("....", True), (".B..", True)], ".....B.."),  # nothing was said before
        ([("A...", True), ("....", True), (".B..", False)], "A.......|B.."),  # owed since the pause
        ([("A...", True), ("B...", True)], "A...B..."),  # no blank to write it into
    ],
)
def test_a_pause_parts_words(blocks: list[tuple[str, bool]], expected: str, tmp_path: Path) -> None:
    assert separated(separator(tmp_path, VOCABULARY), *blocks) == expected


def test_digits_without_spaces_stay_so_unless_the_model_writes_spaces(tmp_path: Path) -> None:
    symbols = ["<pad>", "|", "1", "2"]
    apart = separator(tmp_path, symbols)
    assert separated(apart, ("1...", True), (".2..", True), symbols=symbols) == "1....2.."
    apart = separator(tmp_path, symbols)
    assert separated(apart, (".1|2.", True), (".1..", True), symbols=symbols) == ".1|2.|1.."


# --- text -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def litert(spoken_digits: Path) -> Iterator[Engine]:
    with LiteRTEngine(spoken_digits / "model.tflite") as engine:
        yield engine


@pytest.fixture(scope="module")
def clips() -> list[tuple[np.ndarray, str]]:
    """The demo's clips and their digits."""
    with (DEMO / "manifest.tsv").open(encoding="utf-8") as file:
        return [(load_audio(DEMO / row["file"]), row["text"]) for row in csv.DictReader(file, delimiter="\t")]


# A frame of the embedded model. And the clip that it hears as 194402 beside some of the others, in one recording without a cut too.
HOP_OF_16KHZ = 320
UNSURE = "194702"


def joined(clips: list[tuple[np.ndarray, str]], order: list[int], pause: float) -> tuple[np.ndarray, str]:
    silence = np.zeros(round(pause * RATE), np.float32)
    parts = [part for index in order for part in (silence, clips[index % len(clips)][0])]
    return np.concatenate([*parts, silence]), "".join(clips[index % len(clips)][1] for index in order)


RECORDINGS = {
    "order": st.lists(st.integers(0, 5), min_size=4, max_size=12),
    "pause": st.floats(0.5, 2.0),
    "chosen": st.builds(LongformOptions, st.floats(5.0, 12.0), st.floats(0.0, 2.4)),
}


@given(**RECORDINGS)
@settings(max_examples=15)
def test_any_chunk_gives_the_text_of_the_parts_where_cuts_fall_in_silence(
    litert: Engine,
    clips: list[tuple[np.ndarray, str]],
    order: list[int],
    pause: float,
    chosen: LongformOptions,
) -> None:
    """A part is what lies between two cuts, heard by itself: what the model makes of its neighbours is not the cutting's."""
    samples, _ = joined(clips, order, pause)
    blocks = list(LongformEncoder(litert, chosen).blocks(samples, source_rate=RATE))
    assert all(block.from_pause and block.to_pause for block in blocks)
    cuts = [block.start * HOP_OF_16KHZ for block in blocks]
    for cut in cuts[1:]:
        assert np.abs(samples[cut - RATE // 10 : cut + RATE // 10]).max() < 0.05 * np.abs(samples).max()
    parts = [samples[begin:end] for begin, end in zip(cuts, [*cuts[1:], len(samples)], strict=True)]
    found = next(EngineTranscriber(litert, longform=chosen).transcribe(samples, source_rate=RATE))
    assert found.text == "".join(
        text or "" for part in parts for text in litert.texts(part[None], [len(part)])
    )
    assert found.seconds == len(samples) / RATE


@given(**RECORDINGS)
@settings(max_examples=10)
def test_any_chunk_gives_the_digits_that_were_said(
    litert: Engine,
    clips: list[tuple[np.ndarray, str]],
    order: list[int],
    pause: float,
    chosen: LongformOptions,
) -> None:
    samples, text = joined([clip for clip in clips if clip[1] != UNSURE], order, pause)
    transcriber = EngineTranscriber(litert, longform=chosen)
    assert next(transcriber.transcribe(samples, source_rate=RATE)).text == text


def test_minutes_of_digits_are_heard_whole_with_either_cut(
    litert: Engine, clips: list[tuple[np.ndarray, str]], tmp_path: Path
) -> None:
    sure = [clip for clip in clips if clip[1] != UNSURE]
    samples, text = joined(sure, list(range(70)), 0.7)
    assert len(samples) > 180 * RATE
    path = tmp_path / "long.flac"
    soundfile.write(path, samples, RATE)
    for chosen in (LongformOptions(), LongformOptions(24, 2.0, "stride"), LongformOptions(15, 3.0, "stride")):
        found = next(EngineTranscriber(litert, longform=chosen).transcribe(path))
        assert found.text == text


def test_words_lie_where_they_were_said(litert: Engine, clips: list[tuple[np.ndarray, str]]) -> None:
    """The digits are one word; its characters lie inside their clips."""
    order = [4, 2, 5, 3, 1, 0]
    samples, _ = joined(clips, order, 1.0)
    found = next(
        EngineTranscriber(litert, longform=LongformOptions(8.0)).transcribe(
            samples, source_rate=RATE, words=True
        )
    )
    (word,) = found.words
    assert word.text == found.text
    assert 0.5 < word.confidence <= 1
    at, characters = 1.0, iter(word.characters)
    for index in order:
        clip, digits = clips[index]
        end = at + len(clip) / RATE
        for digit in digits:
            character = next(characters)
            assert character.char == digit
            assert at - 0.05 <= character.start < character.end <= end + 0.3
        at = end + 1.0
    assert next(characters, None) is None


@pytest.mark.parametrize("kind", ["keras", "savedmodel"])
def test_every_engine_gives_the_same_words(
    litert: Engine, clips: list[tuple[np.ndarray, str]], spoken_digits: Path, kind: str
) -> None:
    samples, text = joined(clips, [0, 3, 1, 2], 0.8)
    chosen = LongformOptions(5.0, 1.0)
    expected = next(
        EngineTranscriber(litert, longform=chosen).transcribe(samples, source_rate=RATE, words=True)
    )
    if kind == "keras":
        other: EngineTranscriber = Transcriber.from_pretrained(spoken_digits, longform=chosen)
    else:
        other = EngineTranscriber(open_engine(spoken_digits / "saved_model"), longform=chosen)
    found = next(other.transcribe(samples, source_rate=RATE, words=True))
    assert found.text == expected.text == text
    (one,), (word,) = found.words, expected.words
    assert one.confidence == pytest.approx(word.confidence, abs=1e-3)
    assert [each.char for each in one.characters] == [each.char for each in word.characters]
    assert [each.start for each in one.characters] == pytest.approx([each.start for each in word.characters])


def test_an_engine_without_labels_gives_texts_of_pieces_and_no_words(
    litert: Engine, clips: list[tuple[np.ndarray, str]]
) -> None:
    class TextsAlone(Engine):
        name, shortest = "texts alone", litert.shortest

        def texts(self, waveform: np.ndarray, lengths: list[int]) -> list[str | None]:
            assert max(lengths) <= 6 * RATE
            return litert.texts(waveform, lengths)

        def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
            raise NotImplementedError

    samples, text = joined(clips, [3, 1, 4, 2], 1.0)
    transcriber = EngineTranscriber(TextsAlone(), longform=LongformOptions(6.0))
    found = next(transcriber.transcribe(samples, source_rate=RATE, words=True))
    assert found.text.replace(" ", "") == text
    assert " " in found.text
    assert found.words is None


def test_damage_after_minutes_is_that_recordings_error(
    litert: Engine, clips: list[tuple[np.ndarray, str]], tmp_path: Path
) -> None:
    samples, _ = joined(clips, list(range(12)), 0.5)
    content = io.BytesIO()
    soundfile.write(content, samples, RATE, format="FLAC")
    bad = tmp_path / "bad.flac"
    bad.write_bytes(content.getvalue()[: len(content.getvalue()) * 3 // 4])
    transcriber = EngineTranscriber(litert, longform=LongformOptions(8.0))
    found = list(transcriber.transcribe([bad, DEMO / "two_digits.flac"], errors="return"))
    assert "is damaged after" in found[0].error or "is cut short" in found[0].error
    assert (found[0].text, found[1].text) == ("", "41")
    with pytest.raises(ValueError, match=r"bad\.flac is"):
        next(transcriber.transcribe(bad))


@given(cuts=CUTS)
@settings(max_examples=5)
def test_an_open_file_is_a_stream_too(
    litert: Engine, clips: list[tuple[np.ndarray, str]], cuts: list[int]
) -> None:
    samples, text = joined(clips, [1, 2, 3], 0.6)
    blocks = pieces(samples, cuts)
    encoder = LongformEncoder(litert, LongformOptions(4.0, 1.0))
    logits = [block.logits for block in encoder.blocks_of(encoder.pieces(blocks), "the stream")]
    assert litert.processor.tokenizer.decode(np.concatenate(logits).argmax(-1)) == text


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")
def test_a_long_file_takes_the_memory_of_a_short_one(
    spoken_digits: Path, clips: list[tuple[np.ndarray, str]], tmp_path: Path
) -> None:
    code = (
        "import re, sys\n"
        "from tfwav2vec2 import EngineTranscriber\n"
        "from tfwav2vec2.serving.engines import open_engine\n"
        "found = next(EngineTranscriber(open_engine(sys.argv[1])).transcribe(sys.argv[2]))\n"
        "print(found.text, re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1])\n"
    )
    peaks = []
    sure = [clip for clip in clips if clip[1] != UNSURE]
    for rounds in (10, 10 * 24):
        samples, text = joined(sure, list(range(rounds)), 0.7)
        soundfile.write(tmp_path / "long.flac", samples, RATE)
        command = [
            sys.executable,
            "-c",
            code,
            str(spoken_digits / "model.tflite"),
            str(tmp_path / "long.flac"),
        ]
        heard, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert heard == text
        peaks.append(int(peak) * 1024)
    assert len(samples) > 600 * RATE
    # The samples of the longer file alone would be 45 MB.
    assert peaks[1] - peaks[0] < 16e6
