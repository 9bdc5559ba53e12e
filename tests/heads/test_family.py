"""What every class of the family does alike: padding, precision, compiled training, freezing, saving, other graphs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfwav2vec2
from tests.backbone.conftest import to_numpy
from tests.heads.family import (
    FAMILY,
    HEADS,
    LABELLED,
    LENGTHS,
    NO_DROPOUT,
    SAMPLES,
    STILL,
    main_field,
    padded_batch,
    tiny,
    training_batch,
)
from tfwav2vec2.outputs import ModelOutput

TENSORFLOW = keras.backend.backend() == "tensorflow"

# What takes a compiled training step of each head runs among the quick tests for two of them: the one that is used most, and
# the one that is unlike all others.
TRAINED = [
    pytest.param(
        name, marks=[] if name in ("TFWav2Vec2ForCTC", "TFWav2Vec2ForPreTraining") else pytest.mark.slow
    )
    for name in HEADS
]


def values(model: Any, output: ModelOutput) -> np.ndarray:
    return to_numpy(keras.ops.cast(output[main_field(type(model).__name__)], "float32"))


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("filling", [0.0, np.nan])
def test_padded_batch_equals_single_clips(name: str, filling: float) -> None:
    model = tiny(name).configure_call(jit_compile=False)
    batch = padded_batch(filling)
    together = values(model, model(batch))
    for row, length in enumerate(LENGTHS):
        alone = values(model, model(batch["input_values"][row : row + 1, :length]))[0]
        part = together[row, : len(alone)] if alone.ndim > 1 else together[row]
        np.testing.assert_allclose(part, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", FAMILY)
def test_compiled_call_equals_the_plain_one(name: str) -> None:
    model = tiny(name)
    batch = padded_batch()
    plain = values(model, model.configure_call(jit_compile=False)(batch))
    compiled = values(model, model.configure_call(jit_compile=True)(batch))
    assert compiled.shape == plain.shape
    np.testing.assert_allclose(compiled, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("jit_compile", [pytest.param(True, marks=pytest.mark.slow), False])
def test_fit_with_the_default_loss_learns(name: str, jit_compile: bool) -> None:
    if not TENSORFLOW and not jit_compile:
        pytest.skip("JAX always compiles")
    model = tiny(name, mask_time_prob=0.3)
    batch = training_batch(model)
    model.compile(keras.optimizers.Adam(3e-3), jit_compile=jit_compile)
    history = model.fit(batch, batch_size=4, epochs=12, verbose=0, shuffle=False).history["loss"]
    assert np.isfinite(history).all()
    # Pretraining draws another task at every step; that it learns is tested on one, in test_pretraining.
    if name != "TFWav2Vec2ForPreTraining":
        assert np.mean(history[-3:]) < np.mean(history[:3])


@pytest.mark.parametrize("name", LABELLED)
def test_pairs_of_inputs_and_labels_train_alike(name: str) -> None:
    losses = []
    for pairs in (False, True):
        model = tiny(name, **STILL)
        batch = training_batch(model)
        labels = batch.pop("labels") if pairs else None
        model.compile(keras.optimizers.SGD(1e-3), metrics=[], jit_compile=False)
        history = model.fit(batch, labels, batch_size=4, epochs=2, verbose=0, shuffle=False)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
    with pytest.raises(ValueError, match="fit needs labels"):
        model.fit(padded_batch(), batch_size=4, verbose=0, shuffle=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_training_draws_differently_at_every_step(name: str) -> None:
    """Dropout, LayerDrop, SpecAugment and Gumbel noise are drawn at run time, compiled or not."""
    model = tiny(name, mask_time_prob=0.5, layerdrop=0.3)
    batch = training_batch(model)
    model.compile(keras.optimizers.SGD(0.0), metrics=[], jit_compile=True)
    losses = [model.train_on_batch(batch, return_dict=True)["loss"] for _ in range(3)]
    assert len({float(loss) for loss in losses}) == 3


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_has_no_nan_on_padded_batches(name: str, policy: str) -> None:
    reference = tiny(name, **NO_DROPOUT).configure_call(jit_compile=False)
    model = tiny(name, dtype=policy, **NO_DROPOUT).configure_call(jit_compile=False)
    batch = padded_batch(filling=np.nan)
    exact, close = values(reference, reference(batch)), values(model, model(batch))
    assert np.isfinite(close).all()
    assert np.abs(close - exact).max() < 0.1 * np.abs(exact).max()
    batch = training_batch(model)
    model.compile(keras.optimizers.Adam(1e-3), metrics=[], jit_compile=False)
    assert np.isfinite(float(model.train_on_batch(batch, return_dict=True)["loss"]))
    assert all(np.isfinite(to_numpy(weight)).all() for weight in model.trainable_weights)


def gradient_names(model: Any) -> set[str]:
    return {variable.path for variable in model.trainable_variables}


@pytest.mark.parametrize("name", HEADS)
def test_freezing_the_feature_encoder_leaves_the_rest(name: str) -> None:
    model = tiny(name)
    before = gradient_names(model)
    model.freeze_feature_encoder()
    frozen = before - gradient_names(model)
    assert frozen
    assert all("/feature_extractor/conv_layers" in path for path in frozen)
    assert not any("conv_layers" in path for path in gradient_names(model))


@pytest.mark.parametrize("name", LABELLED)
def test_freezing_the_base_model_leaves_the_head(name: str) -> None:
    model = tiny(name, **STILL)
    model.freeze_base_model()
    batch = training_batch(model)
    backbone = [to_numpy(weight).copy() for weight in model.wav2vec2.weights]
    head = {variable.path: to_numpy(variable).copy() for variable in model.trainable_variables}
    assert head
    model.compile(keras.optimizers.SGD(0.1), metrics=[], jit_compile=False)
    model.train_on_batch(batch)
    for weight, value in zip(model.wav2vec2.weights, backbone, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), value)
    assert any(
        np.abs(to_numpy(variable) - head[variable.path]).max() > 0 for variable in model.trainable_variables
    )


@pytest.mark.parametrize("name", FAMILY)
def test_keras_file_and_hub_folder_bring_the_same_model_back(name: str, tmp_path: Path) -> None:
    model = tiny(name)
    batch = padded_batch()
    expected = values(model, model(batch))
    model.save(tmp_path / "model.keras")
    model.save_pretrained(tmp_path / "hub")
    for loaded in (
        keras.saving.load_model(tmp_path / "model.keras"),
        getattr(tfwav2vec2, name).from_pretrained(tmp_path / "hub"),
    ):
        assert type(loaded) is type(model)
        np.testing.assert_array_equal(values(loaded, loaded(batch)), expected)


@pytest.mark.parametrize("name", FAMILY)
def test_attentions_and_hidden_states_on_request(name: str) -> None:
    model = tiny(name)
    frames = model.frame_lengths(SAMPLES)
    output = model(padded_batch(), output_attentions=True, output_hidden_states=True)
    assert [tuple(state.shape) for state in output.hidden_states] == [(4, frames, 16)] * 3
    assert [tuple(part.shape) for part in output.attentions] == [(4, 2, frames, frames)] * 2
    for part in output.attentions:
        np.testing.assert_allclose(to_numpy(part).sum(-1), 1.0, atol=1e-5)
    plain = model(padded_batch())
    assert plain.attentions is None
    assert plain.hidden_states is None
    model.config.output_attentions = True
    assert model(padded_batch()).attentions is not None


@pytest.mark.parametrize("name", FAMILY)
def test_tuple_holds_the_fields_in_order(name: str) -> None:
    model = tiny(name)
    batch = training_batch(model)
    output = model(batch, output_hidden_states=True, output_attentions=True)
    parts = model(batch, output_hidden_states=True, output_attentions=True, return_dict=False)
    assert isinstance(parts, tuple)
    present = [field for field in output if field not in type(output).unpositioned]
    assert present == [field for field in type(output).fields if field in present]
    assert len(parts) == len(present)
    for field, part in zip(present, parts, strict=True):
        if not isinstance(part, tuple):
            np.testing.assert_allclose(to_numpy(part), to_numpy(output[field]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", HEADS)
def test_predict_over_batches_of_different_lengths(name: str) -> None:
    model = tiny(name)
    batch = padded_batch()
    clips = [batch["input_values"][row : row + 1, :length] for row, length in enumerate(LENGTHS)]
    output = model.predict((clip for clip in clips), verbose=0)
    for row, clip in enumerate(clips):
        alone = values(model, model(clip))[0]
        predicted = output[main_field(name)][row]
        predicted = predicted[: len(alone)] if alone.ndim > 1 else predicted
        np.testing.assert_allclose(predicted, alone, rtol=0, atol=1e-5)


@pytest.mark.skipif(not TENSORFLOW, reason="tf.function and SavedModel are TensorFlow's")
@pytest.mark.parametrize("name", FAMILY)
def test_outputs_inside_tf_function_and_saved_model(name: str, tmp_path: Path) -> None:
    import tensorflow as tf

    model = tiny(name)
    batch = padded_batch()
    signature = [tf.TensorSpec((None, None), tf.float32), tf.TensorSpec((None, None), tf.int32)]

    @tf.function(input_signature=signature)
    def call(waveform: Any, mask: Any) -> Any:
        return model(waveform, attention_mask=mask)

    output = call(batch["input_values"], batch["attention_mask"])
    assert type(output) is type(model(batch))
    expected = values(model, model(batch))
    np.testing.assert_allclose(values(model, output), expected, rtol=0, atol=1e-5)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda waveform, mask: dict(call(waveform, mask)), signature)
    archive.write_out(str(tmp_path / "saved"), verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "saved"))
    served = loaded.serve(batch["input_values"], batch["attention_mask"])
    np.testing.assert_allclose(served[main_field(name)].numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="jax.jit is JAX's")
@pytest.mark.parametrize("name", FAMILY)
def test_outputs_inside_jax_jit(name: str) -> None:
    import jax

    model = tiny(name)
    batch = padded_batch()
    trainable = [variable.value for variable in model.trainable_variables]
    other = [variable.value for variable in model.non_trainable_variables]
    output = jax.jit(lambda t, o, x: model.stateless_call(t, o, x)[0])(trainable, other, batch)
    assert type(output) is type(model(batch))
    np.testing.assert_allclose(values(model, output), values(model, model(batch)), rtol=0, atol=1e-5)
