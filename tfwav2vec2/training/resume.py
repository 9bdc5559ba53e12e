"""Training that survives being killed: its whole state is kept beside it, and the same command goes on from there."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np

from tfwav2vec2.training.callback_counts import CallbackCounts
from tfwav2vec2.training.training_state import (
    NotFiniteError,
    Position,
    read_state,
    restore_metrics,
    write_state,
)
from tfwav2vec2.weights.checkpoint import CheckpointError

logger = logging.getLogger(__name__)

# The newest state and the one before it, should a failing disk have damaged the newest.
_KEPT = 2


class Seekable(Protocol):
    """Data that can begin in the middle of an epoch: :class:`~tfwav2vec2.data.speech_data.SpeechData`."""

    steps_per_epoch: int

    def seek(self, epoch: int, step: int) -> None:
        """Make the next iteration begin with this step of this epoch."""

    def dataset(self) -> Any:
        """What ``fit`` takes: the rest of the epoch that was sought, then whole epochs."""


class BackupAndResume(keras.callbacks.Callback):
    """Keeps the state of a training in a folder, and goes on from it when the same training is started again.

    A state is weights, optimizer, schedule, the seeds of dropout and masks, the running metrics, the history, what
    other callbacks have counted, and the position in the data: a training that was killed and started again takes the
    same steps as one that was not (bit for bit, where the backend's sums are). Keras's own ``BackupAndRestore`` keeps
    the epoch's first step, and neither the seeds' position in the data nor other callbacks.

    A state is one file, written under another name and renamed, so that a kill in the middle of it, or a full disk,
    leaves the one before. Loss or weights that are NaN stop the training before they are written.

    Give it as the last of ``fit``'s callbacks, so that it keeps what the others have counted.

    Args:
        folder: where the states are kept; it is made where it is not there.
        data: what ``fit`` reads from, if it can seek. Without it only whole epochs can be resumed.
        every: after how many steps a state is written; each epoch's end writes one in any case.
        callbacks: callbacks of the same ``fit`` whose counts are kept too, such as ``EarlyStopping``.
        agree: of several processes that train together, each with a folder of its own, tells which step all have
            (:meth:`~tfwav2vec2.training.distribute.Cluster.lowest`): one may have been killed before it wrote.

    Raises:
        ValueError: for ``every`` without data that can seek, or below 1.
    """

    def __init__(
        self,
        folder: str | Path,
        data: Seekable | None = None,
        *,
        every: int | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        agree: Callable[[int], int] = lambda step: step,
    ) -> None:
        super().__init__()
        if every is not None and every < 1:
            raise ValueError(f"every counts steps, 1 or more; got {every}")
        if every is not None and data is None:
            raise ValueError(
                "States in the middle of an epoch need data that can go on from there; give data=SpeechData(...), or "
                "leave out every to resume whole epochs"
            )
        self.folder = Path(folder)
        self.every = every
        self._data = data
        self._kept = CallbackCounts(callbacks)
        self._agree = agree
        self._position = Position()
        # What the first epoch after a restart still needs; None once it has it.
        self._restored: dict[str, np.ndarray] | None = None
        self._is_restored = self._has_trained = False

    def restore(self, model: keras.Model) -> Position:
        """Give a model the newest state, if there is one, and tell how far that had come.

        The ``fit`` of this package's models calls it.

        Raises:
            CheckpointError: where there are states, but none that can be read belongs to this training.
        """
        self._is_restored = True
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*.tmp"):
            leftover.unlink(missing_ok=True)
        self._position, self._restored = Position(), None
        problems: list[CheckpointError] = []
        states = self._states()
        common = self._agree(_step_of(states[0]) if states else -1)
        for path in (state for state in states if _step_of(state) <= common):
            try:
                self._position, self._restored = read_state(path, model)
            except CheckpointError as error:
                problems.append(error)
                logger.warning("%s", error)
                continue
            logger.info("The training goes on from %s", path)
            return self._position
        if problems:
            raise problems[0]
        return self._position

    @property
    def has_an_order(self) -> bool:
        """Whether the data decide in which order their batches come."""
        return self._data is not None

    def is_finished(self, epochs: int) -> bool:
        """Whether the training that was restored had ended, with no fewer epochs than these."""
        return self._position.finished_epochs is not None and self._position.finished_epochs >= epochs

    def steps_left(self) -> int:
        """How many steps the epoch that was restored still has."""
        return self._data.steps_per_epoch - self._position.step

    def rest_of_epoch(self) -> Any:
        """What is left of the data of the epoch that was restored."""
        self.seek(self._position.epoch, self._position.step)
        return self._data.dataset()

    def seek(self, epoch: int, step: int = 0) -> None:
        """Make the data go on with this step of this epoch, if they can."""
        if self._data is not None:
            self._data.seek(epoch, step)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin with the epoch that the newest state asks for.

        Raises:
            CheckpointError: as :meth:`restore`.
            ValueError: for a state in the middle of an epoch and a model whose ``fit`` cannot take that up.
        """
        if not self._is_restored and self.restore(self.model).step:
            raise ValueError(
                f"The newest state in {self.folder} is in the middle of an epoch, which {type(self.model).__name__}.fit "
                "cannot take up; it needs a model of tfwav2vec2"
            )
        self._is_restored = self._has_trained = False
        epochs = self.params["epochs"]
        # Keras's own way for a callback to say with which epoch fit begins.
        self.model._initial_epoch = epochs if self.is_finished(epochs) else self._position.epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Keep the state with which the epoch begins, or take up the epoch that was interrupted.

        An epoch's end is kept here, once all other callbacks have seen it.
        """
        if self._restored is not None:
            self._take_up()
        else:
            self._position.epoch, self._position.step = epoch, 0
            self._save()
        self._has_trained = True
        self._position.finished_epochs = None
        self._steps_before = self._position.step
        self.seek(epoch, self._position.step)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Count the steps; keep a state where one is due.

        Raises:
            NotFiniteError: where the loss is NaN, or a state that is due has weights that are not numbers.
            OSError: where a state cannot be written.
        """
        before = self._position.step
        self._position.step = self._steps_before + batch + 1
        self._position.total_steps += self._position.step - before
        if math.isnan((logs or {}).get("loss", 0.0)):
            raise self._not_finite("the loss is NaN")
        # What follows an epoch's last step (validation, other callbacks) cannot be taken up by itself: the next state is that
        # of the next epoch's beginning.
        done = self._position.step
        if self.every and before // self.every != done // self.every and done < self._data.steps_per_epoch:
            self._save()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Remember what the epoch came to."""
        self._position.history_epochs.append(epoch)
        for name, value in (logs or {}).items():
            self._position.history.setdefault(name, []).append(value)

    def on_train_end(self, logs: Any = None) -> None:
        """Keep the state in which the training ended, so that the same command does not train further."""
        if self._restored is not None:
            self._take_up()
        self.model._initial_epoch = None
        if self._has_trained:
            self._position.epoch, self._position.step = self._position.epoch + 1, 0
            self._position.finished_epochs = self.params["epochs"]
            self._save()

    def _states(self) -> list[Path]:
        """The states in the folder, the newest first."""
        return sorted(self.folder.glob("state-*.safetensors"), reverse=True)

    def _take_up(self) -> None:
        """Restore what Keras resets as it begins: running metrics, the history, the other callbacks' counts."""
        position, arrays = self._position, self._restored
        self._restored = None
        if position.step and not restore_metrics(self.model, arrays):
            logger.warning(
                "The metrics of epoch %d will tell of its steps after %d alone",
                position.epoch + 1,
                position.step,
            )
        history = self.model.history
        history.history = {name: list(values) for name, values in position.history.items()}
        history.epoch = list(position.history_epochs)
        self._kept.restore(position.callbacks, arrays)

    def _save(self) -> None:
        position = self._position
        position.callbacks, arrays = self._kept.collect()
        path = self.folder / f"state-{position.total_steps:09d}.safetensors"
        try:
            write_state(path, self.model, position, arrays)
        except NotFiniteError as error:
            raise self._not_finite(str(error)) from None
        except OSError as error:
            raise OSError(
                f"The training's state cannot be written to {self.folder} ({error.strerror or error}); {self._last_good()} "
                "Make room, then start the same training again"
            ) from error
        for outdated in self._states()[_KEPT:]:
            outdated.unlink()

    def _not_finite(self, what: str) -> NotFiniteError:
        return NotFiniteError(
            f"The training stopped after step {self._position.total_steps}: {what}; {self._last_good()} Go on with a "
            "lower learning rate or with the gradients clipped (clipnorm), and look at the data of the last steps"
        )

    def _last_good(self) -> str:
        newest = next(iter(self._states()), None)
        return f"the last good state is {newest}." if newest else "no state was written before."


def _step_of(state: Path) -> int:
    """The steps that were done when a state was written."""
    return int(state.stem.removeprefix("state-"))
