"""The two losses of pretraining (arXiv 2006.11477, section 3.2): tell the true target, and use the whole codebook."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

# A vector shorter than this counts as having this length, as in torch's cosine_similarity.
_SHORTEST = 1e-8

# As far apart can two computations of the same similarity, divided by a temperature, be.
_ROUNDING = 1e-4


def candidate_logits(
    predicted: Any,
    targets: Any,
    codes: Any,
    negative_indices: Any,
    *,
    temperature: float = 0.1,
    within_utterance: bool = False,
) -> Any:
    """Each frame's similarity to its own target and to its negatives, divided by the temperature.

    Similarities are cosines, in float32. A negative that has the positive's codes is the positive's equal and is left
    out. (The reference compares the projected targets, which are equal where the codes are, up to rounding.)

    Similarities are entries of a matrix of all pairs, rather than products with gathered negatives, which are `channels`
    times as large: the memory is that of frames x (frames + num_negatives) numbers for each utterance with
    `within_utterance`, else frames and negatives of the whole batch count as one utterance.

    Args:
        predicted: (batch, frames, channels), the context network's projection.
        targets: (batch, frames, channels), the projected quantized features.
        codes: (batch, frames, groups) integers, the codebook entries that each target was made from.
        negative_indices: (batch, frames, num_negatives) integers in [0, batch * frames), row * frames + frame.
        temperature: what the similarities are divided by.
        within_utterance: whether the negatives of every frame are known to lie in its own row.

    Returns:
        (batch, frames, 1 + num_negatives) float32, the positive first; -inf for negatives that are left out.
    """
    positive = ops.sum(_unit(predicted) * _unit(targets), axis=-1, keepdims=True)
    negatives = _similarities(_unit(predicted), _unit(targets), negative_indices, within_utterance)
    negatives = ops.where(_same_codes(codes, negative_indices), -np.inf, negatives)
    return ops.concatenate([positive, negatives], axis=-1) / temperature


def contrastive_loss(logits: Any, mask_time_indices: Any) -> Any:
    """-log softmax of each hidden frame's similarity to its own target among the negatives, summed over hidden frames.

    Equation 3 of the paper; reference: the contrastive loss of ``Wav2Vec2ForPreTraining``.

    Args:
        logits: what :func:`candidate_logits` returns.
        mask_time_indices: (batch, frames), true for the hidden frames, which count.

    Returns:
        A float32 number.
    """
    losses = -ops.log_softmax(logits, axis=-1)[:, :, 0]
    return ops.sum(ops.where(ops.cast(mask_time_indices, "bool"), losses, 0.0))


def contrastive_counts(logits: Any, mask_time_indices: Any) -> tuple[Any, Any]:
    """How many hidden frames are more similar to their own target than to every negative, and how many could be.

    Equal similarities do not count as right, so that vectors which have all become one score nothing; frames without
    any negative that is not left out have nothing to be told from and do not count at all. (fairseq's accuracy counts
    the latter as right.)

    Args:
        logits: what :func:`candidate_logits` returns.
        mask_time_indices: (batch, frames), true for the hidden frames.

    Returns:
        Two float32 numbers.
    """
    best = ops.max(logits[:, :, 1:], axis=-1)
    told = ops.cast(mask_time_indices, "bool") & (best > -np.inf)
    right = told & (logits[:, :, 0] > best + _ROUNDING)
    return ops.sum(ops.cast(right, "float32")), ops.sum(ops.cast(told, "float32"))


def diversity_loss(perplexity: Any, num_codevectors: int, mask_time_indices: Any) -> Any:
    """The share of the codebook that is not in use, times the number of hidden frames.

    Equation 4 of the paper in the form of the reference: (GV - perplexity) / GV for a codebook of GV entries.

    Args:
        perplexity: a number between the groups and the entries of the codebook.
        num_codevectors: the entries of all groups together.
        mask_time_indices: (batch, frames), true for the hidden frames.

    Returns:
        A float32 number.
    """
    unused = (num_codevectors - perplexity) / num_codevectors
    return unused * ops.sum(ops.cast(mask_time_indices, "float32"))


def contrastive_logits(
    target_features: Any, negative_features: Any, predicted_features: Any, temperature: float = 0.1
) -> Any:
    """Cosine similarities, divided by the temperature, of predictions to a target and to gathered negatives.

    Args:
        target_features: (1, batch, frames, channels).
        negative_features: (num_negatives, batch, frames, channels).
        predicted_features: (batch, frames, channels).
        temperature: what the similarities are divided by.

    Returns:
        (1 + num_negatives, batch, frames) float32, the target first.
    """
    candidates = ops.concatenate([target_features, negative_features], axis=0)
    return ops.sum(_unit(predicted_features) * _unit(candidates), axis=-1) / temperature


def _unit(vectors: Any) -> Any:
    """Vectors of length one, float32. One of length zero stays zero, with a finite gradient."""
    vectors = ops.cast(vectors, "float32")
    square = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(square, _SHORTEST**2))


def _similarities(predicted: Any, targets: Any, indices: Any, within_utterance: bool) -> Any:
    """(batch, frames, num_negatives): products of each frame's prediction and the targets at its indices."""
    batch, frames, channels = ops.shape(predicted)
    indices = ops.cast(indices, "int32")
    if within_utterance:
        indices = indices - frames * ops.arange(batch, dtype="int32")[:, None, None]
    else:
        predicted, targets = (ops.reshape(x, (1, batch * frames, channels)) for x in (predicted, targets))
    pairs = ops.matmul(predicted, ops.transpose(targets, (0, 2, 1)))
    shape = ops.shape(indices)
    places = ops.reshape(indices, (*ops.shape(pairs)[:2], shape[2]))
    return ops.reshape(ops.take_along_axis(pairs, places, axis=2), shape)


def _same_codes(codes: Any, indices: Any) -> Any:
    """(batch, frames, num_negatives): whether the target at each index has the frame's own codes in all groups."""
    same = [
        ops.equal(ops.take(ops.reshape(codes[:, :, group], (-1,)), indices), codes[:, :, group, None])
        for group in range(codes.shape[2])
    ]
    return ops.all(ops.stack(same), axis=0)
