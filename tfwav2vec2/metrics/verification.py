"""How well voices are told apart: the equal error rate of speaker verification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfwav2vec2.metrics.task_metric import TaskMetric
from tfwav2vec2.training.replicas import rows_of_all_replicas

# Cosines reach from -1 to 1.
_LOWEST, _SPAN = -1.0, 2.0


def equal_error_rate(scores: Sequence[float] | np.ndarray, same: Sequence[bool] | np.ndarray) -> float:
    """The share of wrong answers at the threshold where both kinds of errors are equally frequent.

    At a threshold, pairs that score as much or more are taken for one speaker's. The rate of false alarms falls and the
    rate of misses rises with it; between the two thresholds around the crossing both are taken to be straight lines.

    Args:
        scores: (pairs,), how alike the voices of each pair are, by any measure.
        same: (pairs,), true for pairs of one speaker.

    Returns:
        A number between 0 and 1: 0 for perfect scores, 0.5 for scores that tell nothing.

    Raises:
        ValueError: for arrays of unequal or wrong shapes, scores that are not finite, or pairs of one kind alone.
    """
    scores, same = np.asarray(scores, np.float64), np.asarray(same, bool)
    if scores.ndim != 1 or scores.shape != same.shape:
        raise ValueError(
            f"scores have the shape {scores.shape} and same {same.shape}; both must be (pairs,), one entry a pair"
        )
    if not np.isfinite(scores).all():
        raise ValueError(f"{np.sum(~np.isfinite(scores))} of {len(scores)} scores are not finite numbers")
    if same.all() or not same.any():
        raise ValueError(
            f"{np.sum(same)} of {len(same)} pairs are of one speaker; the rate needs pairs of both kinds"
        )
    values, group = np.unique(scores, return_inverse=True)
    misses = _share_below(np.bincount(group[same], minlength=len(values)))
    false_alarms = 1 - _share_below(np.bincount(group[~same], minlength=len(values)))
    after = int(np.argmax(misses >= false_alarms))
    gap_before, gap_after = (false_alarms[at] - misses[at] for at in (after - 1, after))
    way = gap_before / (gap_before - gap_after)
    return float(misses[after - 1] + way * (misses[after] - misses[after - 1]))


def _share_below(counts: np.ndarray) -> np.ndarray:
    """(groups + 1,): the share of all that lies in the groups before each place."""
    return np.concatenate([[0], np.cumsum(counts)]) / counts.sum()


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class EqualErrorRate(TaskMetric):
    """The equal error rate of speaker verification by the cosine of two embeddings, over pairs of the clips seen.

    Every clip is compared with those before it, up to ``memory`` of them, so that all pairs count while there are no
    more clips than that. In training, embeddings made by earlier weights of the same epoch are among them. The scores
    are kept as histograms: the rate is exact up to the width of a bin. NaN until there are pairs of both kinds.

    Args:
        embedding_size: ``config.xvector_output_dim``.
        memory: the clips to compare with.
        bins: the bins between the cosines -1 and 1.
    """

    def __init__(
        self,
        embedding_size: int,
        memory: int = 1024,
        bins: int = 2000,
        name: str = "eer",
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.embedding_size = embedding_size
        self.memory = memory
        self.bins = bins
        self.voices = self.add_count((memory, embedding_size), "voices")
        # Counted from 1: 0 is an empty place, as all variables are after a reset.
        self.speakers = self.add_count((memory,), "speakers")
        self.same = self.add_count((bins,), "same")
        self.different = self.add_count((bins,), "different")

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Compare the embeddings of a batch with each other and with those remembered.

        Args:
            labels: (batch,) the speakers; clips of negative ones do not count.
            output: ``embeddings`` (batch, embedding_size).
            sample_weight: not used.
        """
        voices = ops.normalize(ops.cast(output["embeddings"], "float32"), axis=-1)
        speakers = ops.maximum(ops.cast(labels, "float32") + 1.0, 0.0)
        # Every replica counts the pairs of its own clips, and remembers all.
        (batch_voices, batch_speakers), first = rows_of_all_replicas(voices, speakers)
        all_voices = ops.concatenate([self.voices, batch_voices], axis=0)
        all_speakers = ops.concatenate([self.speakers, batch_speakers], axis=0)
        clips, batch_clips = ops.shape(voices)[0], ops.shape(batch_voices)[0]
        cosines = ops.matmul(voices, ops.transpose(all_voices))
        place = ops.arange(self.memory + batch_clips, dtype="int32")
        own_place = self.memory + first + ops.arange(clips, dtype="int32")
        earlier = place[None, :] < own_place[:, None]
        counted = earlier & (speakers[:, None] > 0) & (all_speakers[None, :] > 0)
        same = speakers[:, None] == all_speakers[None, :]
        bin_of = ops.cast(ops.floor((cosines - _LOWEST) / _SPAN * self.bins), "int32")
        bin_of = ops.reshape(ops.clip(bin_of, 0, self.bins - 1), (-1,))
        for histogram, pairs in ((self.same, counted & same), (self.different, counted & ~same)):
            ones = ops.reshape(ops.cast(pairs, "float32"), (-1,))
            histogram.assign(histogram + ops.segment_sum(ones, bin_of, num_segments=self.bins))
        self.voices.assign(all_voices[batch_clips:])
        self.speakers.assign(all_speakers[batch_clips:])

    def result(self) -> Any:
        """The rate over the pairs so far, a float32 number."""
        misses = _share_of_bins_below(self.same)
        false_alarms = 1.0 - _share_of_bins_below(self.different)
        gap = false_alarms - misses
        after = ops.argmax(gap <= 0)
        way = gap[after - 1] / (gap[after - 1] - gap[after])
        return misses[after - 1] + way * (misses[after] - misses[after - 1])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        own = {"embedding_size": self.embedding_size, "memory": self.memory, "bins": self.bins}
        return super().get_config() | own


def _share_of_bins_below(histogram: Any) -> Any:
    """(bins + 1,): the share of all pairs before each bin; NaN without any."""
    return ops.pad(ops.cumsum(histogram), [[1, 0]]) / ops.sum(histogram)
