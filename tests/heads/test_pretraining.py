"""The pretraining model: the reference's objective, drawing of its own, training, padding, saving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.backbone.conftest import GOLDENS, to_numpy
from tests.gradients import output_and_gradients
from tests.heads.objective import (
    STILL,
    compiled,
    given_noise,
    tiny_config,
    tiny_pretraining,
)
from tfwav2vec2 import Wav2Vec2ForPreTrainingOutput
from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.heads.negatives import sample_negatives
from tfwav2vec2.heads.pretraining import TFWav2Vec2ForPreTraining
from tfwav2vec2.weights.key_map import is_transposed, torch_keys

INPUTS = ("input_values", "attention_mask", "mask_time_indices", "sampled_negative_indices")
TENSORS = ("projected_states", "projected_quantized_states")
NUMBERS = ("loss", "contrastive_loss", "diversity_loss", "codevector_perplexity")

RNG = np.random.default_rng(0)
WAVEFORM = RNG.standard_normal((3, 900)).astype("float32")
LENGTHS = np.array([900, 700, 500])
MASK = (np.arange(900)[None] < LENGTHS[:, None]).astype("int32")
FRAMES = 29


class Golden:
    """One variant: the model with the reference's weights and behaviour, and the reference's objective."""

    def __init__(self, variant: str) -> None:
        folder = GOLDENS / "pretraining" / variant
        self.model = TFWav2Vec2ForPreTraining.from_pretrained(folder, feature_norm_mask=False)
        self.model.set_gumbel_temperature(1.3)
        self.arrays = dict(np.load(folder / "objective.npz"))
        self.batch = {name: self.arrays[name] for name in INPUTS}

    def check(self, stage: str, output: Any) -> None:
        for name in TENSORS:
            np.testing.assert_allclose(
                to_numpy(output[name]), self.arrays[f"{stage}/{name}"], rtol=0, atol=1e-5, err_msg=name
            )
        for name in NUMBERS:
            assert float(output[name]) == pytest.approx(self.arrays[f"{stage}/{name}"], rel=1e-5), name


@pytest.fixture(scope="module", params=["group", "layer_stable"])
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def test_evaluation_equals_the_reference(golden: Golden) -> None:
    golden.check("evaluation", golden.model(golden.batch))
    output = golden.model(golden.arrays["input_values"])
    assert list(output) == [*TENSORS, "codevector_perplexity", "frame_lengths"]
    for name in ("projected_quantized_states", "codevector_perplexity"):
        np.testing.assert_allclose(to_numpy(output[name]), golden.arrays[f"unmasked/{name}"], atol=1e-5)


def test_negatives_equal_to_the_positive_are_in_the_goldens(golden: Golden) -> None:
    targets = golden.arrays["training/projected_quantized_states"]
    negatives = targets.reshape(-1, targets.shape[-1])[golden.arrays["sampled_negative_indices"]]
    assert (negatives == targets[:, :, None]).all(-1)[golden.arrays["mask_time_indices"]].any()


def test_training_with_given_noise_equals_the_reference(golden: Golden) -> None:
    with given_noise(golden.arrays["noise"]):
        output, gradients = output_and_gradients(golden.model, golden.batch, training=True)
    golden.check("training", output)
    wanted = {
        key.removeprefix("gradient/"): value
        for key, value in golden.arrays.items()
        if key.startswith("gradient/")
    }
    largest = max(np.linalg.norm(gradient) for gradient in wanted.values())
    for name, gradient in gradients.items():
        expected = wanted.pop(torch_keys(name)[0])
        value = gradient.T if is_transposed(name) else gradient
        gap = np.linalg.norm(value - expected)
        assert gap <= 1e-3 * np.linalg.norm(expected) + 1e-6 * largest, name
    assert not wanted


def test_tuple_has_the_reference_order(golden: Golden) -> None:
    output = golden.model(golden.batch)
    values = golden.model(**golden.batch, return_dict=False)
    for name, value in zip(Wav2Vec2ForPreTrainingOutput.fields[:4], values, strict=False):
        np.testing.assert_allclose(to_numpy(value), to_numpy(output[name]), rtol=1e-6, atol=1e-6)


def test_weights_are_those_of_the_checkpoint_and_the_temperature_is_not_among_them(tmp_path: Path) -> None:
    model = tiny_pretraining()
    model.set_gumbel_temperature(0.7)
    names = named_variables(model)
    assert set(map(id, names.values())) == set(map(id, model.weights))
    assert "quantizer.codevectors" in names
    assert not any("temperature" in name for name in names)
    model.save_pretrained(tmp_path)
    loaded = TFWav2Vec2ForPreTraining.from_pretrained(tmp_path)
    assert float(loaded.quantizer.temperature) == 2.0
    np.testing.assert_array_equal(
        to_numpy(loaded(WAVEFORM).projected_states), to_numpy(model(WAVEFORM).projected_states)
    )


def test_keras_files_keep_the_temperature(tmp_path: Path) -> None:
    model = tiny_pretraining()
    model.set_gumbel_temperature(0.7)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    filled = TFWav2Vec2ForPreTraining(model.config)
    filled.load_weights(tmp_path / "model.weights.h5")
    expected = model(WAVEFORM, attention_mask=MASK)
    for other in (loaded, filled):
        assert float(other.quantizer.temperature) == pytest.approx(0.7)
        output = other(WAVEFORM, attention_mask=MASK)
        for name in (*TENSORS, "codevector_perplexity"):
            np.testing.assert_array_equal(to_numpy(output[name]), to_numpy(expected[name]))


def test_projections_begin_as_torch_linear_layers() -> None:
    model = tiny_pretraining(hidden_size=64, proj_codevector_dim=256, codevector_dim=16)
    for layer, width in ((model.project_hid, 64), (model.project_q, 16)):
        for weight in (layer.kernel, layer.bias):
            values = to_numpy(weight)
            assert np.abs(values).max() <= width**-0.5
            assert values.std() == pytest.approx((3 * width) ** -0.5, rel=0.1)


def fixed_batch(mask: np.ndarray | None = MASK) -> dict[str, np.ndarray]:
    hidden = np.zeros((3, FRAMES), bool)
    hidden[:, 2:6] = hidden[:, 9:12] = True
    negatives = to_numpy(sample_negatives(hidden, 5, keras.random.SeedGenerator(0)))
    batch = {"input_values": WAVEFORM, "mask_time_indices": hidden, "sampled_negative_indices": negatives}
    return batch if mask is None else {**batch, "attention_mask": mask}


def test_draws_in_training_and_only_there() -> None:
    model = tiny_pretraining(**STILL)
    assert model(WAVEFORM).loss is None
    assert model(WAVEFORM, mask_time_indices=fixed_batch()["mask_time_indices"]).loss is None
    step = compiled(model, lambda x, m: model(x, attention_mask=m, training=True))
    first, second = step(WAVEFORM, MASK), step(WAVEFORM, MASK)
    assert float(first["loss"]) != float(second["loss"])
    parts = float(first["contrastive_loss"]) + 0.1 * float(first["diversity_loss"])
    assert float(first["loss"]) == pytest.approx(parts, rel=1e-5)


def test_padding_changes_nothing() -> None:
    """Neither what fills it nor how much of it there is; frames of the mask that lie in it do not count."""
    model = tiny_pretraining(**STILL)
    hidden = fixed_batch()["mask_time_indices"][:1].copy()
    short = model.frame_lengths(500)
    alone = {
        "input_values": WAVEFORM[:1, :500],
        "mask_time_indices": hidden[:, :short],
        "sampled_negative_indices": to_numpy(
            sample_negatives(hidden[:, :short], 5, keras.random.SeedGenerator(0))
        ),
    }
    indices = np.zeros((1, FRAMES, 5), "int32")
    indices[:, :short] = alone["sampled_negative_indices"]
    hidden[:, short:] = True
    noise = RNG.gumbel(size=(1, FRAMES, 2, 8)).astype("float32")
    with given_noise(noise[:, :short]):
        expected = {training: model(alone, training=training) for training in (False, True)}
    padding = {
        "attention_mask": np.arange(900)[None] < 500,
        "mask_time_indices": hidden,
        "sampled_negative_indices": indices,
    }
    step = compiled(model, lambda x: model(x, **padding, training=True), xla=False)
    for filling in (np.nan, 1e9):
        waveform = np.where(np.arange(900) < 500, WAVEFORM[:1], filling).astype("float32")
        with given_noise(noise):
            outputs = {False: model(waveform, **padding), True: step(waveform)}
        for training, output in outputs.items():
            for name in NUMBERS:
                assert float(output[name]) == pytest.approx(float(expected[training][name]), rel=1e-4), name


def test_buckets_change_nothing() -> None:
    model = tiny_pretraining()
    expected = {mask is None: model(WAVEFORM, attention_mask=mask) for mask in (None, MASK)}
    model.configure_call(buckets=Buckets(lengths=(1200,), rows=(8,)), jit_compile=True)
    for mask in (None, MASK):
        output = model(WAVEFORM, attention_mask=mask)
        assert output.projected_states.shape == (3, FRAMES, 8)
        for name in (*TENSORS, "codevector_perplexity", "frame_lengths"):
            np.testing.assert_allclose(
                to_numpy(output[name]), to_numpy(expected[mask is None][name]), rtol=1e-5, atol=1e-5
            )
    assert model.compiled_programs == 1
    like_the_reference = tiny_pretraining(feature_norm_mask=False, feat_extract_norm="layer")
    assert not like_the_reference.padding_is_neutral()


def accuracy(model: TFWav2Vec2ForPreTraining, batch: dict[str, np.ndarray]) -> float:
    """How often a hidden frame's own target is the most similar one."""
    output = model(batch)
    targets = to_numpy(output.projected_quantized_states)
    negatives = targets.reshape(-1, targets.shape[-1])[batch["sampled_negative_indices"]]
    negatives = negatives.transpose(2, 0, 1, 3)
    logits = to_numpy(
        model.compute_contrastive_logits(targets[None], negatives, to_numpy(output.projected_states))
    ).copy()
    logits[1:][(negatives == targets).all(-1)] = -np.inf
    return float((logits.argmax(0) == 0)[batch["mask_time_indices"]].mean())


def test_thirty_steps_learn_to_tell_the_targets_of_a_batch() -> None:
    model = tiny_pretraining(**STILL, num_hidden_layers=1)
    rng = np.random.default_rng(1)
    # Tones that change every 150 samples, so that there is something to tell.
    pitches = rng.uniform(0.05, 1.5, (8, 6)).repeat(150, axis=1)
    hidden = np.zeros((8, FRAMES), bool)
    hidden[:, 3:9] = hidden[:, 14:20] = True
    batch = {
        "input_values": np.sin(np.cumsum(pitches, axis=1)).astype("float32"),
        "mask_time_indices": hidden,
        "sampled_negative_indices": to_numpy(sample_negatives(hidden, 10, keras.random.SeedGenerator(0))),
    }
    before = accuracy(model, batch)
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    history = model.fit(batch, batch_size=8, epochs=30, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]
    assert accuracy(model, batch) > before + 0.2


def test_fit_on_waveforms_alone_draws_what_it_needs() -> None:
    model = tiny_pretraining()
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    kernel = to_numpy(model.quantizer.weight_proj.kernel)
    history = model.fit({"input_values": WAVEFORM, "attention_mask": MASK}, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert history["loss"][0] != history["loss"][1]
    assert np.abs(to_numpy(model.quantizer.weight_proj.kernel) - kernel).max() > 0


def test_evaluate_and_validation_draw_what_is_not_given() -> None:
    model = tiny_pretraining(**STILL, num_hidden_layers=1)
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    inputs = {"input_values": WAVEFORM, "attention_mask": MASK}
    first, second = (model.evaluate(inputs, batch_size=3, verbose=0) for _ in range(2))
    assert np.isfinite([first, second]).all()
    assert first != second
    batch = fixed_batch()
    given = model.evaluate(batch, batch_size=3, verbose=0, return_dict=True)["loss"]
    assert given == pytest.approx(float(model(batch).loss), rel=1e-5)
    history = model.fit(inputs, validation_data=(inputs,), batch_size=3, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()
    # Steps that were traced for evaluate leave calls and predict as they are.
    assert model(WAVEFORM).loss is None


def test_temperature_falls_between_steps_without_compiling_again() -> None:
    model = tiny_pretraining(**STILL, mask_time_prob=0.9)
    seen = []

    class Fall(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(keras.ops.convert_to_numpy(self.model.quantizer.temperature.value)))
            self.model.set_gumbel_temperature(1.0 / (batch + 1))

    traces = []
    choose = model.quantizer.choose

    def counted_choose(*arguments: Any) -> Any:
        traces.append(1)
        return choose(*arguments)

    model.quantizer.choose = counted_choose
    model.compile(optimizer=keras.optimizers.SGD(0.0))
    model.fit(WAVEFORM, batch_size=1, epochs=1, verbose=0, callbacks=[Fall()])
    assert float(model.quantizer.temperature) == pytest.approx(1 / 3)
    if (
        keras.backend.backend() == "tensorflow"
    ):  # JAX's fit keeps the variables' values to itself between the steps
        assert seen == [2.0, 1.0, 0.5]
    traced = len(traces)
    model.fit(WAVEFORM, batch_size=1, epochs=1, verbose=0)
    assert len(traces) == traced
    with pytest.raises(ValueError, match="must be above 0; got 0"):
        model.set_gumbel_temperature(0)


def test_frozen_feature_encoder_does_not_train() -> None:
    model = tiny_pretraining(**STILL, num_hidden_layers=1)
    model.freeze_feature_encoder()
    frozen = [to_numpy(w) for w in model.wav2vec2.feature_extractor.weights]
    codevectors = to_numpy(model.quantizer.codevectors)
    model.compile(optimizer="sgd")
    model.fit(WAVEFORM, verbose=0)
    for before, weight in zip(frozen, model.wav2vec2.feature_extractor.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(weight), before)
    assert np.abs(to_numpy(model.quantizer.codevectors) - codevectors).max() > 0


@pytest.mark.parametrize("lonely", [False, True])
def test_rows_with_nothing_to_tell_from_leave_the_loss_finite(lonely: bool) -> None:
    """Rows too short for a span have no hidden frame; with spans of one frame a row may have a single one."""
    spans = {"mask_time_length": 1, "mask_time_prob": 0.0001, "mask_time_min_masks": 1} if lonely else {}
    model = tiny_pretraining(**STILL, **spans)
    mask = MASK.copy()
    mask[1:] = np.arange(900) < (0 if not lonely else 500)
    if not lonely:
        mask[0] = 0
    step = compiled(model, lambda x, m: model(x, attention_mask=m, training=True), xla=False)
    output = step(WAVEFORM, mask)
    for name in NUMBERS:
        assert np.isfinite(float(output[name])), name
    assert abs(float(output["contrastive_loss"])) < 1e-6


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_finite_on_padded_batches(policy: str) -> None:
    exact = tiny_pretraining(**STILL, num_hidden_layers=1)
    model = TFWav2Vec2ForPreTraining(exact.config, dtype=policy)
    for weight, source in zip(model.weights, exact.weights, strict=True):
        weight.assign(source)
    batch = fixed_batch()
    batch["attention_mask"] = MASK.copy()
    batch["attention_mask"][2] = 0
    output, gradients = output_and_gradients(model, batch, training=True)
    assert all(np.isfinite(float(output[name])) for name in NUMBERS)
    for name, gradient in gradients.items():
        assert gradient is None or np.isfinite(gradient.astype("float32")).all(), name
    evaluated, expected = model(batch), exact(batch)
    assert np.isfinite(float(evaluated.loss))
    for name in NUMBERS:
        assert evaluated[name].dtype == expected[name].dtype  # float32
    np.testing.assert_allclose(
        to_numpy(keras.ops.cast(evaluated.projected_states, "float32"))[:2],
        to_numpy(expected.projected_states)[:2],
        rtol=0,
        atol=0.05,
    )


def test_predict_gives_projections_and_the_perplexity_of_each_batch() -> None:
    model = tiny_pretraining()
    inputs = {"input_values": WAVEFORM, "attention_mask": MASK}
    output = model.predict(inputs, batch_size=2, verbose=0)
    expected = model(inputs)
    for name in TENSORS:
        np.testing.assert_allclose(output[name], to_numpy(expected[name]), rtol=0, atol=1e-5)
    first = model({name: value[:2] for name, value in inputs.items()})
    assert output.codevector_perplexity.shape == (2,)
    assert output.codevector_perplexity[0] == pytest.approx(float(first.codevector_perplexity), rel=1e-5)


def test_adapter_is_refused() -> None:
    with pytest.raises(ValueError, match="pretrain with add_adapter=False"):
        TFWav2Vec2ForPreTraining(tiny_config(add_adapter=True))


def test_inputs_that_do_not_fit_are_refused() -> None:
    model = tiny_pretraining()
    batch = fixed_batch()
    hidden, negatives = batch["mask_time_indices"], batch["sampled_negative_indices"]
    cases = [
        ({"sampled_negative_indices": negatives}, "without the mask_time_indices"),
        ({"mask_time_indices": hidden[:, 1:]}, "it must be .batch, frames. with 3 rows and 29 frames"),
        (
            {"mask_time_indices": hidden, "sampled_negative_indices": negatives[0]},
            "it must be .batch, frames, num_negatives.",
        ),
        (
            {"mask_time_indices": hidden, "sampled_negative_indices": negatives + FRAMES},
            "the batch has 87 frames, from 0 to 86",
        ),
    ]
    for arguments, message in cases:
        with pytest.raises(ValueError, match=message):
            model(WAVEFORM, **arguments)
    with pytest.raises(ValueError, match="learns from audio alone"):
        model({"input_values": WAVEFORM, "labels": np.zeros((3, 2), "int32")})
    with pytest.raises(ValueError, match=r"mask_time_prob=0\.0; set them"):
        tiny_pretraining(mask_time_prob=0.0)(WAVEFORM, training=True)
