"""Adam in one pass, against Keras's own update."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tfwav2vec2.training.one_pass_adam import update_in_one_pass

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the one operation is TensorFlow's"
)

OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "Adam": lambda: keras.optimizers.Adam(0.01),
    "Adam of other betas": lambda: keras.optimizers.Adam(0.02, beta_1=0.5, beta_2=0.9, epsilon=1e-3),
    "AdamW": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "clipped": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.5),
    "scheduled": lambda: keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.02, 2, 0.5)),
    "accumulating": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "averaging": lambda: keras.optimizers.AdamW(0.01, use_ema=True, ema_momentum=0.5),
    "scaling": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01), initial_scale=1.0),
}
SHAPES, STEPS = ((3, 5), (7,), ()), 5
# Keras rounds 1 - beta_2 to 0.001; TensorFlow subtracts in float32, here and in the correction, which is 5e-5 more.
ROUNDING = 6e-5


def trained(optimizer: Any, mode: str, dtype: str = "float32") -> list[np.ndarray]:
    """The weights and the optimizer's own variables after a few updates."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    weights = [keras.Variable(rng.normal(size=shape), dtype=dtype) for shape in SHAPES]
    optimizer.build(weights)

    def apply(*gradients: Any) -> None:
        optimizer.apply(list(gradients), weights)

    if mode != "eager":
        apply = tf.function(apply, jit_compile=mode == "XLA")
    for _ in range(STEPS):
        apply(*(tf.constant(rng.normal(size=shape), dtype) for shape in SHAPES))
    return [np.array(variable.numpy(), "float64") for variable in [*weights, *optimizer.variables]]


def calls_of_keras(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with every update that Keras's own code makes."""
    calls: list[str] = []
    plain = keras.optimizers.Adam.update_step

    def counted(self: Any, *arguments: Any) -> None:
        calls.append(type(self).__name__)
        plain(self, *arguments)

    monkeypatch.setattr(keras.optimizers.Adam, "update_step", counted)
    return calls


@pytest.mark.parametrize("mode", ["eager", "graph", "XLA"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_as_keras(name: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = trained(OPTIMIZERS[name](), mode)
    calls = calls_of_keras(monkeypatch)
    optimizer = OPTIMIZERS[name]()
    update_in_one_pass(optimizer)
    found = trained(optimizer, mode)
    assert calls == []
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=ROUNDING, atol=STEPS * 0.02 * ROUNDING)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes(dtype: str) -> None:
    optimizer = keras.optimizers.Adam(0.01, epsilon=1e-3)
    expected = trained(copy.deepcopy(optimizer), "graph", dtype)
    update_in_one_pass(optimizer)
    tolerance = {"float16": 3e-3, "bfloat16": 3e-2, "float64": 1e-6}[dtype]
    for ours, theirs in zip(trained(optimizer, "graph", dtype), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)


class Halved(keras.optimizers.Adam):
    """A subclass that does something of its own."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        super().update_step(gradient / 2, variable, learning_rate)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adam(0.01, amsgrad=True),
        lambda: Halved(0.01),
        lambda: keras.optimizers.SGD(0.01),
        lambda: keras.optimizers.Nadam(0.01),
    ],
    ids=["AMSGrad", "a subclass", "SGD", "Nadam"],
)
def test_others_stay_as_they_are(make: Callable[[], Any]) -> None:
    optimizer = make()
    update_in_one_pass(optimizer)
    assert "update_step" not in vars(optimizer)


def test_sparse_gradients_are_left_to_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    weight = keras.Variable(np.ones((4, 2)), dtype="float32")
    optimizer = keras.optimizers.Adam(0.01)
    update_in_one_pass(optimizer)
    calls = calls_of_keras(monkeypatch)
    optimizer.apply([tf.IndexedSlices(tf.ones((1, 2)), tf.constant([2]), tf.constant([4, 2]))], [weight])
    assert calls == ["Adam"]
    assert np.all(weight.numpy()[2] < 1)
    np.testing.assert_array_equal(weight.numpy()[:2], 1)


def test_configuration_is_that_of_keras() -> None:
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    plain = keras.saving.serialize_keras_object(optimizer)
    update_in_one_pass(optimizer)
    assert keras.saving.serialize_keras_object(optimizer) == plain
