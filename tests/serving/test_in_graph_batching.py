"""Calls that run at the same time in one session become one batch, and nobody's answer changes by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.heads.family import tiny
from tests.serving.stand_in_server import Servable
from tfwav2vec2 import Wav2Vec2FeatureExtractor, Wav2Vec2Processor
from tfwav2vec2.serving.batching_options import BatchingOptions
from tfwav2vec2.serving.endpoints import endpoints
from tfwav2vec2.serving.in_graph_batching import BatchedModel
from tfwav2vec2.serving.saved_model import (
    LARGEST_DIFFERENCE,
    LARGEST_DIFFERENCE_HALF,
    export_saved_model,
)

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModels are TensorFlow's"
)

# A call waits so long for others that those which start together do meet.
OPTIONS = BatchingOptions(max_batch_size=4, batch_timeout_micros=200_000)
LENGTHS = (9_000, 4_321, 16_000, 700, 7_000, 9_000, 12_345, 5_000)


def clip(length: int) -> np.ndarray:
    return np.random.default_rng(length).normal(0.01, 0.1, length).astype("float32")


def padded(lengths: Sequence[int], behind: float = 7.0) -> dict[str, np.ndarray]:
    waveform = np.full((len(lengths), max(lengths)), behind, np.float32)
    for row, length in zip(waveform, lengths, strict=True):
        row[:length] = clip(length)
    return {"waveform": waveform, "lengths": np.array(lengths, np.int32)}


def assert_same(
    found: dict[str, np.ndarray],
    expected: dict[str, np.ndarray],
    largest_difference: float = LARGEST_DIFFERENCE,
) -> None:
    """Equal within a part of the largest value, frames behind a row's own left aside."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape
        assert found[name].dtype == value.dtype
        if value.dtype.kind in "Oi":
            np.testing.assert_array_equal(found[name], value)
            continue
        valid = np.ones(value.shape, bool)
        if value.ndim == 3:
            frames = np.arange(value.shape[1])[None, :, None]
            valid &= frames < expected["frame_lengths"][:, None, None]
        allowed = largest_difference * max(1.0, np.abs(value[valid]).max())
        np.testing.assert_allclose(found[name][valid], value[valid], rtol=0, atol=allowed)


def at_once(calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """What calls give that start at the same time, each in its thread; an error is what the call gave."""
    barrier = threading.Barrier(len(calls))

    def call(function: Callable[[], Any]) -> Any:
        barrier.wait()
        try:
            return function()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


@pytest.fixture(scope="module")
def plain(served_ctc: Path) -> Iterator[Servable]:
    with Servable(served_ctc, "plain") as servable:
        yield servable


@pytest.fixture(scope="module")
def batched(
    tiny_ctc: tuple[Any, Wav2Vec2Processor], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servable]:
    path = tmp_path_factory.mktemp("batched") / "1"
    folder = export_saved_model(*tiny_ctc, path, batching=OPTIONS, in_graph_batching=True)
    with Servable(folder, "batched") as servable:
        yield servable


def ask(servable: Servable, signature: str, inputs: dict[str, np.ndarray]) -> Any:
    return servable.session.run(
        {name: info.name for name, info in servable.signatures[signature].outputs.items()},
        {servable.signatures[signature].inputs[name].name: value for name, value in inputs.items()},
    )


@pytest.mark.parametrize("behind", [7.0, np.nan])
def test_concurrent_calls_of_any_lengths_get_the_answers_of_single_ones(
    plain: Servable, batched: Servable, behind: float
) -> None:
    requests = [padded([length]) for length in LENGTHS] + [padded([3_000, 8_000, 1_000], behind)]
    expected = [ask(plain, "serving_default", request) for request in requests]
    for _ in range(3):
        found = at_once(
            [lambda request=request: ask(batched, "serving_default", request) for request in requests]
        )
        for each, wanted in zip(found, expected, strict=True):
            assert_same(each, wanted)


def test_signatures_share_the_queue(plain: Servable, batched: Servable) -> None:
    names = ["serving_default", "transcribe"] * (len(LENGTHS) // 2)
    requests = [(name, padded([length])) for name, length in zip(names, LENGTHS, strict=True)]
    expected = [ask(plain, *request) for request in requests]
    found = at_once([lambda request=request: ask(batched, *request) for request in requests])
    for each, wanted in zip(found, expected, strict=True):
        assert_same(each, wanted)
    queues = {
        node.attr["shared_name"].s
        for function in batched.session.graph.as_graph_def().library.function
        for node in function.node_def
        if node.op == "BatchFunction"
    }
    assert len(queues) == 1


def test_more_rows_than_a_batch_takes_are_split(plain: Servable, batched: Servable) -> None:
    request = padded([9_000, 700, 5_000, 9_000, 1_234, 4_000, 800, 8_000, 2_000, 3_000])
    assert_same(ask(batched, "serving_default", request), ask(plain, "serving_default", request))


def test_more_rows_than_the_queue_takes_are_refused(batched: Servable) -> None:
    rows = OPTIONS.max_batch_size * OPTIONS.max_enqueued_batches + 1
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than maximum input batch size"):
        ask(batched, "serving_default", padded([700] * rows))


def test_a_bad_request_fails_alone(plain: Servable, batched: Servable) -> None:
    good = padded([9_000])
    bad = {"waveform": np.zeros((1, 4_000), np.float32), "lengths": np.array([5_000], np.int32)}
    requests = [("serving_default", good), ("serving_default", bad), ("transcribe", good)]
    requests.append(("transcribe_wav", {"wav": np.array([b"no file"], object)}))
    calls = [lambda request=request: ask(batched, *request) for request in requests]
    first, second, third, fourth = at_once(calls)
    assert_same(first, ask(plain, "serving_default", good))
    assert_same(third, ask(plain, "transcribe", good))
    for error, message in ((second, "must not exceed"), (fourth, "Not a WAV file")):
        assert isinstance(error, tf.errors.InvalidArgumentError)
        assert message in str(error)


def test_the_server_is_not_told_to_batch_too(batched: Servable) -> None:
    extra = batched.folder / "assets.extra"
    assert not (extra / "batching.config").exists()
    command, _, text = (extra / "SERVING.md").read_text().partition("## Batching")
    assert "--enable_batching" not in command
    assert "The graph itself puts concurrent requests together" in text


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("TFWav2Vec2Model", "float32"),
        ("TFWav2Vec2Model", "mixed_bfloat16"),
        ("TFWav2Vec2ForAudioFrameClassification", "float32"),
        ("TFWav2Vec2ForSequenceClassification", "float32"),
        ("TFWav2Vec2ForXVector", "float32"),
    ],
)
def test_other_heads_answer_as_without_a_queue(name: str, dtype: str) -> None:
    model, extractor = tiny(name, dtype), Wav2Vec2FeatureExtractor()
    request = padded(LENGTHS[:3])
    single, queued = (
        tf.function(endpoints(model, extractor, **options)["serving_default"].function, autograph=False)
        for options in ({}, {"batching": OPTIONS})
    )
    expected, found = (
        {
            name: tf.cast(value, tf.float32).numpy() if value.dtype.is_floating else value.numpy()
            for name, value in function(**request).items()
        }
        for function in (single, queued)
    )
    assert_same(found, expected, LARGEST_DIFFERENCE if dtype == "float32" else LARGEST_DIFFERENCE_HALF)


class Recorder:
    """In place of a model: it notes the batches that it is given."""

    def __init__(self, model: Any) -> None:
        self.model, self.batches = model, []
        self.config, self.frame_lengths = model.config, model.frame_lengths
        self.padding_is_neutral = model.padding_is_neutral

    def __call__(self, values: Any, **arguments: Any) -> Any:
        def note(rows: Any) -> Any:
            self.batches.append(int(rows))
            return rows

        with tf.control_dependencies([tf.py_function(note, [tf.shape(values)[0]], tf.int32)]):
            return self.model(tf.identity(values), **arguments)


def test_calls_do_meet_in_one_batch() -> None:
    recorder = Recorder(tiny("TFWav2Vec2ForSequenceClassification"))
    # Only a full batch is computed before this time is over.
    waiting = BatchingOptions(max_batch_size=4, batch_timeout_micros=60_000_000)
    batched = BatchedModel(recorder, waiting)
    function = tf.function(lambda values, lengths: batched(values, lengths).logits, autograph=False)
    specs = (tf.TensorSpec((None, None)), tf.TensorSpec((None,), tf.int32))
    concrete = function.get_concrete_function(*specs)
    began = time.monotonic()
    found = at_once(
        [lambda n=n: concrete(tf.constant(clip(n)[None]), tf.constant([n])).numpy() for n in LENGTHS[:4]]
    )
    assert recorder.batches == [4]
    assert time.monotonic() - began < 30
    for length, logits in zip(LENGTHS, found, strict=False):
        expected = recorder.model(clip(length)[None]).logits
        np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


def test_a_model_that_padding_changes_is_refused(tmp_path: Path) -> None:
    model = tiny("TFWav2Vec2Model", feature_norm_mask=False)
    with pytest.raises(ValueError, match=r"padding change its answers: set config\.feature_norm_mask"):
        export_saved_model(model, Wav2Vec2FeatureExtractor(), tmp_path / "new", in_graph_batching=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options",
    [
        {"max_batch_size": 0},
        {"batch_timeout_micros": -1},
        {"num_batch_threads": 1.5},
        {"max_enqueued_batches": True},
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} is a whole number from [01] on, got "):
        BatchingOptions(**options)
