"""Pictures: how a training went, and what a classifier takes for what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.weights.files import write_atomically

_PANEL_INCHES = (4.8, 3.4)
_PANELS_IN_A_ROW = 3
_VALIDATION = "val_"
# From this share on a cell is so dark that its number has to be white.
_DARK = 0.6


def draw_curves(history: Mapping[str, Sequence[float]], path: str | Path, title: str = "") -> None:
    """Draw every quantity of a ``History.history`` over the epochs, training and validation in one panel.

    Args:
        history: lists of one value for each epoch, by name.
        path: the file to write, with the suffix of an image.
        title: what stands above.

    Raises:
        ImportError: where matplotlib is not installed.
        ValueError: where the history is empty.
    """
    figure_class = _matplotlib_figure()
    from matplotlib.ticker import MaxNLocator

    names = list(dict.fromkeys(name.removeprefix(_VALIDATION) for name in history))
    if not names:
        raise ValueError("The history is empty; there is nothing to draw")
    rows = math.ceil(len(names) / _PANELS_IN_A_ROW)
    columns = min(len(names), _PANELS_IN_A_ROW)
    figure = figure_class(
        figsize=(columns * _PANEL_INCHES[0], rows * _PANEL_INCHES[1]), layout="constrained", dpi=120
    )
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for name, panel in zip(names, panels, strict=False):
        for key, style in ((name, "o-"), (f"{_VALIDATION}{name}", "s--")):
            if key in history:
                values = history[key]
                label = "validation" if key.startswith(_VALIDATION) else "training"
                panel.plot(range(1, len(values) + 1), values, style, label=label, markersize=3)
        panel.set_title(name)
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
        if _spans_decades(history, name):
            panel.set_yscale("log")
        panel.legend()
    for panel in panels[len(names) :]:
        panel.remove()
    if title:
        figure.suptitle(title)
    _save(figure, Path(path))


def draw_confusion(counts: np.ndarray, classes: Sequence[str], path: str | Path) -> None:
    """Draw how often clips of a class (row) were taken for another (column), by colour and number.

    Args:
        counts: (classes, classes) integers.
        classes: their names.
        path: the file to write, with the suffix of an image.

    Raises:
        ImportError: where matplotlib is not installed.
    """
    figure_class = _matplotlib_figure()
    side = max(3.0, 0.45 * len(classes) + 1.5)
    figure = figure_class(figsize=(side, side), layout="constrained", dpi=120)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.argwhere(counts):
        colour = "white" if shares[row, column] > _DARK else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("found")
    axes.set_ylabel("said")
    _save(figure, Path(path))


def _matplotlib_figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "Pictures are drawn by matplotlib, which is not installed: pip install 'tfwav2vec2[train]'"
        ) from None
    return Figure


def _spans_decades(history: Mapping[str, Sequence[float]], name: str) -> bool:
    """Whether a quantity falls so far that only a logarithmic axis shows its end."""
    values = [value for key in (name, f"{_VALIDATION}{name}") for value in history.get(key, ())]
    return bool(values) and min(values) > 0 and max(values) > 100 * min(values)


def _save(figure: Any, path: Path) -> None:
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".") or "png")
