"""The best path through CTC logits: the likeliest token of each frame, collapsed to text."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfwav2vec2.batching import to_numpy
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer


def best_path(logits: Any, frame_lengths: Any = None) -> list[np.ndarray]:
    """The likeliest token of each valid frame.

    Args:
        logits: (batch, frames, vocab).
        frame_lengths: (batch,), how many frames of each row are valid; all by default.

    Returns:
        For each row its ids (valid frames,).

    Raises:
        ValueError: for another shape, or a length outside the frames.
    """
    logits = to_numpy(logits)
    if logits.ndim != 3:
        raise ValueError(f"Logits must have the shape (batch, frames, vocab); got {logits.shape}")
    batch, frames, _ = logits.shape
    lengths = np.full(batch, frames) if frame_lengths is None else to_numpy(frame_lengths)
    if lengths.shape != (batch,) or ((lengths < 0) | (lengths > frames)).any():
        raise ValueError(
            f"frame_lengths must be {batch} numbers between 0 and {frames}, one for each row; got {lengths.tolist()}"
        )
    return [scores[:length].argmax(-1) for scores, length in zip(logits, lengths, strict=True)]


def best_probability(logits: np.ndarray) -> np.ndarray:
    """The probability (frames,) of the likeliest label of each frame, from logits (frames, vocab)."""
    # One over the sum of all, each as a share of the largest.
    return 1.0 / np.exp(logits - logits.max(-1, keepdims=True)).sum(-1)


def greedy_decode(
    logits: Any,
    frame_lengths: Any,
    tokenizer: Wav2Vec2CTCTokenizer,
    *,
    output_char_offsets: bool = False,
    output_word_offsets: bool = False,
) -> Any:
    """The texts along the best paths.

    Special tokens are not skipped: that would drop blanks before equal neighbours are merged, and lose doubled letters.

    Args:
        logits: (batch, frames, vocab), finite in the valid frames.
        frame_lengths: (batch,), how many frames of each row are valid; None for all.
        tokenizer: turns frames into text.
        output_char_offsets: whether to return the characters' frames.
        output_word_offsets: whether to return the words' frames.

    Returns:
        What :meth:`Wav2Vec2CTCTokenizer.batch_decode` returns: a list of texts, or with offsets one output object.

    Raises:
        ValueError: as :func:`best_path` does.
    """
    return tokenizer.batch_decode(
        best_path(logits, frame_lengths),
        output_char_offsets=output_char_offsets,
        output_word_offsets=output_word_offsets,
    )
