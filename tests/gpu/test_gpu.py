"""On an accelerator: the goldens of the CPU, programs from the first call, and gradients.

Run with ``KERAS_BACKEND=jax`` on a machine that has JAX but no TensorFlow.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.backbone.conftest import GOLDENS, VARIANTS, to_numpy
from tfwav2vec2 import TFWav2Vec2ForCTC


def accelerators() -> int:
    if keras.backend.backend() == "jax":
        import jax

        return len([device for device in jax.devices() if device.platform != "cpu"])
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


pytestmark = pytest.mark.skipif(not accelerators(), reason="needs a GPU or TPU; this machine has none")

# Matrix units round to fewer bits unless told otherwise.
TOLERANCE = 1e-3


@pytest.fixture(autouse=True)
def full_precision() -> Any:
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    with jax.default_matmul_precision("float32"):
        yield


@pytest.mark.parametrize("variant", VARIANTS)
def test_goldens_from_the_first_call_on_compiled(variant: str) -> None:
    folder = GOLDENS / "models" / variant
    stages = np.load(folder / "stages.npz")
    model = TFWav2Vec2ForCTC.from_pretrained(folder, feature_norm_mask=False)
    arguments = {"attention_mask": stages["attention_mask"]}
    output = model(stages["input_values"], **arguments)
    np.testing.assert_allclose(to_numpy(output.logits), stages["padded/logits"], rtol=0, atol=TOLERANCE)
    masked = TFWav2Vec2ForCTC.from_pretrained(folder)
    masked(stages["input_values"], **arguments)
    assert masked.compiled_programs == 1


def test_fit_trains() -> None:
    model = TFWav2Vec2ForCTC.from_pretrained(GOLDENS / "models" / "layer_stable", layerdrop=0.0)
    stages = np.load(GOLDENS / "models" / "layer_stable" / "stages.npz")
    batch = {name: stages[name] for name in ("input_values", "attention_mask", "labels")}
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(batch, epochs=10, verbose=0).history["loss"]
    assert history[-1] < history[0]
