"""The best model of a training is the one that is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfwav2vec2.training.saving import SavePretrained


class Model:
    """Stands for a model: writes down that it was saved."""

    def __init__(self) -> None:
        self.saves: list[Path] = []

    def save_pretrained(self, folder: Path) -> None:
        self.saves.append(folder)


def saves_of(values: list[float], monitor: str | None, mode: str | None = None) -> list[int]:
    """The epochs after which a callback saved."""
    callback, model = SavePretrained("folder", None, monitor, mode), Model()
    callback.set_model(model)
    epochs = []
    for epoch, value in enumerate(values):
        callback.on_epoch_end(epoch, {monitor or "loss": value})
        epochs += [epoch] * (len(model.saves) - len(epochs))
    assert callback.best_epoch == epochs[-1]
    return epochs


@pytest.mark.parametrize(
    ("monitor", "mode", "expected"),
    [
        ("val_wer", None, [0, 2]),
        ("val_accuracy", None, [0, 1]),
        ("val_codebook_perplexity", None, [0, 1]),
        ("val_own", "max", [0, 1]),
        (None, None, [0, 1, 2, 3]),
    ],
)
def test_what_is_better_is_saved(monitor: str | None, mode: str | None, expected: list[int]) -> None:
    assert saves_of([0.5, 0.7, 0.4, 0.4], monitor, mode) == expected


def test_a_value_that_is_not_a_number_is_never_the_best() -> None:
    assert saves_of([0.5, float("nan"), 0.4], "val_wer") == [0, 2]
    assert saves_of([float("nan"), 0.5, 0.6], "val_wer") == [0, 1]


def test_a_quantity_that_fit_does_not_report() -> None:
    callback = SavePretrained("folder", None, "val_wer")
    callback.set_model(Model())
    with pytest.raises(KeyError, match=r"no 'val_wer' .*fit reports loss, cer"):
        callback.on_epoch_end(0, {"loss": 1.0, "cer": 0.5})
