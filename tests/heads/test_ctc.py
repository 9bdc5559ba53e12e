"""The CTC model as Keras users meet it: outputs, training, prediction, saving, other people's graphs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tfwav2vec2 import BatchFeature, CausalLMOutput, TFWav2Vec2ForCTC, TFWav2Vec2Model

MakeModel = Callable[..., TFWav2Vec2ForCTC]
RNG = np.random.default_rng(0)
WAVEFORM = RNG.standard_normal((4, 900)).astype("float32")
LENGTHS = np.array([900, 700, 500, 900])
MASK = (np.arange(900)[None] < LENGTHS[:, None]).astype("int32")
LABELS = np.array([[3, 4, 4], [5, -100, -100], [6, 7, -100], [8, 9, 3]], "int32")
BATCH = {"input_values": WAVEFORM, "attention_mask": MASK, "labels": LABELS}

# Nothing random, so that a step can be compared with another.
STILL = {
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.0,
    "apply_spec_augment": False,
}


def test_output_answers_to_attribute_key_and_position(tiny_model: MakeModel) -> None:
    model = tiny_model()
    output = model(WAVEFORM, attention_mask=MASK)
    assert isinstance(output, CausalLMOutput)
    assert output.logits is output["logits"] is output[0]
    assert output.loss is None
    assert "loss" not in output
    assert list(output) == ["logits", "frame_lengths"]
    (logits,) = model(WAVEFORM, attention_mask=MASK, return_dict=False)
    np.testing.assert_array_equal(to_numpy(logits), to_numpy(output.logits))
    # By position, in the reference's order: attentions, hidden states, return_dict, labels.
    loss, logits = model(WAVEFORM, MASK, None, None, False, LABELS)
    assert loss.shape == ()
    with pytest.raises(AttributeError, match="no field 'logit'"):
        _ = output.logit


def test_dictionary_batch_feature_and_arguments_are_the_same(tiny_model: MakeModel) -> None:
    model = tiny_model()
    expected = to_numpy(model(WAVEFORM, attention_mask=MASK).logits)
    inputs = BatchFeature(input_values=WAVEFORM, attention_mask=MASK)
    for output in (model(dict(inputs)), model(inputs), model(**inputs)):
        np.testing.assert_allclose(to_numpy(output.logits), expected, rtol=0, atol=1e-5)


def test_hidden_states_and_attentions_come_when_asked_for(tiny_model: MakeModel) -> None:
    model = tiny_model(output_attentions=True)
    output = model(WAVEFORM, output_hidden_states=True)
    frames = model.frame_lengths(900)
    assert [tuple(state.shape) for state in output.hidden_states] == [(4, frames, 16)] * 3
    assert [tuple(p.shape) for p in output.attentions] == [(4, 2, frames, frames)] * 2
    assert model(WAVEFORM, output_attentions=False).attentions is None


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_fit_lowers_the_loss(tiny_model: MakeModel, reduction: str) -> None:
    model = tiny_model(**STILL, ctc_loss_reduction=reduction)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(BATCH, batch_size=2, epochs=8, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]
    assert model.compiled_programs == 0


def test_labels_may_come_as_targets(tiny_model: MakeModel) -> None:
    """A dictionary with labels, and pairs of inputs and labels, give the same loss."""
    model = tiny_model(**STILL)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    inputs = {"input_values": WAVEFORM, "attention_mask": MASK}
    together = model.evaluate(BATCH, batch_size=4, verbose=0)
    apart = model.evaluate(inputs, LABELS, batch_size=4, verbose=0)
    assert together == pytest.approx(apart, rel=1e-6)
    assert together[0] == pytest.approx(float(model(**BATCH).loss), rel=1e-5)


def test_fit_without_labels_says_what_is_missing(tiny_model: MakeModel) -> None:
    model = tiny_model()
    model.compile()
    with pytest.raises(ValueError, match="fit needs labels"):
        model.fit(WAVEFORM, verbose=0)


def first_logit(labels, logits):
    return keras.ops.mean(logits[:, 0, 0]) + 0.0 * keras.ops.sum(keras.ops.cast(labels, logits.dtype))


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("in_x", [False, True])
def test_own_losses_are_respected(tiny_model: MakeModel, named: bool, in_x: bool) -> None:
    model = tiny_model(**STILL)
    model.compile(loss={"logits": first_logit} if named else first_logit)
    inputs = {"input_values": WAVEFORM, "attention_mask": MASK}
    targets = {"logits": LABELS} if named else LABELS
    arguments = (inputs | {"labels": LABELS},) if in_x else (inputs, targets)
    value = model.evaluate(*arguments, batch_size=4, verbose=0)
    assert value == pytest.approx(to_numpy(model(inputs).logits)[:, 0, 0].mean(), rel=1e-4)


def test_compiling_again_forgets_what_was_asked_for_before(tiny_model: MakeModel) -> None:
    model = tiny_model(**STILL)
    model.compile(loss=first_logit, metrics=[keras.metrics.MeanSquaredError()])
    model.compile(metrics=None)
    assert model.evaluate(BATCH, batch_size=4, verbose=0) == pytest.approx(
        float(model(**BATCH).loss), rel=1e-5
    )


def test_frozen_feature_encoder_does_not_train(tiny_model: MakeModel) -> None:
    model = tiny_model(**STILL)
    model.freeze_feature_encoder()
    frozen = [to_numpy(w) for w in model.wav2vec2.feature_extractor.weights]
    head = to_numpy(model.lm_head.kernel)
    model.compile(optimizer="sgd")
    model.fit(BATCH, verbose=0)
    for before, weight in zip(frozen, model.wav2vec2.feature_extractor.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), before)
    assert np.abs(to_numpy(model.lm_head.kernel) - head).max() > 0


def test_predict_joins_batches_of_any_length(tiny_model: MakeModel) -> None:
    model = tiny_model()
    clips = [WAVEFORM[row : row + 1, :length] for row, length in enumerate(LENGTHS)]
    output = model.predict((clip for clip in clips), verbose=0)
    assert output.logits.shape == (4, model.frame_lengths(900), 10)
    assert output.frame_lengths.tolist() == [model.frame_lengths(int(length)) for length in LENGTHS]
    for row, clip in enumerate(clips):
        alone = to_numpy(model(clip).logits)[0]
        np.testing.assert_allclose(output.logits[row, : len(alone)], alone, rtol=0, atol=1e-5)
        assert (output.logits[row, len(alone) :].argmax(-1) == model.config.pad_token_id).all()


def test_predict_takes_arrays_in_batches(tiny_model: MakeModel) -> None:
    model = tiny_model()
    steps = []

    class Steps(keras.callbacks.Callback):
        def on_predict_batch_end(self, batch, logs=None):
            steps.append(batch)

    output = model.predict(BATCH, batch_size=3, verbose=0, callbacks=[Steps()])
    assert steps == [0, 1]
    plain = model({"input_values": WAVEFORM, "attention_mask": MASK})
    np.testing.assert_allclose(output.logits, to_numpy(plain.logits), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="no batches"):
        model.predict([], verbose=0)


@pytest.mark.parametrize("imports", ["import tfwav2vec2, keras", "import keras, tfwav2vec2"])
def test_keras_file_round_trips_in_a_fresh_process(
    tiny_model: MakeModel, tmp_path: Path, imports: str
) -> None:
    model = tiny_model(do_stable_layer_norm=True)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "waveform.npy", WAVEFORM)
    program = (
        f"{imports}\nimport numpy as np\n"
        "model = keras.saving.load_model('model.keras')\n"
        "assert type(model).__name__ == 'TFWav2Vec2ForCTC'\n"
        "np.save('logits.npy', keras.ops.convert_to_numpy(model(np.load('waveform.npy')).logits))\n"
    )
    repository = Path(__file__).resolve().parents[2]
    subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(repository)!r})\n{program}"],
        cwd=tmp_path,
        check=True,
    )
    np.testing.assert_allclose(
        np.load(tmp_path / "logits.npy"), to_numpy(model(WAVEFORM).logits), rtol=0, atol=1e-6
    )


def test_keras_file_and_weights_file_here(tiny_model: MakeModel, tmp_path: Path) -> None:
    model = tiny_model()
    expected = to_numpy(model(WAVEFORM).logits)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(to_numpy(loaded(WAVEFORM).logits), expected)
    model.save_weights(tmp_path / "model.weights.h5")
    other = TFWav2Vec2ForCTC(model.config)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(to_numpy(other(WAVEFORM).logits), expected)


def test_inside_a_functional_model(tiny_model: MakeModel) -> None:
    model = tiny_model()
    waveform = keras.Input((900,))
    functional = keras.Model(waveform, keras.ops.softmax(model(waveform).logits))
    expected = to_numpy(keras.ops.softmax(model(WAVEFORM).logits))
    np.testing.assert_allclose(functional.predict(WAVEFORM, verbose=0), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_finite_on_padded_batches(tiny_model: MakeModel, policy: str) -> None:
    reference = tiny_model(**STILL)
    model = TFWav2Vec2ForCTC(reference.config, dtype=policy)
    for weight, source in zip(model.trainable_weights, reference.trainable_weights, strict=True):
        weight.assign(source)
    mask = MASK.copy()
    mask[3] = 0
    output = model({**BATCH, "attention_mask": mask, "labels": LABELS[:, :1]})
    assert np.isfinite(to_numpy(keras.ops.cast(output.logits, "float32"))).all()
    exact = to_numpy(reference(WAVEFORM).logits)
    close = to_numpy(keras.ops.cast(model(WAVEFORM).logits, "float32"))
    assert np.abs(close - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.function and tf.data are TensorFlow's"
)
def test_inside_a_tf_function_and_from_tf_data(tiny_model: MakeModel) -> None:
    import tensorflow as tf

    model = tiny_model(**STILL)
    traced = tf.function(
        lambda x, m: model(x, attention_mask=m), input_signature=[tf.TensorSpec((None, None))] * 2
    )
    output = traced(tf.constant(WAVEFORM), tf.constant(MASK, tf.float32))
    assert isinstance(output, CausalLMOutput)
    expected = to_numpy(model(WAVEFORM, attention_mask=MASK).logits)
    np.testing.assert_allclose(output.logits.numpy(), expected, rtol=0, atol=1e-5)
    model.compile()
    dataset = tf.data.Dataset.from_tensor_slices(BATCH).padded_batch(2)
    history = model.fit(dataset, epochs=2, verbose=0, shuffle=False).history["loss"]
    assert np.isfinite(history).all()


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="jax.jit is JAX's")
def test_inside_jax_jit(tiny_model: MakeModel) -> None:
    import jax

    model = tiny_model()
    trainable = [v.value for v in model.trainable_variables]
    other = [v.value for v in model.non_trainable_variables]
    run = jax.jit(lambda t, o, x: model.stateless_call(t, o, x)[0])
    output = run(trainable, other, WAVEFORM)
    assert isinstance(output, CausalLMOutput)
    np.testing.assert_allclose(to_numpy(output.logits), to_numpy(model(WAVEFORM).logits), rtol=0, atol=1e-5)


def test_bare_model_has_the_reference_fields(tiny_model: MakeModel) -> None:
    model = TFWav2Vec2Model(tiny_model().config)
    output = model(WAVEFORM, output_hidden_states=True)
    assert list(output) == [
        "last_hidden_state",
        "extract_features",
        "hidden_states",
        "frame_lengths",
    ]
    assert output.last_hidden_state.shape[-1] == 16
    assert output.extract_features.shape[-1] == 12
    np.testing.assert_array_equal(to_numpy(output[0]), to_numpy(output.hidden_states[-1]))


def test_label_outside_the_vocabulary_is_refused(tiny_model: MakeModel) -> None:
    with pytest.raises(ValueError, match="the id 10, but the vocabulary's ids end at 9"):
        tiny_model()(WAVEFORM[:1], labels=np.array([[3, 10]]))
