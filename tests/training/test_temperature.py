"""The temperature of the quantizer while a model is pretrained."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from tests.heads.family import padded_batch, tiny
from tfwav2vec2 import GumbelTemperatureDecay


def temperature_of(model: Any) -> float:
    return float(keras.ops.convert_to_numpy(model.quantizer.temperature))


@pytest.mark.slow
def test_it_falls_to_its_end_with_the_steps_and_goes_on_where_it_stopped() -> None:
    model = tiny("TFWav2Vec2ForPreTraining", mask_time_prob=0.5)
    model.compile(keras.optimizers.SGD(0.0), jit_compile=False)
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen.append(temperature_of(self.model))

    for _ in range(2):
        decay = GumbelTemperatureDecay(start=2.0, end=0.6, decay=0.5)
        model.fit(padded_batch(), batch_size=2, verbose=0, shuffle=False, callbacks=[decay, Watch()])
    assert seen == pytest.approx([2.0, 1.0, 0.6, 0.6])


@pytest.mark.parametrize("wrong", [{"end": 3.0}, {"end": 0.0}, {"decay": 1.5}, {"decay": 0.0}])
def test_a_temperature_that_does_not_fall_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="falls from start to end"):
        GumbelTemperatureDecay(**wrong)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's strategies")
def test_it_falls_where_variables_are_mirrored() -> None:
    import tensorflow as tf

    decay = GumbelTemperatureDecay(start=2.0, decay=0.5)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = tiny("TFWav2Vec2ForPreTraining", mask_time_prob=0.5)
        model.compile()
        model.optimizer.iterations.assign(1)
        decay.set_model(model)
        decay.on_train_batch_end(0)
    assert temperature_of(model) == 1.0
