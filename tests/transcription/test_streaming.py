"""A stream gives the frames of the recording, whatever it is cut into, in bounded memory, and says what is wrong."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.transcription.conftest import VOCABULARY
from tests.transcription.streams import CONFIG, CUTS, FIELD, HOP, HearingEngine, engine_of, numbered, pieces
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.language.greedy import greedy_decode
from tfwav2vec2.serving.engines import KerasEngine
from tfwav2vec2.transcription.streaming import (
    StreamedText,
    StreamingEncoder,
    StreamingOptions,
    StreamingTranscriber,
)

FRAME = HOP / 16_000
LABELS = len(VOCABULARY)


def options(left: int, chunk: int, right: int) -> StreamingOptions:
    """So many frames."""
    return StreamingOptions(
        chunk_seconds=chunk * FRAME, left_seconds=left * FRAME, right_seconds=right * FRAME
    )


OPTIONS = st.builds(options, st.integers(0, 12), st.integers(1, 8), st.integers(0, 8))
SMALL = options(5, 4, 3)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Wav2Vec2CTCTokenizer:
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
    vocabulary.write_text(json.dumps({symbol: index for index, symbol in enumerate(VOCABULARY)}))
    return Wav2Vec2CTCTokenizer(vocabulary)


def encoded(encoder: StreamingEncoder, parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([*map(encoder.push, parts), encoder.finish()])


@given(chosen=OPTIONS, total=st.integers(0, 3000), cuts=CUTS, silence=st.booleans())
def test_any_split_gives_every_frame_of_the_recording_once(
    chosen: StreamingOptions, total: int, cuts: list[int], silence: bool
) -> None:
    engine = HearingEngine()
    encoder = StreamingEncoder(engine, chosen, silence=silence)
    found = encoded(encoder, pieces(numbered(total), cuts))
    frames = frame_lengths(CONFIG, total)
    if frames == 0:
        assert found.shape == (0, CONFIG.vocab_size)
        assert not engine.heard
        return
    # Each frame heard the samples that it hears in the whole recording.
    np.testing.assert_array_equal(found[:, 0], 1 + HOP * np.arange(frames))
    np.testing.assert_array_equal(found[:, 1], FIELD + HOP * np.arange(frames))
    assert engine.sizes == {encoder.windows.window}
    for heard in engine.heard:
        spoken = heard[heard > 0]
        assert (spoken[0] - 1) % HOP == 0
        np.testing.assert_array_equal(np.diff(spoken), 1)
        assert silence or len(spoken) == len(heard)


@given(chosen=OPTIONS, total=st.integers(1, 900))
def test_no_frame_waits_longer_than_the_latency(chosen: StreamingOptions, total: int) -> None:
    encoder = StreamingEncoder(HearingEngine(), chosen)
    longest = 0
    for arrived, sample in enumerate(numbered(total), 1):
        for first in encoder.push(sample[None])[:, 0]:
            longest = max(longest, arrived - (int(first) - 1))
    latency = round(encoder.latency * 16_000)
    assert longest == (latency if total >= latency else 0)


@given(scores=st.integers(0, 2**32 - 1), chosen=OPTIONS, total=st.integers(0, 3000), cuts=CUTS)
def test_the_text_is_that_of_greedy_decoding(
    tokenizer: Wav2Vec2CTCTokenizer, scores: int, chosen: StreamingOptions, total: int, cuts: list[int]
) -> None:
    logits = np.random.default_rng(scores).normal(size=(frame_lengths(CONFIG, total) + 1, LABELS))
    stream = StreamingTranscriber(engine_of(logits), chosen, processor=tokenizer)
    found = [*map(stream.push, pieces(numbered(total), cuts)), stream.finish()]
    offline = greedy_decode(logits[None, :-1], None, tokenizer, output_word_offsets=True)
    assert "".join(text.new for text in found) == offline.text[0]
    words = [word for text in found for word in text.words]
    assert [word.text for word in words] == [word["word"] for word in offline.word_offsets[0]]
    assert [word.start for word in words] == pytest.approx(
        [word["start_offset"] * FRAME for word in offline.word_offsets[0]]
    )
    assert found[-1].seconds == total / 16_000


@pytest.mark.parametrize("normalize", [True, False])
def test_context_over_the_whole_recording_gives_the_offline_logits(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], normalize: bool
) -> None:
    model = tiny_model(feat_extract_norm="layer", do_stable_layer_norm=True)
    engine = KerasEngine(model, Wav2Vec2FeatureExtractor(do_normalize=normalize))
    samples = np.random.default_rng(0).normal(0.1, 0.1, 2345).astype(np.float32)
    offline = engine(samples[None], [len(samples)])["logits"][0]
    frames = frame_lengths(CONFIG, len(samples))
    for chosen in (options(frames, 3, frames), options(0, frames + 1, 0), options(0, 3, frames)):
        encoder = StreamingEncoder(engine, chosen)
        np.testing.assert_allclose(
            encoded(encoder, pieces(samples, [1, 700, 2000])), offline, rtol=0, atol=1e-4
        )
    # Less context is another answer, of as many frames.
    less = encoded(StreamingEncoder(engine, SMALL), [samples])
    assert less.shape == offline.shape
    assert np.abs(less - offline).max() > 1e-2


def test_a_chunk_hears_its_context_and_no_more() -> None:
    engine = HearingEngine()
    StreamingEncoder(engine, SMALL).push(numbered(2000))
    # The fourth window: frames 12 to 16 with 5 before and 3 after.
    np.testing.assert_array_equal(engine.heard[3], numbered(2000)[7 * HOP : 18 * HOP + FIELD])
    assert [len(heard) for heard in engine.heard[:3]] == [
        6 * HOP + FIELD,
        10 * HOP + FIELD,
        11 * HOP + FIELD,
    ]


def test_the_thousandth_chunk_takes_the_memory_of_the_tenth(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    engine = engine_of(np.random.default_rng(0).normal(size=(5000, LABELS)))
    engine.heard = SimpleNamespace(append=lambda heard: None)
    stream = StreamingTranscriber(engine, SMALL, processor=tokenizer)
    samples = numbered(1100 * 4 * HOP)
    sizes = {}
    tracemalloc.start()
    try:
        for index in range(1000):
            stream.push(samples[index * 4 * HOP : (index + 1) * 4 * HOP])
            if index + 1 in (10, 1000):
                gc.collect()  # which also gives back what Python keeps for its next tuples
                sizes[index + 1] = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert sizes[1000] - sizes[10] < 4000, sizes  # a byte for each of the frames would be that much


def test_nothing_one_sample_and_less_than_a_frame(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    stream = StreamingTranscriber(HearingEngine(), SMALL, processor=tokenizer)
    nothing = StreamedText()
    assert stream.push([]) == nothing
    assert stream.push(np.zeros(1, np.float32)) == nothing
    assert stream.push(np.zeros(FIELD - 2)) == nothing
    assert stream.finish() == StreamedText(seconds=(FIELD - 1) / 16_000)
    assert stream.encoder.engine.heard == []


def test_a_second_finish_gives_nothing_more(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    scores = np.eye(LABELS)[[5, 5, 0, 6]]
    stream = StreamingTranscriber(engine_of(scores), SMALL, processor=tokenizer)
    assert stream.push(numbered(3 * HOP + FIELD)).new == ""
    assert stream.finish().new == "AB"
    assert stream.finish() == StreamedText(seconds=(3 * HOP + FIELD) / 16_000)
    with pytest.raises(ValueError, match=r"has ended: call reset\(\)"):
        stream.push(numbered(1))
    stream.reset()
    stream.push(numbered(3 * HOP + FIELD))
    assert stream.finish().new == "AB"


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.array([0.1, np.nan], np.float32), "NaN or infinity"),
        (np.array([0.1, -np.inf]), "NaN or infinity"),
        (np.array([1e300]), "NaN or infinity"),
        (np.zeros((2, 3)), r"one channel, \(n,\); got the shape \(2, 3\)"),
        (np.zeros(3, np.int16), "got int16: divide int16 by 32768"),
        (["a"], "floating-point"),
    ],
)
def test_samples_that_are_none_are_refused_and_the_stream_goes_on(samples: object, message: str) -> None:
    clip = numbered(1000)
    encoder = StreamingEncoder(HearingEngine(), SMALL)
    first = encoder.push(clip[:600])
    with pytest.raises(ValueError, match=message):
        encoder.push(samples)
    found = np.concatenate([first, encoder.push(clip[600:]), encoder.finish()])
    np.testing.assert_array_equal(found, encoded(StreamingEncoder(HearingEngine(), SMALL), [clip]))


class FailingEngine(HearingEngine):
    """Does not answer once it has answered."""

    def _run(self, waveform, lengths):
        if self.heard:
            raise ConnectionError("gone")
        return super()._run(waveform, lengths)


def test_a_stream_whose_engine_failed_is_over() -> None:
    encoder = StreamingEncoder(FailingEngine(), SMALL)
    with pytest.raises(ConnectionError):
        encoder.push(numbered(2000))
    for go_on in (lambda: encoder.push(numbered(1)), encoder.finish):
        with pytest.raises(ValueError, match=r"broke off where the engine failed: call reset\(\)"):
            go_on()
    encoder.engine = HearingEngine()
    encoder.reset()
    assert len(encoded(encoder, [numbered(2000)])) == frame_lengths(CONFIG, 2000)


def test_a_model_that_computes_nan_gives_no_text(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    stream = StreamingTranscriber(engine_of(np.full((90, LABELS), np.nan)), SMALL, processor=tokenizer)
    with pytest.raises(ValueError, match="NaN or infinity: check the recording's level"):
        stream.push(numbered(2000))


class ClipEngine(HearingEngine):
    """Gives one answer for a recording."""

    def _run(self, waveform, lengths):
        return {"logits": np.zeros((1, 3))}


def test_a_model_that_labels_no_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="gives no labels for each frame"):
        StreamingEncoder(ClipEngine(), SMALL).push(numbered(2000))


def test_what_an_engine_does_not_know_is_asked_for(tokenizer: Wav2Vec2CTCTokenizer) -> None:
    engine = HearingEngine()
    with pytest.raises(ValueError, match=r"no vocabulary here: give the processor"):
        StreamingTranscriber(engine)
    engine.config = None
    with pytest.raises(ValueError, match=r"does not say what model it runs"):
        StreamingTranscriber(engine, processor=tokenizer)
    stream = StreamingTranscriber(engine, SMALL, processor=tokenizer, config=CONFIG)
    assert stream.encoder.windows.hop == HOP
    # Another model's, whose frames come as often.
    other = Wav2Vec2Config.from_dict(CONFIG.to_dict() | {"conv_kernel": [40, 4, 3]})
    with pytest.raises(ValueError, match=r"give the configuration that belongs to the model"):
        StreamingTranscriber(engine, SMALL, processor=tokenizer, config=other).push(numbered(5000))


class BufferEngine(HearingEngine):
    """Takes whole buffers of one size, as a file for GPUs."""

    def buffer(self, samples: int) -> int:
        if samples > 895:
            raise ValueError("the largest buffer holds 895")
        return 895


def test_an_engine_of_whole_buffers_needs_one_of_the_windows_length() -> None:
    with pytest.raises(ValueError, match=r"no buffer of 385 samples.*lengths=\[385\]"):
        StreamingEncoder(BufferEngine(), SMALL)
    with pytest.raises(ValueError, match="largest buffer"):
        StreamingEncoder(BufferEngine(), options(50, 4, 3))
    assert StreamingEncoder(BufferEngine(), options(22, 4, 3)).silence  # whose windows have 895 samples


def test_a_window_beyond_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lasts 50000.* s, and hearing takes \d+.* choose less context"):
        StreamingEncoder(HearingEngine(), StreamingOptions(left_seconds=50_000))


@pytest.mark.parametrize("name", ["chunk_seconds", "left_seconds", "right_seconds"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", None, True])
def test_other_options_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number of seconds"):
        StreamingOptions(**{name: value})


def test_options_are_rounded_to_frames_and_a_chunk_has_at_least_one() -> None:
    windows = StreamingOptions(1e-9, 0, 0.0149).windows(Wav2Vec2Config(), 16_000)
    assert (windows.left, windows.chunk, windows.right) == (0, 1, 1)
    with pytest.raises(ValueError, match="chunk_seconds must be a number of seconds above 0"):
        StreamingOptions(chunk_seconds=0)
    chosen = StreamingOptions(0.4, 2.0, 0.2)
    assert chosen.latency == pytest.approx(0.6)
    # Each frame hears 25 ms and begins 20 ms after the one before.
    assert chosen.windows(Wav2Vec2Config(), 16_000).latency / 16_000 == pytest.approx(0.605)


def test_streaming_needs_neither_keras_nor_tensorflow(spoken_digits: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    script = f"""
import sys
import numpy as np
from tfwav2vec2.serving.engines import open_engine
from tfwav2vec2.transcription.streaming import StreamingTranscriber
stream = StreamingTranscriber(open_engine({str(spoken_digits / "model.tflite")!r}))
stream.push(np.zeros(30_000, np.float32))
assert not {{"keras", "tensorflow"}} & set(sys.modules), "too heavy"
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
