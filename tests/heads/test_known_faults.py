"""The known faults of the old TensorFlow port: one test each that would have caught it.

Where a test of the same strength stands elsewhere it is named here and not repeated:

=============================================  =========================================================================
Fault of the old port                          Test
=============================================  =========================================================================
a convolution's input width off by one         here: test_every_convolution_reads_the_width_before_it
the weight-normed kernel assigned in the call  here: test_weight_norm_trains_both_its_parts, test_a_call_leaves_the_weights;
                                               tests/heads/test_family.py::test_outputs_inside_tf_function_and_saved_model
LayerDrop drawn while tracing                  here: test_layers_are_skipped_at_the_given_rate;
                                               tests/backbone/test_masking.py::test_layers_are_dropped_at_run_time
the least number of spans fixed                here: test_the_least_number_of_spans_is_the_configured_one
a feature mask raises, or is inverted          here: test_a_feature_mask_hides_what_was_drawn_and_nothing_else
a given mask ignored in evaluation             tests/backbone/test_goldens.py::test_explicit_mask_applies_in_evaluation;
                                               here: test_a_given_mask_is_the_mask
CTC's "mean" is another mean                   here: test_ctc_reductions_and_impossible_targets;
                                               tests/training/test_ctc_loss.py::test_goldens_of_torch
ctc_zero_infinity ignored                      here: test_ctc_reductions_and_impossible_targets;
                                               tests/training/test_ctc_loss.py::test_too_few_frames_is_counted_not_guessed
fit never tested                               tests/heads/test_family.py::test_fit_with_the_default_loss_learns,
                                               tests/heads/test_family.py::test_pairs_of_inputs_and_labels_train_alike
=============================================  =========================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.backbone.conftest import to_numpy
from tests.gradients import output_and_gradients
from tests.heads.family import FIELDS, LENGTHS, NO_DROPOUT, SAMPLES, STILL, padded_batch, tiny, training_batch
from tests.heads.objective import compiled
from tests.training.ctc_reference import loss as textbook_ctc
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.conv_features import ConvFeatureEncoder
from tfwav2vec2.backbone.transformer import Encoder

WEIGHT_NORM = "wav2vec2.encoder.pos_conv_embed.conv"
# What hidden frames are replaced by: no projected frame looks like it.
MARK = 77.0


def test_the_table_names_tests_that_exist() -> None:
    repository = Path(__file__).resolve().parents[2]
    elsewhere = re.findall(r"(tests/\S+\.py)::(\w+)", __doc__)
    here = re.findall(r"here: ([\w, ]+)", __doc__)
    named = [*elsewhere, *((__file__, name) for names in here for name in names.split(", "))]
    assert len(named) == 16
    for file, name in named:
        assert f"\ndef {name}(" in (repository / file).read_text(), f"{file} has no {name}"


# --- convolutions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_every_convolution_reads_the_width_before_it(norm: str) -> None:
    """Widths that all differ: with equal ones an index that is off by one goes unseen."""
    widths, kernels, strides = [5, 3, 7, 4], [10, 4, 3, 2], [5, 3, 2, 1]
    sizes = {"conv_dim": widths, "conv_kernel": kernels, "conv_stride": strides, "conv_bias": True}
    keras.utils.set_random_seed(0)
    encoder = ConvFeatureEncoder(Wav2Vec2Config(**FIELDS | sizes, feat_extract_norm=norm))
    shapes = [tuple(layer.conv.kernel.shape) for layer in encoder.conv_layers]
    assert shapes == list(zip(kernels, [1, *widths[:-1]], widths, strict=True))
    x = np.random.default_rng(0).standard_normal((2, 400)).astype("float32")
    features = to_numpy(compiled(encoder, encoder, xla=False)(x))
    assert features.shape[-1] == widths[-1]
    x = x[:, :, None]
    for layer, stride in zip(encoder.conv_layers, strides, strict=True):
        kernel = to_numpy(layer.conv.kernel)
        windows = np.lib.stride_tricks.sliding_window_view(x, len(kernel), axis=1)[:, ::stride]
        convolved = np.einsum("btcw,wcf->btf", windows, kernel) + to_numpy(layer.conv.bias)
        if layer.layer_norm is not None:
            axis = 1 if norm == "group" else 2
            convolved = convolved - convolved.mean(axis, keepdims=True)
            convolved = convolved / np.sqrt(convolved.var(axis, keepdims=True) + 1e-5)
        x = to_numpy(layer.activation(convolved.astype("float32")))
    np.testing.assert_allclose(features, x, rtol=1e-4, atol=1e-4)


# --- weight norm --------------------------------------------------------------------------------------------------------


def test_weight_norm_trains_both_its_parts() -> None:
    """The gradient reaches magnitudes and directions, and a step that follows it changes the next call."""
    model = tiny("TFWav2Vec2ForCTC", **STILL)
    batch = training_batch(model)
    before, gradients = output_and_gradients(model, batch, training=False)
    conv = model.wav2vec2.encoder.pos_conv_embed.conv
    for part in ("weight_g", "weight_v"):
        gradient = gradients[f"{WEIGHT_NORM}.{part}"]
        assert np.linalg.norm(gradient) > 1e-3 * np.linalg.norm(gradients["lm_head.kernel"]), part
        variable = getattr(conv, part)
        value = to_numpy(variable)
        variable.assign(value - 1e-4 * gradient)
        after = float(model(batch).loss)
        fall = 1e-4 * float((gradient**2).sum())
        assert float(before.loss) - after == pytest.approx(fall, rel=0.2), part
        variable.assign(value)
    # A direction's length does not matter, so the gradient stands at a right angle to it.
    v, by_v = to_numpy(conv.weight_v), gradients[f"{WEIGHT_NORM}.weight_v"]
    along = (v * by_v).sum((1, 2)) / np.linalg.norm(v, axis=(1, 2)) / np.linalg.norm(by_v, axis=(1, 2))
    np.testing.assert_allclose(along, 0.0, atol=1e-3)


def test_a_call_leaves_the_weights(tmp_path: Path) -> None:
    """Calls agree with each other, with traced ones too, and what is saved after them is what was there before."""
    model = tiny("TFWav2Vec2ForCTC")
    waveform = padded_batch()["input_values"]
    model.save_pretrained(tmp_path / "before")
    first = to_numpy(model(waveform).logits)
    traced = compiled(model, lambda x: model(x).logits, xla=False)
    for again in (model(waveform).logits, traced(waveform), traced(waveform), model(waveform).logits):
        np.testing.assert_allclose(to_numpy(again), first, rtol=0, atol=1e-5)
    model.save_pretrained(tmp_path / "after")
    files = [load_file(tmp_path / name / "model.safetensors") for name in ("before", "after")]
    assert f"{WEIGHT_NORM}.parametrizations.weight.original0" in files[0]
    assert files[0].keys() == files[1].keys()
    for key, value in files[0].items():
        np.testing.assert_array_equal(files[1][key], value, err_msg=key)


# --- LayerDrop ----------------------------------------------------------------------------------------------------------


def test_layers_are_skipped_at_the_given_rate() -> None:
    """One traced function, called again and again: each layer is skipped on its own, as often as it should be."""
    rate, layers, calls = 0.4, 3, 300
    fields = FIELDS | NO_DROPOUT | {"layerdrop": rate, "num_hidden_layers": layers}
    keras.utils.set_random_seed(0)
    encoder = Encoder(Wav2Vec2Config(**fields))
    x = np.random.default_rng(0).standard_normal((1, 4, fields["hidden_size"])).astype("float32")

    def skips(x: Any, training: bool) -> Any:
        states = keras.ops.stack(encoder(x, training=training)[1])
        return keras.ops.all(states[1:] == states[:-1], axis=(1, 2, 3))

    step = compiled(encoder, lambda x: skips(x, training=True), xla=False)
    skipped = np.array([to_numpy(step(x)) for _ in range(calls)])
    np.testing.assert_allclose(skipped.mean(0), rate, atol=0.1)
    assert len(np.unique(skipped, axis=0)) == 2**layers
    assert abs(np.corrcoef(skipped.T) - np.eye(layers)).max() < 0.2
    assert not to_numpy(skips(x, training=False)).any()


# --- SpecAugment --------------------------------------------------------------------------------------------------------


def transparent(**fields: Any) -> Any:
    """A backbone whose first hidden state is the masked projection of the features itself: nothing is added to it."""
    model = tiny("TFWav2Vec2Model", do_stable_layer_norm=True, **NO_DROPOUT, **fields)
    conv = model.encoder.pos_conv_embed.conv
    conv.weight_g.assign(np.zeros(conv.weight_g.shape))
    conv.bias.assign(np.zeros(conv.bias.shape))
    model.masked_spec_embed.assign(np.full(model.masked_spec_embed.shape, MARK))
    return model


def masked_projection(model: Any, **given: Any) -> Callable[[], np.ndarray]:
    """A traced training call that returns the projected frames (batch, frames, hidden) as SpecAugment left them."""
    batch = padded_batch()

    def call(waveform: Any, mask: Any) -> Any:
        return model(
            waveform, attention_mask=mask, output_hidden_states=True, training=True, **given
        ).hidden_states[0]

    step = compiled(model, call, xla=False)
    return lambda: to_numpy(step(batch["input_values"], batch["attention_mask"]))


@pytest.mark.parametrize("least", [1, 4])
def test_the_least_number_of_spans_is_the_configured_one(least: int) -> None:
    """With spans of one frame and a probability that asks for none, the hidden frames are the least number."""
    spans = {"mask_time_prob": 1e-6, "mask_time_length": 1, "mask_time_min_masks": least}
    hidden = masked_projection(transparent(**spans))() == MARK
    assert (hidden.all(-1) == hidden.any(-1)).all()
    np.testing.assert_array_equal(hidden.all(-1).sum(1), [least] * len(LENGTHS))


def test_a_feature_mask_hides_what_was_drawn_and_nothing_else() -> None:
    """Drawn features are zero in every frame of a clip; all others, and the frames hidden before, are as they were."""
    features = {"mask_feature_prob": 0.25, "mask_feature_length": 2, "mask_feature_min_masks": 0}
    model = transparent(**features, mask_time_prob=0.3)
    batch = padded_batch()
    plain = to_numpy(model(batch, output_hidden_states=True).hidden_states[0])
    frames = model.frame_lengths(SAMPLES)
    valid = np.arange(frames) < np.array([[model.frame_lengths(length)] for length in LENGTHS])
    step, drawn = masked_projection(model), []
    for _ in range(60):
        state = step()
        assert not state[~valid].any()  # padding is zeroed last
        zero = np.stack([(row[kept] == 0).all(0) for row, kept in zip(state, valid, strict=True)])
        hidden = (state == MARK).any(-1)
        expected = np.where(hidden[..., None], MARK, plain) * ~zero[:, None, :]
        np.testing.assert_allclose(state, expected * valid[..., None], rtol=0, atol=1e-5)
        assert hidden.any(1).all()
        drawn.append(zero)
    counts = np.array(drawn).sum(-1)
    # Two spans of two features in sixteen, which may overlap.
    assert set(np.unique(counts)) == {3, 4}
    np.testing.assert_allclose(np.array(drawn).mean((0, 1))[1:-1], 0.25, atol=0.1)
    assert len({rows.tobytes() for rows in drawn}) > 50


@pytest.mark.parametrize("training", [False, True])
def test_a_given_mask_is_the_mask(training: bool) -> None:
    """In evaluation it acts, in training it replaces the draw, and without SpecAugment it does nothing."""
    model = transparent(mask_time_prob=0.5)
    waveform = padded_batch()["input_values"][:2]
    frames = model.frame_lengths(SAMPLES)
    given = np.random.default_rng(3).random((2, frames)) < 0.3

    def first_state(x: Any, hidden: Any) -> Any:
        output = model(x, mask_time_indices=hidden, output_hidden_states=True, training=training)
        return output.hidden_states[0]

    for augment in (True, False):
        model.config.apply_spec_augment = augment
        state = to_numpy(compiled(model, first_state, xla=False)(waveform, given))
        np.testing.assert_array_equal((state == MARK).all(-1), given & augment)


# --- CTC ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_ctc_reductions_and_impossible_targets(reduction: str, zero_infinity: bool) -> None:
    """The loss of the model is the textbook's of each clip by itself, put together as the configuration says."""
    model = tiny("TFWav2Vec2ForCTC", ctc_loss_reduction=reduction, ctc_zero_infinity=zero_infinity)
    batch = training_batch(model)
    labels = np.full((len(LENGTHS), 30), -100)
    labels[:, : batch["labels"].shape[1]] = batch["labels"]
    for possible in (True, False):
        if not possible:
            labels[3] = 5  # thirty times the same letter, in fewer frames
        output = model(batch | {"labels": labels})
        losses, targets = [], []
        for logits, row, length in zip(to_numpy(output.logits), labels, LENGTHS, strict=True):
            targets.append([int(label) for label in row if label >= 0])
            losses.append(textbook_ctc(logits[: model.frame_lengths(length)], targets[-1]))
        assert np.isfinite(losses[:3]).all()
        assert np.isfinite(losses[3]) == possible
        if zero_infinity:
            losses = [loss if np.isfinite(loss) else 0.0 for loss in losses]
        expected = np.sum(losses)
        if reduction == "mean":
            expected = np.mean([loss / len(target) for loss, target in zip(losses, targets, strict=True)])
        assert float(output.loss) == pytest.approx(expected, rel=1e-5)
