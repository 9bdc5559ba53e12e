"""How good the answers to a list of clips are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfwav2vec2.metrics.verification import equal_error_rate


@dataclass(frozen=True)
class Scores:
    """The measures of a run, as shares.

    Attributes:
        accuracy: of clips whose class is right.
        equal_error_rate: of telling, by the cosine of their embeddings, whether two clips are of one speaker, over all
            pairs; None without embeddings.
    """

    accuracy: float
    equal_error_rate: float | None = None

    @classmethod
    def of(cls, classes: np.ndarray, labels: np.ndarray, embeddings: np.ndarray | None = None) -> Scores:
        """Score (clips, classes) logits against (clips,) labels, and (clips, size) embeddings against each other."""
        accuracy = float(np.mean(np.argmax(classes, axis=-1) == labels))
        if embeddings is None:
            return cls(accuracy)
        directions = embeddings / np.linalg.norm(embeddings, axis=-1, keepdims=True)
        first, second = np.triu_indices(len(labels), k=1)
        cosines = (directions @ directions.T)[first, second]
        return cls(accuracy, equal_error_rate(cosines, labels[first] == labels[second]))
