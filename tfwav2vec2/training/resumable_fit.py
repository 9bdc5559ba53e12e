"""``fit`` that takes up a training in the middle of an epoch, which Keras's own cannot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from tfwav2vec2.training.resume import BackupAndResume


class ResumableFit:
    """Gives a Keras model a ``fit`` that understands :class:`~tfwav2vec2.training.resume.BackupAndResume`.

    Keras gives every epoch of a ``fit`` equally many steps. What an interrupted epoch has left is therefore a ``fit`` of
    its own; for the callbacks, the history and the progress bar both are one training.
    """

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        **options: Any,
    ) -> keras.callbacks.History:
        """Train as ``keras.Model.fit`` does; with a ``BackupAndResume`` among the callbacks, go on where it was.

        Raises:
            ValueError: for ``steps_per_epoch`` where states are kept in the middle of epochs, which have the steps
                that their data has.
        """

        def train(x: Any, callbacks: Any, epochs: int = epochs, **changed: Any) -> keras.callbacks.History:
            return super(ResumableFit, self).fit(
                x, y, batch_size, epochs, verbose, callbacks, **(options | changed)
            )

        given = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
        backup = next((callback for callback in given if isinstance(callback, BackupAndResume)), None)
        if _has_an_order(x) or (backup is not None and backup.has_an_order):
            # Keras's default is to shuffle, which it cannot do to a tf.data.Dataset (and warns), and which would undo the
            # order that training has to go on with.
            options["shuffle"] = False
        if backup is None:
            return train(x, callbacks)
        if backup.every is not None and options.get("steps_per_epoch") is not None:
            raise ValueError(
                "steps_per_epoch and BackupAndResume(every=...) exclude each other: an epoch that is taken up has the "
                "steps that its data has left; leave one of them out"
            )
        position = backup.restore(self)
        if position.step == 0 or backup.is_finished(epochs):
            return train(x, callbacks)
        training = _OneTraining(given, add_history=True, add_progbar=verbose != 0, model=self)
        with training.in_parts():
            training.set_params({"verbose": verbose, "epochs": epochs, "steps": backup.steps_left()})
            first = position.epoch
            train(backup.rest_of_epoch(), training, epochs=first + 1)
            if first + 1 < epochs and not self.stop_training:
                training.set_params({"verbose": verbose, "epochs": epochs, "steps": None})
                backup.seek(first + 1)
                # Here Keras reads with which epoch to begin; what the callback said has been done.
                self._initial_epoch = first + 1
                train(x, training)
        return self.history


def _has_an_order(x: Any) -> bool:
    """Whether data come in an order of their own: a ``tf.data.Dataset``, or what :class:`SpeechData` makes."""
    return getattr(x, "has_an_order", False) or (
        type(x).__module__.startswith("tensorflow.") and hasattr(x, "element_spec")
    )


class _OneTraining(keras.callbacks.CallbackList):
    """Callbacks that see several calls of ``fit`` as one training: it begins once and ends once."""

    _begun = False
    _last_logs: Any = None

    @contextlib.contextmanager
    def in_parts(self) -> Iterator[None]:
        """What is trained inside is one training, which ends here unless it fails."""
        yield
        super().on_train_end(self._last_logs)

    def on_train_begin(self, logs: Any = None) -> None:
        """Begin, where that has not happened."""
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Keep what to say when all parts have ended."""
        self._last_logs = logs
