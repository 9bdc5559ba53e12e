"""Every engine gives the same stream; the embedded model reads streams as well as it reads recordings."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from recipes.spoken_digits.corpus import by_speaker, read_recordings, spoken
from recipes.spoken_digits.evaluate import SEED, STRINGS_OF_A_LENGTH
from recipes.spoken_digits.strings import plain_strings
from recipes.spoken_digits.word_errors import WordErrors, word_errors
from tests.conftest import REPOSITORY
from tests.serving.stand_in_server import stand_in_server
from tests.transcription.conftest import VOCABULARY
from tfwav2vec2 import TFWav2Vec2ForCTC, Transcriber, Wav2Vec2Processor, load_audio
from tfwav2vec2.serving.engines import Engine, LiteRTEngine, open_engine
from tfwav2vec2.serving.litert import export_litert
from tfwav2vec2.serving.server_engine import ServerEngine
from tfwav2vec2.transcription.streaming import StreamingEncoder, StreamingOptions, StreamingTranscriber

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made, and run, by TensorFlow"
)

CLIPS = REPOSITORY / "demo" / "clips"
PIECE = 1600


@pytest.fixture(scope="module")
def transcriber(spoken_digits: Path) -> Transcriber:
    return Transcriber.from_pretrained(spoken_digits)


@pytest.fixture(scope="module")
def engines(transcriber: Transcriber, spoken_digits: Path) -> Iterator[dict[str, Engine]]:
    with (
        stand_in_server(spoken_digits / "saved_model", "digits") as addresses,
        open_engine(spoken_digits / "model.tflite") as litert,
        open_engine(spoken_digits / "saved_model") as saved_model,
        ServerEngine(f"{addresses.rest}/v1/models/digits") as rest,
    ):
        yield {"keras": transcriber.engine, "litert": litert, "savedmodel": saved_model, "rest": rest}


def streamed(stream: StreamingTranscriber, samples: np.ndarray) -> str:
    stream.reset()
    found = [stream.push(samples[start : start + PIECE]) for start in range(0, len(samples), PIECE)]
    return "".join(text.new for text in [*found, stream.finish()])


def logits_of(encoder: StreamingEncoder, samples: np.ndarray) -> np.ndarray:
    found = [encoder.push(samples[start : start + PIECE]) for start in range(0, len(samples), PIECE)]
    return np.concatenate([*found, encoder.finish()])


@pytest.mark.parametrize("kind", ["litert", "savedmodel", "rest"])
def test_every_engine_gives_the_same_stream(
    engines: dict[str, Engine], transcriber: Transcriber, kind: str
) -> None:
    engine = engines[kind]
    samples = load_audio(CLIPS / "three_digits.flac")
    ours = StreamingEncoder(engine, config=transcriber.model.config)
    expected = logits_of(StreamingEncoder(engines["keras"]), samples)
    np.testing.assert_allclose(logits_of(ours, samples), expected, rtol=0, atol=1e-3)
    texts = {
        streamed(
            StreamingTranscriber(each, processor=transcriber.processor, config=transcriber.model.config),
            samples,
        )
        for each in (engine, engines["keras"])
    }
    assert len(texts) == 1


def test_a_file_of_one_fixed_window_gives_the_same_stream(
    tiny_folder: Path, tmp_path: Path, tiny_model: Callable[..., TFWav2Vec2ForCTC]
) -> None:
    """A file for GPUs takes the window's samples and nothing else; with silence around it every engine gives its stream."""
    model = tiny_model(feat_extract_norm="group", hidden_act="gelu_pytorch_tanh", feat_extract_activation="gelu_pytorch_tanh")  # fmt: skip
    processor = Wav2Vec2Processor.from_pretrained(tiny_folder)
    options = StreamingOptions(chunk_seconds=0.015, left_seconds=0.04, right_seconds=0.02)
    window = options.windows(model.config, 16_000).window
    path = export_litert(model, processor, tmp_path / "gpu.tflite", lengths=[window], for_gpu=True).path
    samples = np.random.default_rng(0).normal(0, 0.1, 4321).astype(np.float32)
    with LiteRTEngine(path) as engine:
        fixed = StreamingEncoder(engine, options)
        assert fixed.silence
        with pytest.raises(ValueError, match="hears silence before a stream"):
            StreamingEncoder(engine, options, silence=False)
        keras_engine = Transcriber(model, processor).engine
        same = StreamingEncoder(keras_engine, options, silence=True)
        found = logits_of(fixed, samples)
        np.testing.assert_allclose(found, logits_of(same, samples), rtol=0, atol=1e-3)
        assert found.shape == (same.windows.frames_in(len(samples)), len(VOCABULARY))
        assert streamed(StreamingTranscriber(engine, options), samples) == streamed(
            StreamingTranscriber(keras_engine, options, silence=True), samples
        )


def test_the_embedded_model_reads_the_clips_of_the_demo_as_they_are_played(spoken_digits: Path) -> None:
    with open_engine(spoken_digits / "model.tflite") as engine:
        stream = StreamingTranscriber(engine)
        assert stream.latency < 0.7
        assert not stream.encoder.silence  # the file is told how many samples count
        with (CLIPS / "manifest.tsv").open() as file:
            said = {row["file"]: row["text"] for row in csv.DictReader(file, delimiter="\t")}
        assert {name: streamed(stream, load_audio(CLIPS / name)) for name in said} == said


@pytest.mark.slow
def test_the_embedded_models_word_error_rate_is_within_a_point_of_offline(
    spoken_digits: Path, shared_data: Path
) -> None:
    clips = by_speaker(read_recordings(shared_data)["heard"]).values()
    with open_engine(spoken_digits / "model.tflite") as engine:
        stream = StreamingTranscriber(engine)
        offline = streaming = WordErrors()
        for string in plain_strings(clips, STRINGS_OF_A_LENGTH // len(clips), SEED):
            samples = string.samples
            (text,) = engine.texts(samples[None], [len(samples)])
            offline += word_errors(string.words, spoken(text))
            streaming += word_errors(string.words, spoken(streamed(stream, samples)))
        assert streaming.rate <= offline.rate + 0.01
