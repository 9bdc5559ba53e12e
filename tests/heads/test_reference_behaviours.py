"""What the reference's own tests ask of its models, where no other test here asks it.

Asked elsewhere: initialisation (tests/heads/test_initialisation.py), attention outputs, hidden states, tuples and
dictionaries, fit, freezing, saving, padding (tests/heads/test_family.py), labels outside the vocabulary
(tests/heads/test_ctc.py, tests/heads/test_classification.py), masking in time and in features
(tests/heads/test_known_faults.py, tests/backbone/test_masking.py), negatives and perplexity
(tests/heads/test_negatives.py, tests/heads/test_quantizer.py), language adapters (tests/weights/test_language_adapters.py).
Input embeddings, token embeddings, pruning, chunking and gradient checkpointing do not exist here.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfwav2vec2
from tests.backbone.conftest import to_numpy
from tests.gradients import output_and_gradients
from tests.heads.family import (
    FAMILY,
    LABELLED,
    LENGTHS,
    SAMPLES,
    STILL,
    labels_for,
    main_field,
    padded_batch,
    tiny,
    training_batch,
)
from tests.heads.objective import compiled
from tfwav2vec2.backbone.masking import draw_spans

TENSORFLOW = keras.backend.backend() == "tensorflow"


# --- signatures ---------------------------------------------------------------------------------------------------------


_OPTIONS = ("output_attentions", "output_hidden_states", "return_dict")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("TFWav2Vec2Model", ("mask_time_indices", *_OPTIONS)),
        ("TFWav2Vec2ForCTC", (*_OPTIONS, "labels")),
        ("TFWav2Vec2ForSequenceClassification", (*_OPTIONS, "labels")),
        ("TFWav2Vec2ForAudioFrameClassification", ("labels", *_OPTIONS)),
        ("TFWav2Vec2ForXVector", (*_OPTIONS, "labels")),
        ("TFWav2Vec2ForPreTraining", ("mask_time_indices", "sampled_negative_indices", *_OPTIONS)),
    ],
)
def test_arguments_stand_in_the_references_order(name: str, arguments: tuple[str, ...]) -> None:
    expected = ["self", "input_values", "attention_mask", *arguments]
    assert list(inspect.signature(getattr(tfwav2vec2, name).call).parameters)[: len(expected)] == expected


# --- gradients ----------------------------------------------------------------------------------------------------------


def assert_useful(gradient: Any, what: str) -> None:
    gradient = to_numpy(gradient)
    assert np.isfinite(gradient).all(), what
    assert np.abs(gradient).max() > 0, what


def total(model: Any, output: Any) -> Any:
    values = output[main_field(type(model).__name__)]
    weights = np.random.default_rng(4).standard_normal(tuple(values.shape)).astype("float32")
    return keras.ops.sum(values * weights)


@pytest.mark.skipif(not TENSORFLOW, reason="gradient tapes are TensorFlow's")
@pytest.mark.parametrize("name", FAMILY)
def test_a_tape_keeps_the_gradients_of_hidden_states_and_attentions(name: str) -> None:
    import tensorflow as tf

    # A compiled program is one operation to the tape, which then does not see what is inside.
    model = tiny(name, **STILL).configure_call(jit_compile=False)
    batch = padded_batch()
    waveform = tf.constant(batch["input_values"])
    with tf.GradientTape() as tape:
        tape.watch(waveform)
        output = model(waveform, batch["attention_mask"], output_hidden_states=True, output_attentions=True)
        value = total(model, output)
    inside = {"waveform": waveform, "hidden": output.hidden_states[0], "attention": output.attentions[0]}
    gradients = tape.gradient(value, inside)
    for what, gradient in gradients.items():
        assert_useful(gradient, what)
    assert not to_numpy(gradients["waveform"])[batch["attention_mask"] == 0].any()


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="jax.grad is JAX's")
def test_jax_differentiates_by_the_waveform() -> None:
    import jax

    model = tiny("TFWav2Vec2ForPreTraining", **STILL, num_hidden_layers=1)
    batch = padded_batch()
    trainable = [variable.value for variable in model.trainable_variables]
    other = [variable.value for variable in model.non_trainable_variables]

    def value(waveform: Any) -> Any:
        inputs = batch | {"input_values": waveform}
        return total(model, model.stateless_call(trainable, other, inputs)[0])

    gradient = jax.jit(jax.grad(value))(batch["input_values"])
    assert_useful(gradient, "waveform")
    assert not to_numpy(gradient)[batch["attention_mask"] == 0].any()


@pytest.mark.parametrize("use", ["hidden", "attention bias"])
def test_the_encoder_differentiates_by_what_it_reads(use: str) -> None:
    """By its frames, and by the scores of its attention, on either backend."""
    layer = tiny("TFWav2Vec2Model", **STILL).encoder.layers[0]
    rng = np.random.default_rng(0)
    state = rng.standard_normal((2, 5, 16)).astype("float32")
    bias = rng.standard_normal((2, 1, 1, 5)).astype("float32")
    pull = rng.standard_normal(state.shape).astype("float32")
    place = 0 if use == "hidden" else 1

    def value(given: Any) -> Any:
        arguments = [state, bias]
        arguments[place] = given
        return keras.ops.sum(layer(*arguments)[0] * pull)

    point = (state, bias)[place]
    gradient = _gradient(value, point)
    direction = rng.standard_normal(point.shape).astype("float32")
    ahead, behind = (float(value(point + step * direction)) for step in (1e-2, -1e-2))
    assert float((gradient * direction).sum()) == pytest.approx((ahead - behind) / 2e-2, rel=2e-2, abs=1e-3)
    assert_useful(gradient, use)


def _gradient(function: Any, point: np.ndarray) -> np.ndarray:
    if TENSORFLOW:
        import tensorflow as tf

        tensor = tf.constant(point)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            value = function(tensor)
        return to_numpy(tape.gradient(value, tensor))
    import jax

    return np.asarray(jax.jit(jax.grad(function))(point))


@pytest.mark.skipif(
    not TENSORFLOW, reason="JAX takes seconds to compile a gradient for every length of a clip"
)
@pytest.mark.parametrize("name", LABELLED)
def test_a_batch_trains_as_its_clips_do(name: str) -> None:
    """Loss and gradients of a padded batch are the sum, or the mean, of those of the clips without padding."""
    model = tiny(name, **STILL, num_hidden_layers=1)
    batch = {key: values[1:3] for key, values in training_batch(model).items()}
    output, together = output_and_gradients(model, batch, training=True)
    alone = []
    for row, length in enumerate(LENGTHS[1:3]):
        clip = {"input_values": batch["input_values"][row : row + 1, :length]}
        labels = batch["labels"][row : row + 1]
        if name == "TFWav2Vec2ForAudioFrameClassification":
            labels = labels[:, : model.frame_lengths(length)]
        alone.append(output_and_gradients(model, clip | {"labels": labels}, training=True))
    shares = np.ones(2)
    if name == "TFWav2Vec2ForAudioFrameClassification":
        # The mean is over all frames, of which a longer clip has more.
        shares = np.array([model.frame_lengths(length) for length in LENGTHS[1:3]])
    if name != "TFWav2Vec2ForCTC":
        shares = shares / shares.sum()
    expected = sum(share * float(part.loss) for share, (part, _) in zip(shares, alone, strict=True))
    assert float(output.loss) == pytest.approx(expected, rel=1e-4)
    largest = max(np.abs(value).max() for value in together.values() if value is not None)
    assert largest > 0
    for key, value in together.items():
        if value is not None:
            parts = [share * gradients[key] for share, (_, gradients) in zip(shares, alone, strict=True)]
            np.testing.assert_allclose(value, sum(parts), rtol=0, atol=1e-4 * largest, err_msg=key)


# --- losses -------------------------------------------------------------------------------------------------------------


def test_more_padding_behind_the_labels_changes_nothing() -> None:
    model = tiny("TFWav2Vec2ForCTC")
    batch = training_batch(model)
    losses = []
    for width, filling in ((3, -100), (9, -1)):
        labels = np.full((len(LENGTHS), width), filling, "int32")
        labels[:, :3] = np.where(batch["labels"] < 0, filling, batch["labels"])
        losses.append(float(model(batch | {"labels": labels}).loss))
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)


def test_the_mask_matters_to_the_loss() -> None:
    model = tiny("TFWav2Vec2ForSequenceClassification")
    batch = training_batch(model)
    masked = float(model(batch).loss)
    del batch["attention_mask"]
    assert abs(float(model(batch).loss) - masked) > 1e-3 * masked


# --- masks --------------------------------------------------------------------------------------------------------------


def test_a_fraction_of_a_span_is_a_chance_of_one_more() -> None:
    """1.25 spans are one span in three draws of four, and two in the fourth: for the whole batch at once."""
    generator = keras.random.SeedGenerator(0)
    layer = keras.layers.Layer()
    layer.seed_generator = generator
    lengths = np.full((3,), 20, "int32")
    step = compiled(layer, lambda sizes: draw_spans(sizes, 20, 0.0625, 1, 0, generator), xla=False)
    counts = np.array([to_numpy(step(lengths)).sum(1) for _ in range(400)])
    assert (counts == counts[:, :1]).all()
    assert set(np.unique(counts)) == {1, 2}
    assert (counts == 2).mean() == pytest.approx(0.25, abs=0.08)


# --- heads of another size ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LABELLED)
def test_a_head_of_another_size_is_new_and_the_rest_is_kept(name: str, tmp_path: Path) -> None:
    model = tiny(name)
    model.save_pretrained(tmp_path)
    field = "vocab_size" if name == "TFWav2Vec2ForCTC" else "num_labels"
    sizes = {field: 42}
    with pytest.raises(ValueError, match=r"of another shape: .*\n.*ignore_mismatched_sizes=True"):
        type(model).from_pretrained(tmp_path, **sizes)
    with pytest.warns(UserWarning, match="of another shape: "):
        resized = type(model).from_pretrained(tmp_path, **sizes, ignore_mismatched_sizes=True)
    assert getattr(resized.config, field) == 42
    new = [old for old, kept in zip(model.weights, resized.weights, strict=True) if old.shape != kept.shape]
    assert 1 <= len(new) <= 2
    for old, kept in zip(model.weights, resized.weights, strict=True):
        if old.shape == kept.shape:
            np.testing.assert_array_equal(to_numpy(kept), to_numpy(old))
        else:
            deviation = 1.0 if "objective" in kept.path else 0.02
            values = to_numpy(kept)
            assert 42 in values.shape
            assert not values.any() if values.ndim == 1 else 0.8 < values.std() / deviation < 1.25
    frames = model.frame_lengths(SAMPLES)
    labels = labels_for(name, frames).copy()
    labels.flat[0] = 41
    output = resized(padded_batch(), labels=labels)
    assert output.logits.shape[-1] == (8 if name == "TFWav2Vec2ForXVector" else 42)
    assert np.isfinite(float(output.loss))


@pytest.mark.parametrize("name", [name for name in LABELLED if name != "TFWav2Vec2ForCTC"])
def test_a_mixture_of_layers_on_a_backbones_file(name: str, tmp_path: Path) -> None:
    """Where the layers are all there, and their shares are new."""
    backbone = tiny("TFWav2Vec2Model", num_hidden_layers=4)
    backbone.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="missing: .*layer_weights"):
        model = getattr(tfwav2vec2, name).from_pretrained(tmp_path, strict=False, use_weighted_layer_sum=True)
    np.testing.assert_allclose(to_numpy(model.layer_weights), np.full(5, 0.2), rtol=1e-6)
    for old, kept in zip(backbone.weights, model.wav2vec2.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(kept), to_numpy(old))
