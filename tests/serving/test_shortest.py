"""How short a recording may be: what is too short for a model's head is refused, by each export and in any batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.heads.family import FAMILY, tiny
from tfwav2vec2 import Wav2Vec2FeatureExtractor
from tfwav2vec2.serving.engines import Engine, KerasEngine, open_engine
from tfwav2vec2.serving.litert import export_litert
from tfwav2vec2.serving.saved_model import export_saved_model, run_saved_model
from tfwav2vec2.serving.shortest import fewest_samples

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow"
)

# The frames of the paper's architecture: 400 samples in the first and 320 for each of the others, of which the usual
# time-delay layers see 15 at once.
PAPER = {"conv_kernel": [10, 15, 9], "conv_stride": [5, 8, 8]}
FEWEST = 400 + 14 * 320


@pytest.mark.parametrize("name", FAMILY)
def test_one_sample_less_is_no_answer(name: str) -> None:
    model = tiny(name, **PAPER)
    assert fewest_samples(model) == (FEWEST if name == "TFWav2Vec2ForXVector" else 400)


def test_an_adapter_takes_more_samples_for_a_frame() -> None:
    model = tiny("TFWav2Vec2ForXVector", add_adapter=True, num_adapter_layers=2, adapter_stride=2, **PAPER)
    fewest = fewest_samples(model)
    assert fewest == 400 + 56 * 320
    assert (model.frame_lengths(fewest - 1), model.frame_lengths(fewest)) == (14, 15)


@pytest.fixture(scope="module")
def speaker() -> tuple[Any, Wav2Vec2FeatureExtractor]:
    return tiny("TFWav2Vec2ForXVector", **PAPER), Wav2Vec2FeatureExtractor()


@pytest.fixture(scope="module")
def saved_model(speaker: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_saved_model(*speaker, tmp_path_factory.mktemp("speaker") / "1")


@pytest.fixture(scope="module", params=["savedmodel", "litert"])
def engine(
    request: pytest.FixtureRequest,
    speaker: tuple[Any, Any],
    saved_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Engine:
    if request.param == "savedmodel":
        return open_engine(saved_model)
    return open_engine(export_litert(*speaker, tmp_path_factory.mktemp("speaker") / "x.tflite").path)


def waveforms(lengths: list[int]) -> np.ndarray:
    return np.random.default_rng(0).normal(0.01, 0.1, (len(lengths), max(lengths))).astype("float32")


def test_the_shortest_voice_has_the_models_vector(engine: Engine, speaker: tuple[Any, Any]) -> None:
    lengths = [FEWEST, 9_000]
    found, expected = (each(waveforms(lengths), lengths) for each in (engine, KerasEngine(*speaker)))
    np.testing.assert_allclose(found["embeddings"], expected["embeddings"], rtol=0, atol=1e-5)
    assert np.abs(found["embeddings"][0] - found["embeddings"][1]).max() > 1e-3


@pytest.mark.parametrize("lengths", [[FEWEST - 1], [9_000, FEWEST - 1], [400]])
def test_a_shorter_voice_is_refused(engine: Engine, lengths: list[int]) -> None:
    with pytest.raises(ValueError, match=rf"between {FEWEST} samples, the fewest that .* answers"):
        engine(waveforms(lengths), lengths)


@pytest.mark.parametrize("signature", ["serving_default", "embed"])
@pytest.mark.parametrize("lengths", [[FEWEST - 1], [9_000, FEWEST - 1]])
def test_a_shorter_voice_is_refused_by_the_graph_itself(
    saved_model: Path, signature: str, lengths: list[int]
) -> None:
    import tensorflow as tf

    inputs = {"waveform": waveforms(lengths), "lengths": np.array(lengths, np.int32)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=rf"at least\] \[{FEWEST}\]"):
        run_saved_model(saved_model, signature, [inputs])


def test_a_buffer_that_holds_no_answer_is_refused(speaker: tuple[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"at least {FEWEST} samples, the fewest that the model answers"):
        export_litert(*speaker, tmp_path / "x.tflite", lengths=[FEWEST - 1])
    assert list(tmp_path.iterdir()) == []
