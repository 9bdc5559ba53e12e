"""What a training writes down: a row for each epoch, and curves that TensorBoard reads, taken up with the training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import keras
import pytest

from tests.training.resumed_training import EPOCHS, Clips, train
from tfwav2vec2.training.records import HistoryTable, TensorBoardLogs


class EndAfterAnEpoch(keras.callbacks.Callback):
    """Ends the training once the other callbacks have written down its second epoch, and before a state is kept of it."""

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == 1:
            raise KeyboardInterrupt


def test_an_epoch_that_is_taken_again_has_one_row(tmp_path: Path) -> None:
    table = tmp_path / "history.csv"
    validation = {"validation_data": Clips().dataset()}
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[HistoryTable(table), EndAfterAnEpoch()], **validation)
    assert [row["epoch"] for row in read(table)] == ["0", "1"]
    train(tmp_path, callbacks=[HistoryTable(table)], **validation)
    rows = read(table)
    assert [row.pop("epoch") for row in rows] == [str(epoch) for epoch in range(EPOCHS)]
    expected = json.loads((tmp_path / "history.json").read_text())
    assert set(rows[0]) == set(expected) == {"loss", "val_loss"}
    for name, values in expected.items():
        assert [float(row[name]) for row in rows] == pytest.approx(values)


def read(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    util = pytest.importorskip("tensorboard.util.tensor_util")
    train(tmp_path, callbacks=[TensorBoardLogs(tmp_path / "logs")], validation_data=Clips().dataset())
    history = json.loads((tmp_path / "history.json").read_text())
    for run, expected in {
        "train": {
            "epoch_loss": history["loss"],
            "epoch_learning_rate": [1e-2 - 9e-3 * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)],
        },
        "validation": {"epoch_loss": history["val_loss"]},
    }.items():
        written = events.EventAccumulator(str(tmp_path / "logs" / run)).Reload()
        assert set(written.Tags()["tensors"]) == set(expected)
        for name, values in expected.items():
            found = written.Tensors(name)
            assert [event.step for event in found] == [*range(EPOCHS)]
            assert [float(util.make_ndarray(event.tensor_proto)) for event in found] == pytest.approx(values)
