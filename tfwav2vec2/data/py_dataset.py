"""Speech data as a ``keras.utils.PyDataset``, for every backend and without TensorFlow."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfwav2vec2.data.reading_position import Iteration, ReadingPosition

if TYPE_CHECKING:
    from tfwav2vec2.data.epoch_reading import ReadInEpochs


class SpeechPyDataset(keras.utils.PyDataset):
    """The batches of ``data`` from ``position`` on, an epoch for each iteration, made by threads ahead of the model.

    Within an epoch a batch is whichever comes next, not the one of the index: ``fit`` shuffles the indices by default,
    by a generator that no seed of the data's reaches. At other times ``dataset[index]`` is that batch of the epoch that
    comes next.
    """

    def __init__(self, data: ReadInEpochs, position: ReadingPosition) -> None:
        # Keras's own threads would ask for batches beside each other; these are asked for in their order.
        super().__init__(workers=1)
        self._data = data
        self._position = position
        self._count = position.left
        self._reading: _Reading | None = None

    @property
    def num_batches(self) -> int:
        """The batches of an iteration: an epoch's, or those that were left of one when this dataset was made.

        At the start of an iteration that begins further on, those that are left then.
        """
        if self._reading is None or self._reading.has_begun:
            return self._count
        return self._reading.left

    def __len__(self) -> int:
        return self.num_batches

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if self._reading is None:
            return self._data.batch(self._position.next[0], index)
        return self._reading.next_batch()

    def on_epoch_begin(self) -> None:
        """Begin an iteration."""
        self.on_epoch_end()
        self._reading = self._begin()

    def on_epoch_end(self) -> None:
        """End the iteration, read to its end or not."""
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """The batches of an iteration, for loops without ``fit``."""
        reading = self._begin()
        try:
            while reading.left:
                yield reading.next_batch()
        finally:
            reading.close()

    def _begin(self) -> _Reading:
        return _Reading(self._data, self._position, self._position.begin(self._count))


class _Reading:
    """One iteration, its next batches in the making."""

    def __init__(self, data: ReadInEpochs, position: ReadingPosition, iteration: Iteration) -> None:
        self._data = data
        self._position = position
        self._iteration = iteration
        self._next = iteration.step
        self._to_make = iter(range(iteration.step, data.steps_per_epoch))
        self._pool = ThreadPoolExecutor(data.workers, thread_name_prefix="speech-data")
        self._made: deque[Future[dict[str, np.ndarray]]] = deque()
        for _ in range(data.ahead + data.workers):
            self._make_another()

    @property
    def left(self) -> int:
        """The batches that are still to come."""
        return self._data.steps_per_epoch - self._next

    @property
    def has_begun(self) -> bool:
        """Whether a batch was read."""
        return self._next > self._iteration.step

    def next_batch(self) -> dict[str, Any]:
        """The next batch, as soon as it is there."""
        if not self._made:
            raise IndexError("The epoch has no more batches")
        asked = time.perf_counter()
        batch = self._made.popleft().result()
        self._data.wait.since(asked)
        self._make_another()
        self._position.handed_out(self._iteration.number, self._next)
        self._next += 1
        return batch

    def close(self) -> None:
        """Give up what was not read."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _make_another(self) -> None:
        step = next(self._to_make, None)
        if step is not None:
            self._made.append(self._pool.submit(self._data.batch, self._iteration.epoch, step))
