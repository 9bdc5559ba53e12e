"""The batches of data one after another, epoch after epoch, in the forms in which ``fit`` reads them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfwav2vec2.data.reading_position import ReadingPosition, WaitingTime

if TYPE_CHECKING:
    import tensorflow as tf


class ReadInEpochs(ABC):
    """Data whose batches are functions of the epoch and the step, read in their order from a position on.

    Attributes:
        workers: how many batches are made at once.
        ahead: how many finished batches may wait.
        wait: how long whoever reads has waited.
    """

    workers: int
    ahead: int
    wait: WaitingTime
    _position: ReadingPosition

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """The batches of an epoch, the same for every epoch."""

    @abstractmethod
    def batch(self, epoch: int, step: int) -> dict[str, np.ndarray]:
        """One batch."""

    @property
    @abstractmethod
    def element_spec(self) -> dict[str, tuple[tuple[int | None, ...], type]]:
        """The shape, as far as it is fixed, and the type of each part of a batch."""

    def dataset(self) -> Any:
        """The batches for ``fit``: a ``tf.data.Dataset`` on TensorFlow, on other backends a ``keras.utils.PyDataset``.

        Each iteration of it is an epoch; once one was read to its end, the next one begins the next epoch. Made in the
        middle of an epoch, after a :meth:`seek`, it holds what is left of this epoch, and no other.

        Both kinds hold the same batches. Without the TensorFlow backend a ``tf.data.Dataset`` works as well
        (:meth:`as_tf_dataset`), but loading TensorFlow takes seconds, half a gigabyte and, if it may, the GPU's memory.
        """
        return self.as_tf_dataset() if keras.backend.backend() == "tensorflow" else self.as_py_dataset()

    def as_tf_dataset(self) -> tf.data.Dataset:
        """The batches as a ``tf.data.Dataset``."""
        from tfwav2vec2.data.tf_dataset import make_tf_dataset

        return make_tf_dataset(self, self._position)

    def as_py_dataset(self) -> keras.utils.PyDataset:
        """The batches as a ``keras.utils.PyDataset``, which threads of its own fill.

        On TensorFlow, ``fit`` takes the shapes of all batches from the first two of a ``PyDataset``: there it can read
        batches of one length alone.
        """
        from tfwav2vec2.data.py_dataset import SpeechPyDataset

        return SpeechPyDataset(self, self._position)

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        """The batches of the next epoch, or of what is left of it after a :meth:`seek`, made one by one."""
        iteration = self._position.begin(self.steps_per_epoch)
        for step in range(iteration.step, self.steps_per_epoch):
            self._position.handed_out(iteration.number, step)
            yield self.batch(iteration.epoch, step)

    @property
    def position(self) -> tuple[int, int]:
        """The epoch and the step with which the next iteration begins."""
        return self._position.next

    def seek(self, epoch: int, step: int = 0) -> None:
        """Make the next iteration begin with this step of this epoch. It ends where the epoch ends.

        Keras counts the batches of a dataset when ``fit`` begins, and takes every epoch to have as many. So make another
        dataset after a seek into the middle of an epoch, and give it a ``fit`` of its own, as
        :class:`~tfwav2vec2.training.resume.BackupAndResume` does.

        Raises:
            ValueError: for a position that the data do not have.
        """
        self._position.seek(epoch, step)
