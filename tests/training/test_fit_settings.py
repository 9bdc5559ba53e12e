"""Whatever optimizer and setting of ``compile`` Keras has, ``fit`` takes the steps that it should."""

from __future__ import annotations

import inspect
from typing import Any

import keras
import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tests.heads.family import STILL, tiny, training_batch

pytestmark = pytest.mark.slow

CTC, CLASSIFIER = "TFWav2Vec2ForCTC", "TFWav2Vec2ForSequenceClassification"
# These wrap others.
WRAPPERS = ("LossScaleOptimizer", "MultiOptimizer", "Optimizer")
OPTIMIZERS = [
    name
    for name, value in vars(keras.optimizers).items()
    if inspect.isclass(value) and issubclass(value, keras.optimizers.Optimizer) and name not in WRAPPERS
]
SMALL = {**STILL, "num_hidden_layers": 1}


def trained(name: str, optimizer: Any, batch_size: int = 2, dtype: str = "float32", **options: Any) -> Any:
    """A model after two epochs of four clips, and the losses of these."""
    model = tiny(name, dtype=dtype, **SMALL)
    batch = training_batch(model)
    model.compile(optimizer, **options)
    history = model.fit(batch, batch_size=batch_size, epochs=2, verbose=0, shuffle=False)
    return model, history.history["loss"]


def assert_same_weights(model: Any, other: Any) -> None:
    for value, wanted in zip(model.trainable_variables, other.trainable_variables, strict=True):
        np.testing.assert_allclose(
            to_numpy(value), to_numpy(wanted), rtol=1e-4, atol=1e-6, err_msg=value.path
        )


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_optimizer_of_keras(kind: str) -> None:
    model, losses = trained(CTC, getattr(keras.optimizers, kind)(1e-3), metrics=[])
    assert np.isfinite(losses).all()
    moved = [
        np.abs(to_numpy(value) - to_numpy(before)).max()
        for value, before in zip(
            model.trainable_variables, tiny(CTC, **SMALL).trainable_variables, strict=True
        )
    ]
    assert np.isfinite(moved).all()
    # Of SpecAugment's vector nothing is seen here.
    assert sum(step == 0 for step in moved) <= 1


def test_accumulated_batches_make_the_step_of_one_batch() -> None:
    """Each batch has as many labels, so that the mean of their losses is that of all."""
    accumulated, _ = trained(CLASSIFIER, keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))
    whole, _ = trained(CLASSIFIER, keras.optimizers.SGD(0.1), batch_size=4)
    assert_same_weights(accumulated, whole)


@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 2}, {"jit_compile": True}, {"run_eagerly": True}]
)
def test_how_steps_are_run_changes_nothing(options: dict[str, Any]) -> None:
    usual, losses = trained(CTC, keras.optimizers.SGD(1e-4))
    other, other_losses = trained(CTC, keras.optimizers.SGD(1e-4), **options)
    assert losses[1] != pytest.approx(losses[0], rel=1e-4)
    np.testing.assert_allclose(other_losses, losses, rtol=1e-5)
    assert_same_weights(other, usual)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_trains_in_float32(policy: str) -> None:
    optimizer = keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2)
    model, losses = trained(CTC, optimizer, dtype=policy)
    _, expected = trained(CTC, keras.optimizers.Adam(1e-3, gradient_accumulation_steps=2))
    np.testing.assert_allclose(losses, expected, rtol=0.05)
    assert {value.dtype for value in model.trainable_variables} == {"float32"}
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
