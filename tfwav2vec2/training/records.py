"""What a training writes down of its epochs: a table, and logs for TensorBoard."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import keras

from tfwav2vec2.weights.files import write_atomically

_VALIDATION = "val_"


class HistoryTable(keras.callbacks.Callback):
    """A table of comma-separated values with a row for each epoch, as ``History`` holds them.

    The file is written anew after each epoch, so that a training that was killed and takes an epoch again
    (:class:`~tfwav2vec2.training.resume.BackupAndResume`) has one row for it. Keras's ``CSVLogger`` appends.

    Args:
        path: the file; whole at any time.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.path = Path(path)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write the epochs so far. The model's ``History`` comes to know of this one after all other callbacks."""
        history = self.model.history
        rows = [{"epoch": past} for past in history.epoch]
        for name, values in history.history.items():
            for row, value in zip(rows, values, strict=False):
                row[name] = value
        rows.append({"epoch": epoch, **(logs or {})})
        names = dict.fromkeys(name for row in rows for name in row)
        with (
            write_atomically(self.path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            table = csv.DictWriter(file, list(names), lineterminator="\n")
            table.writeheader()
            table.writerows(rows)


class TensorBoardLogs(keras.callbacks.Callback):
    """Curves for TensorBoard, by the names that Keras's own callback gives them, on every backend.

    Keras's ``TensorBoard`` computes with TensorFlow, which would take a GPU's memory from another backend. Training and
    validation are runs of their own, ``train`` and ``validation``.

    Args:
        folder: where the runs' files lie.

    Raises:
        ImportError: where tensorboard is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__()
        from tensorboard.summary import DirectoryOutput, Writer

        self._new_writer = lambda run: Writer(DirectoryOutput(str(Path(folder, run))))
        self._writers: dict[str, Any] = {}

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Write an epoch's quantities, and the learning rate with which it ended."""
        rate = keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        for name, value in {**(logs or {}), "learning_rate": float(rate)}.items():
            run = "validation" if name.startswith(_VALIDATION) else "train"
            if run not in self._writers:
                self._writers[run] = self._new_writer(run)
            self._writers[run].add_scalar(f"epoch_{name.removeprefix(_VALIDATION)}", value, epoch)
        for writer in self._writers.values():
            writer.flush()

    def on_train_end(self, logs: Any = None) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}
