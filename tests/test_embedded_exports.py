"""The programs that lie beside the embedded model's weights do what the weights do."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from recipes.spoken_digits.export import LITERT, SAVED_MODEL
from tests.conftest import REPOSITORY
from tfwav2vec2 import Transcriber, load_audio
from tfwav2vec2.serving.engines import open_engine

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="the weights are compared on the backend that exported them",
)

CLIPS = sorted((REPOSITORY / "demo" / "clips").glob("*.flac"))


@pytest.fixture(scope="module")
def transcriber(spoken_digits: Path) -> Transcriber:
    return Transcriber.from_pretrained(spoken_digits)


@pytest.mark.parametrize("name", [SAVED_MODEL, LITERT])
def test_an_embedded_program_gives_what_the_weights_give(
    transcriber: Transcriber, spoken_digits: Path, name: str
) -> None:
    with open_engine(spoken_digits / name) as engine:
        for path in CLIPS:
            samples = load_audio(path)
            batch, lengths = samples[None], [len(samples)]
            assert engine.texts(batch, lengths) == transcriber.engine.texts(batch, lengths)
            found, expected = engine(batch, lengths), transcriber.engine(batch, lengths)
            np.testing.assert_array_equal(found["frame_lengths"], expected["frame_lengths"])
            count = int(expected["frame_lengths"][0])
            logits = expected["logits"][0, :count]
            np.testing.assert_allclose(
                found["logits"][0, :count], logits, rtol=0, atol=1e-5 * np.abs(logits).max()
            )
