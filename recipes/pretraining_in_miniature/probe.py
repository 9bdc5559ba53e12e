"""What frozen weights know: ``python -m recipes.pretraining_in_miniature.probe --data DATA --backbone FOLDER``.

A linear classifier of digits is fitted to what a layer says about the labelled clips of a seed; the speaker who chooses
tells which layer. Pretrained weights are compared with drawn ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import keras
import numpy as np

from recipes.fsdd.settings import SAMPLING_RATE, make_extractor
from recipes.pretraining_in_miniature.compare import SEEDS
from recipes.pretraining_in_miniature.results import LISTS
from recipes.pretraining_in_miniature.settings import Digits, make_config
from tfwav2vec2 import AutoModel
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.data.examples import Example

# A clip is its four quarters, each the mean of its frames.
_QUARTERS = 4
_SHRINKAGE = 100.0
_BATCH = 50


def describe(model: Any, clips: Sequence[Example]) -> np.ndarray:
    """What every layer says about clips: (layers, clips, 4 * hidden)."""
    extractor, parts = make_extractor(), []
    for first in range(0, len(clips), _BATCH):
        inputs = extractor(
            [clip.audio for clip in clips[first : first + _BATCH]],
            sampling_rate=SAMPLING_RATE, padding=True, return_attention_mask=True, return_tensors="np",
        )  # fmt: skip
        output = model(**inputs, output_hidden_states=True)
        layers = np.stack([keras.ops.convert_to_numpy(layer) for layer in output.hidden_states])
        samples = inputs["attention_mask"].sum(axis=1)
        lengths = [int(frame_lengths(model.config, int(count))) for count in samples]
        parts.append(
            np.stack([_quarters(layers[:, row, :frames]) for row, frames in enumerate(lengths)], axis=1)
        )
    return np.concatenate(parts, axis=1)


def _quarters(layers: np.ndarray) -> np.ndarray:
    """(layers, frames, hidden) to (layers, 4 * hidden)."""
    pieces = np.array_split(layers, _QUARTERS, axis=1)
    return np.concatenate([piece.mean(axis=1) for piece in pieces], axis=1)


class RidgeClassifier:
    """Least squares towards one-hot classes, with shrinkage, on features of unit variance.

    Args:
        features: (clips, width).
        words: what is said in each.
    """

    def __init__(self, features: np.ndarray, words: Sequence[Any]) -> None:
        self._words, classes = np.unique(words, return_inverse=True)
        self._mean, self._scale = features.mean(axis=0), features.std(axis=0) + 1e-6
        rows, targets = self._normal(features), np.eye(len(self._words))[classes]
        # In the form whose matrix has as many rows as there are clips, which are fewer than features.
        self._weights = rows.T @ np.linalg.solve(
            rows @ rows.T + _SHRINKAGE * np.eye(len(rows)), targets - targets.mean(axis=0)
        )

    def error_rate(self, features: np.ndarray, words: Sequence[Any]) -> float:
        """How many clips are taken for another word, in percent."""
        found = self._words[np.argmax(self._normal(features) @ self._weights, axis=1)]
        return 100 * float(np.mean(found != np.asarray(words)))

    def _normal(self, features: np.ndarray) -> np.ndarray:
        return (features - self._mean) / self._scale


def probe(model: Any, digits: Digits) -> dict[str, list[float]]:
    """The error rates of each seed on the lists of the test, by the layer with the lowest one on the choosing speaker."""
    lists = {name: getattr(digits, name) for name in ("labelled", "choosing", *LISTS)}
    features = {name: describe(model, clips) for name, clips in lists.items()}
    words = {name: [clip.target for clip in clips] for name, clips in lists.items()}
    place = {clip.id: index for index, clip in enumerate(digits.labelled)}
    rates: dict[str, list[float]] = {name: [] for name in LISTS}
    for seed in SEEDS:
        clips = digits.labelled_clips(seed)
        rows, said = [place[clip.id] for clip in clips], [clip.target for clip in clips]
        layers = [RidgeClassifier(layer[rows], said) for layer in features["labelled"]]
        choosing = [
            layer.error_rate(features["choosing"][index], words["choosing"])
            for index, layer in enumerate(layers)
        ]
        best = int(np.argmin(choosing))
        for name in LISTS:
            rates[name].append(round(layers[best].error_rate(features[name][best], words[name]), 3))
    return rates


@click.command(
    epilog="Example:  python -m recipes.pretraining_in_miniature.probe --data ../shared/data "
    "--backbone /tmp/mini/pretraining/backbone"
)
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True, help="Folder with manifest.tsv."
)
@click.option(
    "--backbone", type=click.Path(exists=True, path_type=Path), required=True, help="What pretrain has left."
)
def main(data: Path, backbone: Path) -> None:
    """Fit linear classifiers to frozen features, of pretrained and of drawn weights."""
    digits = Digits.read(data)
    keras.utils.set_random_seed(0)
    models = {
        "drawn": AutoModel.from_config(make_config()),
        "pretrained": AutoModel.from_pretrained(backbone),
    }
    click.echo(json.dumps({start: probe(model, digits) for start, model in models.items()}, indent=1))


if __name__ == "__main__":
    main()
