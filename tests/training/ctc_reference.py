"""CTC in float64 by the textbook: every path written out, and the forward recursion over 2U + 1 states."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    logits = np.asarray(logits, "float64")
    high = logits.max(-1, keepdims=True)
    return logits - high - np.log(np.exp(logits - high).sum(-1, keepdims=True))


def loss_by_enumeration(logits: np.ndarray, target: Sequence[int], blank: int = 0) -> float:
    """-log of the sum of the probabilities of every path that spells the target; logits (frames, vocab)."""
    log_probs = log_softmax(logits)
    frames, vocab = log_probs.shape
    total = 0.0
    for path in itertools.product(range(vocab), repeat=frames):
        if [symbol for symbol, _ in itertools.groupby(path) if symbol != blank] == list(target):
            total += np.exp(log_probs[range(frames), path].sum())
    return -np.log(total) if total else np.inf


def loss(logits: np.ndarray, target: Sequence[int], blank: int = 0) -> float:
    """The same by dynamic programming; logits (frames, vocab). A target may hold the blank."""
    log_probs = log_softmax(logits)
    extended = np.full(2 * len(target) + 1, blank)
    extended[1::2] = target
    skips = np.zeros(len(extended), bool)
    skips[3::2] = extended[3::2] != extended[1:-2:2]
    alpha = np.full(len(extended), -np.inf)
    alpha[0] = 0.0  # before the first frame, on the first blank
    for frame in log_probs:
        one = np.concatenate([[-np.inf], alpha[:-1]])
        two = np.where(skips, np.concatenate([[-np.inf, -np.inf], alpha[:-2]])[: len(alpha)], -np.inf)
        alpha = np.logaddexp(np.logaddexp(alpha, one), two) + frame[extended]
    return -np.logaddexp.reduce(alpha[-2:])


def gradient(logits: np.ndarray, target: Sequence[int], blank: int = 0, step: float = 1e-5) -> np.ndarray:
    """The derivative of the loss by central differences."""
    result = np.zeros(logits.shape)
    for index in np.ndindex(*logits.shape):
        shift = np.zeros(logits.shape)
        shift[index] = step
        result[index] = (loss(logits + shift, target, blank) - loss(logits - shift, target, blank)) / (
            2 * step
        )
    return result
