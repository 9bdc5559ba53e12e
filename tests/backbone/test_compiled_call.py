"""The compiled call: the same results as the plain one, and no more programs than buckets."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Callable

import keras
import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tfwav2vec2 import TFWav2Vec2ForCTC
from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.backbone import compiled_call

BUCKETS = Buckets(lengths=(400, 600, 900), rows=(1, 2, 4))


def noise(rows: int, samples: int) -> np.ndarray:
    return np.random.default_rng(samples).standard_normal((rows, samples)).astype("float32")


@pytest.mark.parametrize("variant", [{}, {"feat_extract_norm": "layer"}, {"add_adapter": True}])
def test_bucket_changes_no_output(tiny_model: Callable[..., TFWav2Vec2ForCTC], variant: dict) -> None:
    model = tiny_model(**variant)
    waveform = noise(3, 517)
    mask = (np.arange(517)[None] < np.array([[517], [400], [250]])).astype("int32")
    flags = {"output_hidden_states": True, "output_attentions": True}
    plain = model.configure_call(jit_compile=False)(waveform, mask, **flags)
    bucketed = model.configure_call(jit_compile=True, buckets=BUCKETS)(waveform, mask, **flags)
    assert list(plain) == list(bucketed)
    assert model.compiled_programs == 1
    for expected, value in zip(keras.tree.flatten(plain), keras.tree.flatten(bucketed), strict=True):
        assert tuple(expected.shape) == tuple(value.shape)
        np.testing.assert_allclose(to_numpy(value), to_numpy(expected), rtol=0, atol=1e-5)


def test_without_a_mask_the_bucket_is_not_heard(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    model = tiny_model()
    plain = model.configure_call(jit_compile=False)(noise(1, 517)).logits
    bucketed = model.configure_call(jit_compile=True, buckets=BUCKETS)(noise(1, 517)).logits
    np.testing.assert_allclose(to_numpy(bucketed), to_numpy(plain), rtol=0, atol=1e-5)


def test_mixed_lengths_compile_no_more_programs_than_buckets(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model().configure_call(jit_compile=True, buckets=BUCKETS)
    traces = []
    plain_call = TFWav2Vec2ForCTC.call

    @functools.wraps(plain_call)
    def counting_call(*args, **kwargs):
        traces.append(1)
        return plain_call(*args, **kwargs)

    monkeypatch.setattr(TFWav2Vec2ForCTC, "call", counting_call)
    for samples in range(100, 900, 37):
        model(noise(1, samples))
    # `call` runs only while a program is traced: two passes a trace on JAX at the most.
    assert model.compiled_programs == len(BUCKETS.lengths)
    assert len(BUCKETS.lengths) <= len(traces) <= 2 * len(BUCKETS.lengths)


def test_programs_follow_the_weights(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    model = tiny_model().configure_call(jit_compile=True)
    before = to_numpy(model(noise(1, 500)).logits)
    model.lm_head.bias.assign(to_numpy(model.lm_head.bias) + 1.0)
    after = to_numpy(model(noise(1, 500)).logits)
    np.testing.assert_allclose(after, before + 1.0, rtol=0, atol=1e-5)
    assert model.compiled_programs == 1


def test_training_never_goes_through_the_bucket(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    model = tiny_model().configure_call(jit_compile=True)
    model(noise(1, 500), training=True)
    model(noise(1, 500), labels=np.array([[1, 2]]))
    assert model.compiled_programs == 0


def test_exact_shapes_where_the_reference_would_hear_the_bucket(
    tiny_model: Callable[..., TFWav2Vec2ForCTC],
) -> None:
    model = tiny_model(feature_norm_mask=False).configure_call(jit_compile=True)
    model(noise(1, 517))
    assert model.compiled_programs == 0


def test_auto_compiles_on_the_cpu_once_a_bucket_returns(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    monkeypatch.setattr(compiled_call, "_compiles_at_once", lambda: False)
    for _ in range(compiled_call.CALLS_BEFORE_COMPILING_ON_CPU):
        model(noise(1, 500))
    assert model.compiled_programs == 0
    model(noise(1, 500))
    assert model.compiled_programs == 1


def test_auto_compiles_at_once_on_an_accelerator(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    monkeypatch.setattr(compiled_call, "_compiles_at_once", lambda: True)
    model(noise(1, 500))
    assert model.compiled_programs == 1


def test_programs_do_not_keep_a_model_alive(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    model = tiny_model().configure_call(jit_compile=True)
    model(noise(1, 500))
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


def test_settings_are_checked(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    with pytest.raises(ValueError, match="jit_compile must be"):
        tiny_model().configure_call(jit_compile="always")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="gradient tapes are TensorFlow's")
def test_a_gradient_tape_sees_through_the_program(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    import tensorflow as tf

    model = tiny_model()
    waveform = tf.constant(noise(1, 517))

    def gradient() -> tuple[np.ndarray, np.ndarray]:
        with tf.GradientTape() as tape:
            tape.watch(waveform)
            total = tf.reduce_sum(model(waveform).logits ** 2)
        by_input, by_weight = tape.gradient(total, [waveform, model.lm_head.kernel.value])
        return by_input.numpy(), by_weight.numpy()

    model.configure_call(jit_compile=False)
    plain = gradient()
    model.configure_call(jit_compile=True, buckets=BUCKETS)
    for expected, value in zip(plain, gradient(), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)
    assert model.compiled_programs == 1
