"""Rates by layer and layers that begin later, against optimizers that know one variable each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import tfwav2vec2
from tests.heads.family import FAMILY, FIELDS, STILL, tiny, training_batch
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.naming import name_of, named_variables
from tfwav2vec2.training.layer_rates import layer_decay, with_layer_rates
from tfwav2vec2.training.schedules import TriStage
from tfwav2vec2.weights.abstract import abstract_model

Make = Callable[[float], Any]
OPTIMIZERS: dict[str, Make] = {
    "SGD": lambda rate: keras.optimizers.SGD(rate, momentum=0.9),
    "Adam": lambda rate: keras.optimizers.Adam(rate),
    "AdamW": lambda rate: keras.optimizers.AdamW(rate, weight_decay=0.3),
    "Adafactor": lambda rate: keras.optimizers.Adafactor(rate),
    "Lion": lambda rate: keras.optimizers.Lion(rate, weight_decay=0.1),
    "RMSprop": lambda rate: keras.optimizers.RMSprop(rate, clipnorm=0.7),
    "Muon": lambda rate: keras.optimizers.Muon(rate, weight_decay=0.1),
}
RATE = 0.05
FROZEN = 3
TARGETS = {"first": 1.5, "second": -2.0}


@keras.saving.register_keras_serializable(package="tests")
class TwoLayers(keras.Model):
    """Two kernels, named as this package names weights."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with keras.name_scope(self.name):
            self.first = keras.layers.Dense(3, use_bias=False, name="first")
            self.second = keras.layers.Dense(2, use_bias=False, name="second")
            self.first.build((None, 2))
            self.second.build((None, 3))
        self.built = True

    def call(self, x: Any) -> Any:
        return self.second(self.first(x))


def two_layers() -> TwoLayers:
    model = TwoLayers()
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.standard_normal(weight.shape).astype("float32"))
    return model


def array(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))


def step(optimizer: Any, weights: list[Any]) -> None:
    """One update towards each kernel's target, whose gradient looks at no other kernel."""
    gradients = [keras.ops.subtract(weight, TARGETS[weight.path.split("/")[-2]]) for weight in weights]
    optimizer.apply(gradients, weights)


def alone(make: Make, rates: dict[str, float], starts: dict[str, int], steps: int) -> list[np.ndarray]:
    """The kernels when each has an optimizer of its own, made for its first step."""
    weights = two_layers().weights
    for weight in weights:
        name = weight.path.split("/")[-2]
        optimizer = make(RATE * rates.get(name, 1.0))
        for _ in range(steps - starts.get(name, 0)):
            step(optimizer, [weight])
    return [array(weight) for weight in weights]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_rate_is_that_of_an_optimizer_with_that_rate(kind: str) -> None:
    make = OPTIMIZERS[kind]
    model = two_layers()
    optimizer = with_layer_rates(make(RATE), model, rates={"first": 0.25})
    assert isinstance(optimizer, type(make(RATE)))
    for _ in range(4):
        step(optimizer, model.weights)
    for found, expected in zip(model.weights, alone(make, {"first": 0.25}, {}, 4), strict=True):
        np.testing.assert_allclose(array(found), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_frozen_part_begins_as_if_its_first_step_were_the_optimizers(kind: str) -> None:
    make = OPTIMIZERS[kind]
    model = two_layers()
    optimizer = with_layer_rates(make(RATE), model, rates={"first": 0.5}, frozen_steps={"first": FROZEN})
    optimizer.build(model.weights)
    before = array(model.weights[0])
    state = {item.path: array(item) for item in optimizer.variables if "first" in item.path}
    for _ in range(FROZEN):
        step(optimizer, model.weights)
    np.testing.assert_array_equal(array(model.weights[0]), before)
    for item in optimizer.variables:
        if item.path in state:
            np.testing.assert_array_equal(array(item), state[item.path], err_msg=item.path)
    for _ in range(4):
        step(optimizer, model.weights)
    expected = alone(make, {"first": 0.5}, {"first": FROZEN}, FROZEN + 4)
    for found, wanted in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(array(found), wanted, rtol=1e-5, atol=1e-6)


def test_a_frozen_parts_gradient_counts_in_no_norm() -> None:
    def make(rate: float) -> Any:
        return keras.optimizers.SGD(rate, global_clipnorm=0.1)

    model = two_layers()
    optimizer = with_layer_rates(make(RATE), model, frozen_steps={"first": 100})
    for _ in range(3):
        step(optimizer, model.weights)
    expected = alone(make, {}, {"first": 3}, 3)
    for found, wanted in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(array(found), wanted, rtol=1e-5)


def test_frozen_steps_count_updates_and_not_the_batches_that_make_one() -> None:
    def make(rate: float) -> Any:
        return keras.optimizers.Adam(rate, gradient_accumulation_steps=2)

    model = two_layers()
    optimizer = with_layer_rates(make(RATE), model, frozen_steps={"first": 2})
    for batch in range(6):
        before = array(model.weights[0])
        step(optimizer, model.weights)
        assert np.any(array(model.weights[0]) != before) == (batch == 5)
    expected = alone(make, {}, {"first": 4}, 6)
    for found, wanted in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(array(found), wanted, rtol=1e-5)


def test_a_schedule_goes_on_while_a_part_is_frozen() -> None:
    model = two_layers()
    schedule = TriStage(0.5, 10)
    optimizer = with_layer_rates(keras.optimizers.SGD(schedule), model, frozen_steps={"first": 2})
    for _ in range(3):
        before, gradient = array(model.weights[0]), array(model.weights[0]) - TARGETS["first"]
        step(optimizer, model.weights)
    rate = float(keras.ops.convert_to_numpy(schedule(2)))
    np.testing.assert_allclose(array(model.weights[0]), before - rate * gradient, rtol=1e-5)


def data(batches: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    size = 4 * batches
    return rng.standard_normal((size, 2)).astype("float32"), np.ones((size, 2), "float32")


def fit(model: Any, batches: int) -> list[np.ndarray]:
    """Train for some batches of four rows and return the weights."""
    model.fit(*data(batches), batch_size=4, verbose=0, shuffle=False)
    return [array(weight) for weight in model.weights]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("together", [1, 2])
def test_fit_keeps_a_part_until_its_first_step(jit_compile: bool, together: int) -> None:
    model = two_layers()
    before = [array(weight) for weight in model.weights]
    optimizer = with_layer_rates(
        keras.optimizers.AdamW(0.1, weight_decay=0.1), model, {"second": 0.5}, {"first": 2}
    )
    model.compile(optimizer, "mse", jit_compile=jit_compile, steps_per_execution=together)
    after_two = fit(model, 2)
    np.testing.assert_array_equal(after_two[0], before[0])
    assert np.all(after_two[1] != before[1])
    assert np.all(fit(model, 2)[0] != before[0])


@pytest.mark.parametrize("scaled", [False, True])
def test_a_model_is_saved_with_its_optimizer_and_goes_on(tmp_path: Path, scaled: bool) -> None:
    """Saved while a part is frozen: the count of the steps comes back as well."""
    model = two_layers()
    optimizer = with_layer_rates(
        keras.optimizers.Adam(TriStage(0.1, 20)), model, {"second": 0.5}, {"first": 3}
    )
    if scaled:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0)
    model.compile(optimizer, "mse", jit_compile=False)
    before = fit(model, 2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    np.testing.assert_array_equal(fit(again, 1)[0], before[0])
    fit(model, 1)
    for found, expected, old in zip(fit(again, 2), fit(model, 2), before, strict=True):
        assert np.all(found != old)
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_classifier_trains_its_head_first_and_then_all() -> None:
    model = tiny("TFWav2Vec2ForSequenceClassification", **STILL, num_hidden_layers=1)
    optimizer = with_layer_rates(keras.optimizers.Adam(1e-3), model, frozen_steps={"wav2vec2": 1})
    model.compile(optimizer, metrics=[])
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if keras.backend.backend() == "jax":
                self.model.jax_state_sync()
            seen.append({name: array(variable) for name, variable in named_variables(self.model).items()})

    watch = Watch()
    watch.set_model(model)
    watch.on_train_batch_end(-1)
    batch = {name: np.concatenate([value] * 2) for name, value in training_batch(model).items()}
    model.fit(batch, batch_size=4, verbose=0, shuffle=False, callbacks=[watch])
    before, after_one, after_two = seen
    # The bias of the keys has no gradient, and SpecAugment's vector none without SpecAugment.
    for name in [name for name in before if "k_proj.bias" not in name and "masked_spec_embed" not in name]:
        assert np.array_equal(after_one[name], before[name]) == name.startswith("wav2vec2"), name
        assert not np.array_equal(after_two[name], after_one[name]), name


@pytest.mark.parametrize("name", FAMILY)
def test_a_weight_has_the_same_name_with_and_without_its_model(name: str) -> None:
    named = named_variables(abstract_model(getattr(tfwav2vec2, name), Wav2Vec2Config(**FIELDS), "float32"))
    assert [name_of(variable) for variable in named.values()] == list(named)


def test_rates_shrink_from_the_head_down() -> None:
    model = tiny("TFWav2Vec2ForCTC", do_stable_layer_norm=True)
    optimizer = with_layer_rates(keras.optimizers.SGD(1.0), model, layer_decay(model, 0.5))
    model.trainable = True
    optimizer.build(model.trainable_variables)
    rates = {name_of(variable): optimizer._rate(variable) for variable in model.trainable_variables}
    expected = {
        "lm_head.kernel": 1.0,
        "wav2vec2.encoder.layer_norm.gamma": 0.5,
        "wav2vec2.encoder.layers.1.attention.q_proj.kernel": 0.5,
        "wav2vec2.encoder.layers.0.final_layer_norm.beta": 0.25,
        "wav2vec2.encoder.pos_conv_embed.conv.weight_v": 0.125,
        "wav2vec2.feature_projection.projection.kernel": 0.125,
        "wav2vec2.feature_extractor.conv_layers.2.conv.kernel": 0.125,
        "wav2vec2.masked_spec_embed": 0.125,
    }
    assert {name: rates[name] for name in expected} == expected


def test_a_bare_backbone_has_rates_too() -> None:
    rates = layer_decay(tiny("TFWav2Vec2Model", mask_time_prob=0.0), 0.5)
    assert rates == {
        "feature_extractor": 0.125,
        "feature_projection": 0.125,
        "encoder": 0.125,
        "encoder.layers.0": 0.25,
        "encoder.layers.1": 0.5,
    }


def trained() -> Any:
    model = two_layers()
    optimizer = keras.optimizers.SGD(RATE)
    step(optimizer, model.weights)
    return optimizer


@pytest.mark.parametrize(
    ("optimizer", "arguments", "message"),
    [
        (keras.optimizers.SGD, {"rates": {"frist": 0.1}}, "no weights under 'frist'"),
        (keras.optimizers.SGD, {"frozen_steps": {"first.kern": 1}}, "no weights under 'first.kern'"),
        (keras.optimizers.SGD, {"rates": {"first": 0.0}}, "The rate of 'first' is 0.0"),
        (keras.optimizers.SGD, {"frozen_steps": {"first": -1}}, "frozen for -1 steps"),
        (
            lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
            {},
            "leaves the updates to the optimizers inside it",
        ),
        (trained, {}, "has trained already"),
        (lambda: with_layer_rates(keras.optimizers.SGD(), two_layers()), {}, "has rates by layer already"),
    ],
)
def test_what_cannot_have_rates_is_refused(
    optimizer: Callable[[], Any], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        with_layer_rates(optimizer(), two_layers(), **arguments)


def test_a_factor_that_does_not_shrink_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        layer_decay(tiny("TFWav2Vec2ForCTC"), 1.5)
