"""The losses that models are trained with."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfwav2vec2.backbone.lengths import valid_mask
from tfwav2vec2.metrics.token_sequences import to_front
from tfwav2vec2.training.analytic_gradient import with_analytic_gradient
from tfwav2vec2.training.ctc import IMPOSSIBLE, ctc_loss_and_gradient, needed_frames

REDUCTIONS = ("none", "sum", "mean")

_differentiable_ctc = with_analytic_gradient(ctc_loss_and_gradient)


def ctc_loss(
    logits: Any,
    labels: Any,
    logit_lengths: Any = None,
    label_lengths: Any = None,
    *,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """The connectionist temporal classification loss, -log p(labels | logits), of a batch of clips.

    Source: Graves et al. 2006; the arguments mean what they mean in the loss of the reference's `Wav2Vec2ForCTC`.

    A target is impossible if its clip has too few frames for it (one a label, and a blank between equal neighbours)
    or if every way to spell it meets a logit of -inf. Its loss is infinite and its gradient zero (torch's is NaN): the
    loss shows it, and the weights stay sound. Frames behind the end of a clip have a gradient of zero, whatever they hold.

    Args:
        logits: (batch, frames, vocab), unnormalised, of any float type; the sums are done in float32.
        labels: (batch, labels) integers. Negative ones are padding, wherever they stand. One that equals `blank` is
            a symbol of the target like any other.
        logit_lengths: (batch,) integers, the valid frames of each clip; all frames by default.
        label_lengths: (batch,) integers, the columns of `labels` to read; all columns by default.
        blank: the index of the blank symbol, a tokenizer's padding token.
        reduction: "none", a loss for each clip; "sum" over the clips; or "mean": each loss is divided by the length
            of its target (at least 1), then the clips are averaged.
        zero_infinity: the loss of an impossible target is zero.

    Returns:
        float32, (batch,) for the reduction "none", else (). It can be differentiated once.

    Raises:
        ValueError: an unknown reduction, shapes that do not fit together, a blank or a label outside the vocabulary,
            a length that is negative or longer than what it measures. In compiled code labels and lengths have no
            values to check: there such a label makes its clip's loss NaN (with a gradient of zero), and
            lengths are clipped.
        TypeError: logits that are not floats, labels or lengths that are not integers.
    """
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction is {reduction!r}: it must be one of {', '.join(REDUCTIONS)}.")
    logits = _tensor("logits", logits, ("batch", "frames", "vocab"), "float")
    labels = _tensor("labels", labels, ("batch", "labels"), "int")
    vocab = logits.shape[2]
    if vocab is None:
        raise ValueError(
            "logits have a vocabulary of unknown size: give the last axis of the traced shape a number."
        )
    if not 0 <= blank < vocab:
        raise ValueError(f"blank is {blank}: it must be a symbol of the vocabulary, 0 to {vocab - 1}.")
    logit_lengths = _lengths("logit_lengths", logit_lengths, logits, "frames of logits")
    label_lengths = _lengths("label_lengths", label_lengths, labels, "columns of labels")
    clips = [tensor.shape[0] for tensor in (logits, labels, logit_lengths, label_lengths)]
    if len({*clips} - {None}) > 1:
        raise ValueError(
            f"logits, labels and their lengths have {clips} rows: they must have one for each clip."
        )
    labels, label_lengths = _compact(labels, label_lengths)
    highest = np.max(_known(labels), initial=0)
    if highest >= vocab:
        raise ValueError(f"labels hold {highest}: the vocabulary of the logits ends at {vocab - 1}.")
    outside = ops.any(labels >= vocab, axis=1)
    labels = ops.minimum(labels, vocab - 1)

    loss = _differentiable_ctc(logits, labels, logit_lengths, label_lengths, ops.cast(blank, "int32"))
    # The count decides. The comparison is for logits of -inf, which can close every path of a clip that is long enough.
    impossible = (needed_frames(labels, label_lengths) > logit_lengths) | (loss > -0.5 * IMPOSSIBLE)
    # `where` passes no gradient on to what it replaces.
    loss = ops.where(impossible, 0.0 if zero_infinity else np.inf, loss)
    loss = ops.where(outside, np.nan, loss)
    if reduction == "sum":
        return ops.sum(loss)
    if reduction == "mean":
        return ops.mean(loss / ops.cast(ops.maximum(label_lengths, 1), "float32"))
    return loss


def _tensor(name: str, values: Any, axes: tuple[str, ...], kind: str) -> Any:
    """`values` as a float32 or int32 tensor with these axes."""
    if not ops.is_tensor(values):
        values = np.asarray(values)
    dtype = keras.backend.standardize_dtype(values.dtype)
    if kind not in dtype:
        raise TypeError(f"{name} are of the type {dtype}: they must be {kind}s.")
    if len(values.shape) != len(axes):
        raise ValueError(f"{name} have the shape {tuple(values.shape)}: it must be ({', '.join(axes)}).")
    return ops.convert_to_tensor(values, f"{kind}32")


def _known(values: Any) -> np.ndarray:
    """The values of a tensor; none if it is a symbol of code that is being compiled."""
    try:
        return ops.convert_to_numpy(values)
    except (TypeError, NotImplementedError):
        return np.zeros(0, "int32")


def _lengths(name: str, lengths: Any, measured: Any, meaning: str) -> Any:
    """(batch,) int32 lengths along axis 1 of `measured` (batch, n, ...), by default n."""
    batch, longest = ops.shape(measured)[:2]
    if lengths is None:
        return ops.cast(ops.broadcast_to(longest, (batch,)), "int32")
    lengths = _tensor(name, lengths, ("batch",), "int")
    known_longest = np.inf if measured.shape[1] is None else measured.shape[1]
    for length in _known(lengths):
        if not 0 <= length <= known_longest:
            raise ValueError(f"{name} hold {length}: there are {known_longest} {meaning}.")
    return ops.clip(lengths, 0, longest)


def _compact(labels: Any, label_lengths: Any) -> tuple[Any, Any]:
    """Move what counts of each row to its front: the labels, then zeros, and how many labels there are.

    A column of padding comes in first, so that there is one: a lattice without any label is not an array that all
    operations accept.
    """
    labels = ops.pad(labels, [[0, 0], [0, 1]], constant_values=-1)
    return to_front(labels, (labels >= 0) & valid_mask(label_lengths, ops.shape(labels)[1]))
