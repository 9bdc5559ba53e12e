"""Speech data as a ``tf.data.Dataset``: batches are made in parallel and ahead, and come in their order."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfwav2vec2.data.reading_position import ReadingPosition

if TYPE_CHECKING:
    from tfwav2vec2.data.epoch_reading import ReadInEpochs


def make_tf_dataset(data: ReadInEpochs, position: ReadingPosition) -> tf.data.Dataset:
    """The batches of ``data`` from ``position`` on, an epoch for each iteration."""
    spec = {
        name: tf.TensorSpec(shape, tf.as_dtype(dtype)) for name, (shape, dtype) in data.element_spec.items()
    }
    batches = _steps(data, position).map(
        lambda number, epoch, step: (number, step, _batch(data, spec, epoch, step)),
        num_parallel_calls=data.workers,
        deterministic=True,
    )
    # The first of a pair is asked for first: so its time is when a batch was wanted, before any wait.
    requests = tf.data.Dataset.counter().map(lambda _: tf.numpy_function(_now, [], tf.float64))
    dataset = tf.data.Dataset.zip(requests, batches.prefetch(data.ahead)).map(
        lambda asked, made: _hand_out(data, position, asked, *made)
    )
    options = tf.data.Options()
    # Nothing may run ahead of the last map, which notes what was handed out and when; and every process makes its own
    # part of each batch.
    options.experimental_optimization.inject_prefetch = False
    options.experimental_optimization.map_parallelization = False
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return dataset.with_options(options)


def _now() -> np.float64:
    return np.float64(time.perf_counter())


def _steps(data: ReadInEpochs, position: ReadingPosition) -> tf.data.Dataset:
    """(iteration, epoch, step) of each batch of an iteration.

    fit takes the number of steps from the dataset's cardinality. An iteration that begins in the middle of an epoch has
    fewer: assert_cardinality makes that an error, whereas `take` promises a number that the choice below, endless as
    far as can be known, need not keep.
    """

    count = position.left

    def begin(_: Any) -> tf.data.Dataset:
        number, epoch, step = tf.numpy_function(lambda: _begin(position, count), [], [tf.int64] * 3)
        number.set_shape(())
        epoch.set_shape(())
        return tf.data.Dataset.range(step, data.steps_per_epoch).map(lambda step: (number, epoch, step))

    steps = tf.data.Dataset.range(1).flat_map(begin)
    first = tf.data.Dataset.from_tensors(tf.constant(0, tf.int64)).repeat()
    choice = tf.data.Dataset.choose_from_datasets([steps, steps.repeat()], first, stop_on_empty_dataset=True)
    return choice.take(count)


def _begin(position: ReadingPosition, count: int) -> tuple[np.int64, np.int64, np.int64]:
    iteration = position.begin(count)
    return np.int64(iteration.number), np.int64(iteration.epoch), np.int64(iteration.step)


def _batch(data: ReadInEpochs, spec: dict[str, tf.TensorSpec], epoch: Any, step: Any) -> dict[str, Any]:
    parts = tf.numpy_function(
        lambda epoch, step: list(data.batch(int(epoch), int(step)).values()),
        [epoch, step],
        [part.dtype for part in spec.values()],
    )
    for part, expected in zip(parts, spec.values(), strict=True):
        part.set_shape(expected.shape)
    return dict(zip(spec, parts, strict=True))


def _hand_out(
    data: ReadInEpochs, position: ReadingPosition, asked: Any, number: Any, step: Any, batch: dict[str, Any]
) -> dict[str, Any]:
    def note(asked: np.float64, number: np.int64, step: np.int64) -> np.bool_:
        data.wait.since(float(asked))
        position.handed_out(int(number), int(step))
        return np.True_

    noted = tf.numpy_function(note, [asked, number, step], tf.bool)
    with tf.control_dependencies([noted]):
        return {name: tf.identity(part) for name, part in batch.items()}
