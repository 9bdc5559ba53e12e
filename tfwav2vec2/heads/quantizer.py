"""Frames to entries of a learned codebook: the targets of pretraining."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.layers import ConfiguredLayer
from tfwav2vec2.config import Wav2Vec2Config

# Where the reference starts; its configuration does not tell.
INITIAL_TEMPERATURE = 2.0

# Keeps the logarithm of an unused entry finite (reference: ``_compute_perplexity``).
_UNUSED = 1e-7


class GumbelVectorQuantizer(ConfiguredLayer):
    """Product quantization: of each group of codevectors one is chosen, and the choices are joined.

    Training chooses by a Gumbel softmax (arXiv 1611.01144), hard going forward and soft going backward; evaluation
    takes the most probable entry. Source: arXiv 2006.11477, section 2; reference: ``Wav2Vec2GumbelVectorQuantizer``.

    ``temperature`` is a variable, so that compiled steps follow it, but no weight: checkpoints do not hold it, as the
    reference's do not. Keras's own files (``.keras``, ``.weights.h5``), from which training goes on, do.

    Raises:
        ValueError: where the groups cannot share ``config.codevector_dim`` equally.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.groups, self.entries = config.num_codevector_groups, config.num_codevectors_per_group
        if self.groups < 1 or config.codevector_dim % self.groups:
            raise ValueError(
                f"codevector_dim {config.codevector_dim} must be a multiple of num_codevector_groups {self.groups}: "
                "each group gives an equal part of a codevector"
            )
        width = config.codevector_dim // self.groups
        self.codevectors = self.add_weight(
            shape=(1, self.groups * self.entries, width),
            initializer=initializers.initial(keras.initializers.RandomUniform(0.0, 1.0)),
            name="codevectors",
        )
        self.temperature = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(INITIAL_TEMPERATURE),
            dtype="float32",
            trainable=False,
            autocast=False,
            name="temperature",
        )
        with keras.name_scope(self.name):
            self.weight_proj = self.make_dense(
                config.conv_dim[-1],
                self.groups * self.entries,
                "weight_proj",
                kernel_initializer=initializers.normal(1.0),
            )
        self.seed_generator = keras.random.SeedGenerator()

    @property
    def weights(self) -> list[keras.Variable]:
        """What a checkpoint holds: the temperature is not part of it."""
        return [weight for weight in super().weights if weight is not self.temperature]

    def call(self, features: Any, counted: Any = None, training: bool = False) -> tuple[Any, Any, Any]:
        """Quantize normalised features.

        Args:
            features: (batch, frames, conv_dim[-1]).
            counted: (batch, frames), true for the frames whose perplexity is taken; all by default.
            training: whether entries are drawn rather than the most probable ones taken.

        Returns:
            The quantized features (batch, frames, codevector_dim); the entries chosen (batch, frames, groups) int32;
            the perplexity, a float32 number between ``groups`` and ``groups * entries``: how many entries are in use. In
            training it is that of the probabilities without noise, which can be differentiated.
        """
        logits = self.weight_proj(features)
        shape = (*ops.shape(logits)[:2], self.groups, self.entries)
        logits = ops.cast(ops.reshape(logits, shape), "float32")
        noise = gumbel_noise(shape, self.seed_generator) if training else None
        quantized, codes = self.choose(logits, noise)
        if training:
            probabilities = ops.softmax(logits, axis=-1)
        else:
            probabilities = ops.one_hot(codes, self.entries, dtype="float32")
        return quantized, codes, perplexity(probabilities, counted)

    def choose(self, logits: Any, noise: Any = None) -> tuple[Any, Any]:
        """The codevectors (batch, frames, codevector_dim) and the indices (batch, frames, groups) of the entries chosen.

        Args:
            logits: (batch, frames, groups, entries) float32.
            noise: Gumbel noise of the same shape, which makes the choice a draw whose gradient is that of the soft
                probabilities; without it the choice has no gradient.
        """
        scores = logits if noise is None else logits + noise
        codes = ops.cast(ops.argmax(scores, axis=-1), "int32")
        table = ops.reshape(self.codevectors, (self.groups * self.entries, -1))
        # Looked up rather than multiplied by one-hot rows: exact on any accelerator, the same bits for the same entry.
        rows = codes + self.entries * ops.arange(self.groups, dtype="int32")
        chosen = ops.take(table, rows, axis=0)
        if noise is not None:
            soft = ops.cast(ops.softmax(scores / self.temperature, axis=-1), table.dtype)
            groups = ops.reshape(table, (self.groups, self.entries, -1))
            blend = ops.einsum("btgv,gvd->btgd", soft, ops.stop_gradient(groups))
            # Zero, with the gradient of the soft choice (the straight-through estimator).
            chosen = chosen + (blend - ops.stop_gradient(blend))
        return ops.reshape(chosen, (*ops.shape(codes)[:2], self.config.codevector_dim)), codes


def gumbel_noise(shape: tuple[Any, ...], seed_generator: keras.random.SeedGenerator) -> Any:
    """Standard Gumbel noise, float32: added to logits, it makes their argmax a draw from their softmax."""
    smallest = float(np.finfo("float32").tiny)
    uniform = keras.random.uniform(shape, smallest, 1.0, dtype="float32", seed=seed_generator)
    return -ops.log(-ops.log(uniform))


def perplexity(probabilities: Any, counted: Any = None) -> Any:
    """exp(entropy) of the mean distribution of each group, summed over the groups (as in 4.57's quantizer).

    Args:
        probabilities: (batch, frames, groups, entries) float32.
        counted: (batch, frames), true for the frames to average over; all by default.
    """
    if counted is None:
        mean = ops.mean(probabilities, axis=(0, 1))
    else:
        counted = ops.cast(counted, "bool")
        total = ops.sum(ops.where(counted[:, :, None, None], probabilities, 0.0), axis=(0, 1))
        # Without a single frame the answer is the smallest perplexity, not NaN.
        mean = total / ops.maximum(ops.sum(ops.cast(counted, "float32")), 1.0)
    return ops.sum(ops.exp(-ops.sum(mean * ops.log(mean + _UNUSED), axis=-1)))
