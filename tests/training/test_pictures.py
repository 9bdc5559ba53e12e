"""The pictures are written whole, whatever they show."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tfwav2vec2.training.pictures import draw_confusion, draw_curves

pytest.importorskip("matplotlib", reason="needs the extra train")

PNG = b"\x89PNG"


@pytest.mark.parametrize(
    "history",
    [
        {"loss": [3.0, 2.0], "val_loss": [3.5, 2.5], "wer": [1.0, 0.9]},
        {"loss": [1000.0, 1.0, 0.001]},
        {"loss": [float("inf"), float("nan"), 2.0], "val_loss": [2.0]},
        {f"quantity{index}": [float(index)] for index in range(7)},
    ],
    ids=["two panels", "decades", "not finite", "many"],
)
def test_curves(history: dict[str, list[float]], tmp_path: Path) -> None:
    draw_curves(history, tmp_path / "curves.png", title="A training")
    assert (tmp_path / "curves.png").read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="history is empty"):
        draw_curves({}, tmp_path / "curves.png")


def test_confusion(tmp_path: Path) -> None:
    counts = np.array([[5, 0, 1], [0, 0, 0], [2, 0, 9]])
    draw_confusion(counts, ["yes", "no", "maybe"], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").read_bytes().startswith(PNG)


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tfwav2vec2\[train\]'"):
        draw_curves({"loss": [1.0]}, tmp_path / "curves.png")
