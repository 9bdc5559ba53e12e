"""A training that was interrupted and started again ends where one that was not ends: same steps, same weights."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.tiny import TINY
from tests.training.resumed_training import EPOCHS, STEPS, Clips, make_model, steps_taken, train
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC
from tfwav2vec2.training import training_state
from tfwav2vec2.training.resume import BackupAndResume
from tfwav2vec2.training.training_state import NotFiniteError
from tfwav2vec2.weights.checkpoint import CheckpointError


class Interrupt(keras.callbacks.Callback):
    """Ends the training with an error after some steps, as Ctrl-C does."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    train(folder)
    return folder


def assert_same_training(folder: Path, other: Path) -> None:
    assert steps_taken(folder) == steps_taken(other)
    ours, theirs = np.load(folder / "final.npz"), np.load(other / "final.npz")
    assert ours.files == theirs.files
    for name in ours.files:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=0, atol=1e-7)
    histories = [json.loads((place / "history.json").read_text()) for place in (folder, other)]
    assert histories[0].keys() == histories[1].keys()
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 3, 5, 7, 14])
def test_an_interrupted_training_ends_as_one_that_was_not(
    uninterrupted: Path, tmp_path: Path, steps: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Interrupt(steps)])
    train(tmp_path)
    assert_same_training(tmp_path, uninterrupted)


def test_one_that_is_interrupted_again_and_again(uninterrupted: Path, tmp_path: Path) -> None:
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, callbacks=[Interrupt(4)])
    train(tmp_path)
    assert_same_training(tmp_path, uninterrupted)


def test_whole_epochs_need_no_data_that_seeks(uninterrupted: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, every=None, callbacks=[Interrupt(STEPS + 2)])
    train(tmp_path, every=None)
    assert_same_training(tmp_path, uninterrupted)


def test_a_training_that_has_ended_does_not_go_on(uninterrupted: Path, tmp_path: Path) -> None:
    train(tmp_path)
    before = steps_taken(tmp_path)
    train(tmp_path)
    assert_same_training(tmp_path, uninterrupted)
    assert (tmp_path / "steps.jsonl").read_text().count("\n") == len(before)


def test_more_epochs_go_on_from_the_end(uninterrupted: Path, tmp_path: Path) -> None:
    train(tmp_path, epochs=EPOCHS - 1)
    train(tmp_path)
    assert_same_training(tmp_path, uninterrupted)


def test_two_states_are_kept(uninterrupted: Path) -> None:
    assert [path.name for path in sorted((uninterrupted / "states").iterdir())] == [
        "state-000000014.safetensors",
        "state-000000015.safetensors",
    ]


def test_a_damaged_state_is_stepped_over(
    uninterrupted: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Interrupt(8)])
    newest = max((tmp_path / "states").iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING, "tfwav2vec2"):
        train(tmp_path)
    assert newest.name in caplog.text
    assert_same_training(tmp_path, uninterrupted)


def test_what_a_kill_in_the_middle_of_writing_leaves_is_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "states").mkdir()
    leftover = tmp_path / "states" / ".0123.tmp"
    leftover.write_bytes(b"half a state")
    train(tmp_path, epochs=1)
    assert not leftover.exists()


def test_processes_go_on_from_a_state_that_all_have(uninterrupted: Path, tmp_path: Path) -> None:
    """Another process was killed before it wrote its newest state."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[Interrupt(8)])
    assert max((tmp_path / "states").iterdir()).stem == "state-000000007"
    asked = []

    def agree(step: int) -> int:
        asked.append(step)
        return 5

    train(tmp_path, agree=agree)
    assert asked == [7]
    assert_same_training(tmp_path, uninterrupted)


def test_early_stopping_counts_on(tmp_path: Path) -> None:
    """The loss never falls by a thousand: the second epoch without that is one too many, whoever counted the first."""

    def begin(**options: Any) -> tuple[keras.callbacks.EarlyStopping, keras.callbacks.History]:
        stopping = keras.callbacks.EarlyStopping(
            "loss", min_delta=1000.0, patience=2, restore_best_weights=True
        )
        data, model = Clips(), make_model()
        backup = BackupAndResume(tmp_path, data, every=2, callbacks=[stopping])
        callbacks = [stopping, *options.pop("callbacks", ()), backup]
        return stopping, model.fit(data.dataset(), epochs=9, verbose=0, callbacks=callbacks)

    with pytest.raises(KeyboardInterrupt):
        begin(callbacks=[Interrupt(2 * STEPS + 3)])
    stopping, history = begin()
    assert stopping.best_epoch == 0
    assert history.epoch == [0, 1, 2]
    _, history = begin()  # it had stopped, and has not forgotten
    assert history.epoch == [0, 1, 2]


def test_the_loss_is_not_a_number(tmp_path: Path) -> None:
    data, model = Clips(), make_model()
    data.clips[data.order()[3]] = np.nan
    backup = BackupAndResume(tmp_path, data, every=1)
    with pytest.raises(
        NotFiniteError, match=r"after step 4: the loss is NaN; the last good state is .*state-000000003"
    ):
        model.fit(data.dataset(), epochs=2, verbose=0, callbacks=[backup])
    assert max(tmp_path.iterdir()).name == "state-000000003.safetensors"


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    """The loss of the step that breaks the weights is still sound."""

    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 2:
                if keras.backend.backend() == "jax":
                    self.model.jax_state_sync()
                kernel = self.model.lm_head.kernel
                kernel.assign(np.full(kernel.shape, np.inf, np.float32))

    data, model = Clips(), make_model()
    with pytest.raises(
        NotFiniteError, match=r"after step 3: .*kernel holds NaN or infinite values; .*state-000000002"
    ):
        model.fit(data.dataset(), verbose=0, callbacks=[Break(), BackupAndResume(tmp_path, data, every=1)])


def test_a_full_disk_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = training_state.write_safetensors

    def fill_up(path: Path, *args: Any, **options: Any) -> None:
        if "000004" in path.name:
            path.with_name(".half.tmp").write_bytes(b"half")
            raise OSError(28, "No space left on device")
        written(path, *args, **options)

    monkeypatch.setattr(training_state, "write_safetensors", fill_up)
    with pytest.raises(OSError, match=r"cannot be written .*No space left.*last good state is .*000002"):
        train(tmp_path)
    monkeypatch.undo()
    train(tmp_path)
    assert [line["step"] for line in steps_taken(tmp_path)] == [*range(STEPS)] * EPOCHS


def test_the_state_of_another_training_is_refused(tmp_path: Path) -> None:
    train(tmp_path, epochs=1)
    data, model = Clips(), TFWav2Vec2ForCTC(Wav2Vec2Config(**TINY))
    model.compile(optimizer="sgd")
    before = [np.array(value) for value in model.get_weights()]
    with pytest.raises(
        CheckpointError, match=r"is the state of another training: .* optimizer/[0-9]+.*another folder"
    ):
        model.fit(data.dataset(), verbose=0, callbacks=[BackupAndResume(tmp_path / "states", data)])
    for value, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_states_within_epochs_need_data_that_seeks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"need data that can go on"):
        BackupAndResume(tmp_path, every=3)
    with pytest.raises(ValueError, match=r"every counts steps, 1 or more; got 0"):
        BackupAndResume(tmp_path, Clips(), every=0)
    model, data = make_model(), Clips()
    with pytest.raises(ValueError, match=r"exclude each other"):
        model.fit(data.dataset(), steps_per_epoch=2, callbacks=[BackupAndResume(tmp_path, data, every=1)])


class InterruptValidation(keras.callbacks.Callback):
    """Ends the training with an error once its first epoch's steps are done."""

    def on_test_begin(self, logs: Any = None) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("interrupt", [lambda: Interrupt(8), InterruptValidation], ids=["step", "validation"])
def test_validation_and_metrics_go_on(
    tmp_path: Path, interrupt: Callable[[], keras.callbacks.Callback], every: int
) -> None:
    """The history of a resumed epoch tells of the whole epoch, for the loss and its validation."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    validation = {"validation_data": Clips().dataset()}
    train(whole, every=every, **validation)
    with pytest.raises(KeyboardInterrupt):
        train(parts, every=every, callbacks=[interrupt()], **validation)
    train(parts, every=every, **validation)
    assert_same_training(parts, whole)
    assert len(json.loads((parts / "history.json").read_text())["val_loss"]) == EPOCHS
