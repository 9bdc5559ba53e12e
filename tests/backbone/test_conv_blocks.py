"""Convolutions in blocks of frames give what they give of the whole waveform."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tfwav2vec2 import TFWav2Vec2ForCTC
from tfwav2vec2.backbone import conv_blocks, conv_features

pytestmark = pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX compiles every call")

TOLERANCE = 1e-5
VARIANTS = {
    "group": {},
    "layer": {"feat_extract_norm": "layer", "conv_bias": True},
    "unmasked": {"feature_norm_mask": False},
}


def frames_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
    model: TFWav2Vec2ForCTC,
    size: int,
    waveform: np.ndarray,
    mask: np.ndarray | None,
) -> tuple[np.ndarray, int]:
    """The logits with so many frames in a block, and how often the last convolution ran."""
    monkeypatch.setattr(conv_blocks, "BLOCK_FRAMES", size)
    last = model.wav2vec2.feature_extractor.conv_layers[-1]
    ran: list[int] = []
    whole = type(last).call

    def counted(layer: keras.layers.Layer, *inputs: object) -> object:
        if layer is last:
            ran.append(1)
        return whole(layer, *inputs)

    monkeypatch.setattr(type(last), "call", counted)
    logits = to_numpy(model(waveform, attention_mask=mask).logits)
    monkeypatch.undo()
    return logits, len(ran)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7])
def test_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
    tiny_model: Callable[..., TFWav2Vec2ForCTC],
    variant: str,
    masked: bool,
    size: int,
) -> None:
    model = tiny_model(**VARIANTS[variant]).configure_call(jit_compile=False)
    rng = np.random.default_rng(1)
    samples = 1203
    # Loud and off zero, so that sums over blocks have to be put together with care; one row is a whole block shorter.
    waveform = (3 + 0.5 * rng.standard_normal((3, samples))).astype("float32")
    lengths = np.array([samples, samples - 511, samples // 2])
    mask = (np.arange(samples)[None] < lengths[:, None]).astype("int32") if masked else None
    whole, once = frames_in_blocks(monkeypatch, model, 10**6, waveform, mask)
    parts, times = frames_in_blocks(monkeypatch, model, size, waveform, mask)
    assert once == 1
    assert times == -(-whole.shape[1] // size)
    np.testing.assert_allclose(parts, whole, rtol=0, atol=TOLERANCE * np.abs(whole).max())


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a bucket's program is TensorFlow's here")
@pytest.mark.parametrize("variant", ["group", "layer"])
def test_a_program_loops_over_blocks(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Callable[..., TFWav2Vec2ForCTC], variant: str
) -> None:
    """With the numbers and gradients of a call that runs the waveform whole."""
    import tensorflow as tf

    model = tiny_model(**VARIANTS[variant])
    waveform = tf.constant(np.random.default_rng(2).normal(3, 0.5, (2, 1203)), tf.float32)
    mask = np.ones((2, 1203), "int32")
    mask[1, 700:] = 0

    def run(size: int, compiled: bool) -> list[np.ndarray]:
        monkeypatch.setattr(conv_blocks, "BLOCK_FRAMES", size)
        model.configure_call(jit_compile=compiled)
        with tf.GradientTape() as tape:
            tape.watch(waveform)
            logits = model(waveform, attention_mask=mask).logits
            total = tf.reduce_sum(logits**2)
        kernel = model.wav2vec2.feature_extractor.conv_layers[0].conv.kernel.value
        return [logits.numpy(), *(each.numpy() for each in tape.gradient(total, [waveform, kernel]))]

    for expected, found in zip(run(10**6, compiled=False), run(7, compiled=True), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())
    assert model.compiled_programs == 1


def test_training_and_traced_calls_run_whole(
    monkeypatch: pytest.MonkeyPatch, tiny_model: Callable[..., TFWav2Vec2ForCTC]
) -> None:
    monkeypatch.setattr(conv_blocks, "BLOCK_FRAMES", 1)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("blocks")

    monkeypatch.setattr(conv_features, "encode_in_blocks", refuse)
    model = tiny_model().configure_call(jit_compile=False)
    waveform = np.zeros((1, 900), "float32")
    model(waveform, training=True)
    with pytest.raises(AssertionError, match="blocks"):
        model(waveform)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.function(lambda samples: model(samples).logits).get_concrete_function(waveform)
