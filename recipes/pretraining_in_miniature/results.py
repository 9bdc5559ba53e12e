"""What has been found so far, the table that it makes, and its picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.weights.files import read_json, write_atomically, write_json

LISTS = {"heard": "speakers of the\nlabelled clips", "unheard": "another speaker"}
_COLOURS = {"drawn": "tab:gray", "pretrained": "tab:blue"}


class Results:
    """Rows by name, in a file that is written after every one of them, so that nothing is trained twice.

    Args:
        path: the file, which may be there already.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, Any] = dict(read_json(path)) if path.exists() else {}

    def once(self, name: str, find: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The row of that name, or else what ``find()`` returns, which becomes that row with the minutes it took."""
        if name not in self.rows:
            started = time.perf_counter()
            found = dict(find())
            self.rows[name] = found | {"minutes": round((time.perf_counter() - started) / 60, 2)}
            write_json(self._path, self.rows)
        return self.rows[name]

    def of(self, start: str, stage: str) -> list[dict[str, Any]]:
        """The rows of one start's ``"tuning"`` or ``"test"``, in the order in which they were found."""
        return [row for name, row in self.rows.items() if name.startswith(f"{start} {stage} ")]

    def table(self) -> dict[str, dict[str, Any]]:
        """For each start the mean word error rates of the test and their standard errors, in percent."""
        return {
            start: {name: _mean([row[name] for row in self.of(start, "test")]) for name in LISTS}
            | {key: self.of(start, "test")[0][key] for key in ("learning_rate", "epochs")}
            for start in _COLOURS
            if self.of(start, "test")
        }

    def draw(self, path: Path) -> None:
        """Draw how pretraining and fine-tuning went, and the error rates: seeds one by one, and their mean.

        Raises:
            ImportError: where matplotlib is not installed.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 3.3), layout="constrained", dpi=72)
        pretraining, curves, rates = figure.subplots(1, 3)
        accuracies = 100 * np.asarray(self.rows["pretraining"]["contrastive_accuracy"])
        pretraining.plot(range(1, len(accuracies) + 1), accuracies, color=_COLOURS["pretrained"])
        pretraining.set(title="Pretraining", xlabel="epoch", ylabel="contrastive accuracy, %", ylim=(0, None))
        pretraining.grid(alpha=0.3)
        for place, (start, colour) in enumerate(_COLOURS.items()):
            rows = self.of(start, "test")
            for row in rows:
                curves.plot(range(1, len(row["loss"]) + 1), row["loss"], color=colour, alpha=0.6, linewidth=1)
            curves.plot([], [], color=colour, label=f"weights {start}")
            for group, name in enumerate(LISTS):
                values = [row[name] for row in rows]
                centre = group + 0.3 * (place - 0.5)
                rates.bar(centre, np.mean(values), 0.28, color=colour, alpha=0.5)
                rates.plot([centre] * len(values), values, "o", color=colour, markersize=4)
        curves.set(title="Fine-tuning", xlabel="epoch", ylabel="CTC loss", yscale="log")
        curves.grid(alpha=0.3)
        curves.legend()
        rates.set(title="Test, five seeds", ylabel="word error rate, %")
        rates.set_xticks(range(len(LISTS)), LISTS.values())
        with write_atomically(path) as temporary:
            figure.savefig(temporary, format="png")


def _mean(values: list[float]) -> dict[str, Any]:
    """The mean, its standard error, and what it is the mean of."""
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return {"mean": round(float(np.mean(values)), 2), "error": round(float(error), 2), "each": values}
