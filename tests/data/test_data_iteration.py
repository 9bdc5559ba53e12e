"""Data as ``fit`` reads them: epoch after epoch, from wherever they are to begin."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.speech_data import assert_same, classify
from tfwav2vec2.data.augmentation import AdditiveNoise
from tfwav2vec2.data.reading_position import ReadingPosition
from tfwav2vec2.data.speech_data import SpeechData
from tfwav2vec2.training.resumable_fit import ResumableFit
from tfwav2vec2.training.resume import BackupAndResume

ON_TENSORFLOW = keras.backend.backend() == "tensorflow"
KINDS = ["plain", "python", *(["tensorflow"] if ON_TENSORFLOW else [])]

STEPS = 6


def make_data(**options: Any) -> SpeechData:
    """Six batches in three shapes: of two lengths, and a smaller one of the shortest clips."""
    return classify(22, **options)


def of_one_shape(**options: Any) -> SpeechData:
    """Six batches that JAX compiles once."""
    return classify(24, buckets=1, **options)


def iterable(data: SpeechData, kind: str) -> Any:
    """The data in one of the forms in which they can be iterated."""
    return {"plain": lambda: data, "python": data.as_py_dataset, "tensorflow": data.as_tf_dataset}[kind]()


@pytest.mark.parametrize("kind", KINDS)
def test_each_iteration_is_the_next_epoch(kind):
    data = make_data(augment=AdditiveNoise())
    dataset = iterable(data, kind)
    for epoch in range(3):
        assert data.position == (epoch, 0)
        read = list(dataset)
        assert len(read) == data.steps_per_epoch == STEPS
        for step, batch in enumerate(read):
            assert_same(batch, data.batch(epoch, step))


@pytest.mark.parametrize("kind", KINDS)
def test_a_look_at_the_first_batches_loses_nothing(kind):
    data = make_data()
    dataset = iterable(data, kind)
    for count in (1, 2, STEPS - 1):
        for step, batch in enumerate(itertools.islice(iter(dataset), count)):
            assert_same(batch, data.batch(0, step))
    assert data.position == (0, 0)
    assert len(list(dataset)) == STEPS
    assert data.position == (1, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_an_iteration_begins_where_it_is_told_to(kind):
    data = make_data()
    dataset = iterable(data, kind)
    for epoch, step in ((4, 2), (1, STEPS - 1), (0, 0)):
        data.seek(epoch, step)
        read = list(dataset)
        assert len(read) == STEPS - step
        for offset, batch in enumerate(read):
            assert_same(batch, data.batch(epoch, step + offset))
        assert data.position == (epoch + 1, 0)
    data.seek(2, STEPS)
    assert list(dataset) == []
    assert data.position == (3, 0)


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_dataset_made_in_the_middle_of_an_epoch_is_the_rest_of_it(kind):
    data = make_data()
    data.seek(1, 4)
    rest = iterable(data, kind)
    assert int(rest.cardinality() if kind == "tensorflow" else len(rest)) == STEPS - 4
    read = list(rest)
    assert len(read) == STEPS - 4
    assert_same(read[0], data.batch(1, 4))
    with pytest.raises(Exception, match=r"made for the last 2 batches of an epoch; make another"):
        next(iter(rest))
    assert len(list(iterable(data, kind))) == STEPS


@pytest.mark.parametrize(("epoch", "step"), [(-1, 0), (0, -1), (0, STEPS + 1)])
def test_positions_that_are_not_there(epoch, step):
    with pytest.raises(ValueError, match=f"Epoch {epoch}, step {step} is no position"):
        make_data().seek(epoch, step)


actions = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 5)),
        st.tuples(st.just("seek"), st.integers(0, 5), st.integers(0, 4)),
    ),
    max_size=20,
)


@given(actions=actions)
def test_the_position_moves_on_when_an_epoch_was_read_to_its_end(actions):
    steps = 4
    position, expected = ReadingPosition(steps), (0, 0)
    for action, *numbers in actions:
        if action == "seek":
            position.seek(*numbers)
            expected = tuple(numbers)
            continue
        iteration = position.begin(steps)
        assert (iteration.epoch, iteration.step) == expected
        read = range(iteration.step, min(iteration.step + numbers[0], steps))
        for step in read:
            position.handed_out(iteration.number, step)
        if iteration.step + numbers[0] >= steps:
            expected = (iteration.epoch + 1, 0)
        assert position.next == expected or (
            iteration.step == steps and position.next == (iteration.epoch + 1, 0)
        )
        expected = position.next


def test_a_position_that_was_set_meanwhile_counts():
    position = ReadingPosition(2)
    old = position.begin(2)
    position.seek(7, 1)
    position.handed_out(old.number, 1)
    assert position.next == (7, 1)


# fit


class SmallModel(ResumableFit, keras.Model):
    """A classifier of loudness, which compiles in no time; it reads batches and answers as the package's models do."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.hidden = keras.layers.Dense(8, activation="tanh")
        self.dropout = keras.layers.Dropout(dropout)
        self.classifier = keras.layers.Dense(2)
        self.hidden.build((None, 3))
        self.classifier.build((None, 8))
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        values, mask = inputs["input_values"], keras.ops.cast(inputs["attention_mask"], "float32")
        moments = [keras.ops.sum(mask * values**power, axis=1) / 1000 for power in (0, 2, 4)]
        return self.classifier(self.dropout(self.hidden(keras.ops.stack(moments, axis=1)), training=training))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *others: Any, **options: Any
    ) -> Any:
        losses = keras.losses.sparse_categorical_crossentropy(x["labels"], y_pred, from_logits=True)
        return keras.ops.mean(losses)


def make_model(dropout: float = 0.0) -> SmallModel:
    keras.utils.set_random_seed(1)
    model = SmallModel(dropout)
    model.compile(keras.optimizers.SGD(0.1))
    return model


def weights(model: keras.Model) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(weight) for weight in model.trainable_variables]


def test_fit_takes_the_batches_in_their_order():
    """On JAX, where Keras shuffles what it reads unless told otherwise, as well."""
    data, fitted, stepped = of_one_shape(), make_model(), make_model()
    fitted.fit(data.dataset(), epochs=2, verbose=0, shuffle=not ON_TENSORFLOW)
    assert data.position == (2, 0)
    for epoch in range(2):
        for step in range(data.steps_per_epoch):
            stepped.train_on_batch(data.batch(epoch, step))
    for ours, theirs in zip(weights(fitted), weights(stepped), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


class Interrupt(keras.callbacks.Callback):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def test_an_interrupted_training_goes_on_with_the_next_batch(tmp_path: Path):
    """With everything random: shuffling, augmentation, dropout."""

    def train(folder: Path, *callbacks: keras.callbacks.Callback) -> list[np.ndarray]:
        data, model = of_one_shape(augment=AdditiveNoise()), make_model(dropout=0.3)
        options = {"epochs": 2, "verbose": 0, "shuffle": False}
        model.fit(data.dataset(), callbacks=[*callbacks, BackupAndResume(folder, data, every=1)], **options)
        return weights(model)

    expected = train(tmp_path / "whole")
    for steps in (4, 5):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", Interrupt(steps))
    for ours, theirs in zip(train(tmp_path / "parts"), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_evaluate_and_predict_read_the_data_too():
    data, model = classify(9, shuffle=False), make_model()
    first, second = (model.evaluate(data.dataset(), verbose=0, return_dict=True) for _ in range(2))
    assert first == second
    expected = [model.predict_on_batch(data.batch(0, step)) for step in range(data.steps_per_epoch)]
    np.testing.assert_allclose(model.predict(data.dataset(), verbose=0), np.concatenate(expected), atol=1e-6)


# Speed


@pytest.mark.parametrize("kind", KINDS[1:])
def test_batches_are_made_ahead_and_beside_each_other(kind):
    """Making a batch takes 0.2 s, using it 0.1 s: two at once keep up, one at a time would cost the difference."""
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.1)
        with lock:
            at_once -= 1
        return samples

    data = classify(16, batch_size=2, buckets=1, augment=slow, workers=2, ahead=2)
    for _ in iterable(data, kind):
        time.sleep(0.1)
    assert most == 2
    assert data.wait.batches == 8
    # The first batch is waited for, and the sleeps are not exact.
    assert data.wait.longest > 0.15
    assert data.wait.seconds < 8 * 0.1
    assert "waited" in str(data.wait)
    data.wait.reset()
    assert data.wait.seconds_per_batch == 0.0


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_clip_that_cannot_be_read_stops_the_training_by_name(kind):
    def fail(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.full_like(samples, np.nan)

    data = make_data(augment=fail)
    with pytest.raises(Exception, match="augment made of example"):
        list(iterable(data, kind))


WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
from tests.data.test_data_iteration import make_model, of_one_shape
data, model = of_one_shape(), make_model()
history = model.fit(data.dataset(), epochs=2, verbose=0).history
assert len(history["loss"]) == 2 and data.position == (2, 0)
"""


@pytest.mark.skipif(ON_TENSORFLOW, reason="needs a backend other than TensorFlow")
def test_training_needs_no_tensorflow():
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
