"""Fine-tuning by a small share of new weights: LoRA on the encoder's attention and feed-forward (arXiv 2106.09685)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras

from tfwav2vec2.backbone.low_rank import LowRankDense, low_rank_layers, replace_dense
from tfwav2vec2.backbone.trainable import backbone_of, head_weights

ATTENTION = ("k_proj", "v_proj", "q_proj", "out_proj")
FEED_FORWARD = ("intermediate_dense", "output_dense")


@dataclass(frozen=True)
class LoraSettings:
    """What :func:`enable_lora` was asked for."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    dropout: float


@dataclass(frozen=True)
class TrainableShare:
    """How many of a model's weights training changes, in numbers."""

    trainable: int
    total: int

    @classmethod
    def of(cls, model: keras.Model) -> TrainableShare:
        """Count them."""
        sizes = [(math.prod(weight.shape), weight.trainable) for weight in model.weights]
        return cls(sum(size for size, trainable in sizes if trainable), sum(size for size, _ in sizes))

    def __str__(self) -> str:
        return f"{self.trainable:,} of {self.total:,} weights are trained ({self.trainable / self.total:.2%})"


def enable_lora(
    model: Any,
    rank: int = 8,
    alpha: float | None = None,
    targets: Sequence[str] = ATTENTION + FEED_FORWARD,
    dropout: float = 0.0,
) -> TrainableShare:
    """Let a model learn by thin matrices beside the encoder's dense layers, and by its head; all else stays as it is.

    The model computes what it computed before, until it is trained. Call it before ``compile``; a model that was
    compiled has to be compiled again. ``save_pretrained`` writes the weights merged, as a plain model that the reference
    loads; :func:`~tfwav2vec2.training.lora_files.save_lora` writes what was learnt alone.

    Args:
        model: a model with or without a head.
        rank: the width of the thin matrices.
        alpha: the weight of their product, which is divided by the rank; the rank by default, so that it counts in full.
        targets: the names of the layers inside the encoder's layers that get them.
        dropout: the share of the inputs that the thin matrices do not see in training.

    Returns:
        How many weights training changes.

    Raises:
        ValueError: for a target that no layer of the encoder is called, a rank or alpha that is not above 0, a dropout
            outside of 0 to 1, or a model that has LoRA already.
    """
    settings = LoraSettings(rank, rank if alpha is None else alpha, tuple(targets), dropout)
    _check(model, settings)
    for owner, name in list(_dense_layers(model)):
        if name in settings.targets:
            dense = getattr(owner, name)
            replace_dense(owner, name, LowRankDense(dense, settings.rank, settings.alpha, settings.dropout))
    model.lora = settings
    thin = [weight for layer in low_rank_layers(model) for weight in layer.low_rank.values()]
    model.train_only([*thin, *head_weights(model)])
    model.forget_compiled()
    return TrainableShare.of(model)


def merge_lora(model: Any) -> None:
    """Add what the thin matrices learnt to the kernels, and make the model a plain one whose weights all train.

    Raises:
        ValueError: for a model without LoRA.
    """
    check_has_lora(model)
    for owner, name in list(_dense_layers(model)):
        layer = getattr(owner, name)
        if isinstance(layer, LowRankDense):
            layer.kernel.assign(layer.merged_kernel())
            replace_dense(owner, name, layer.without_low_rank())
    model.lora = None
    model.train_only(model.weights)
    model.forget_compiled()


def check_has_lora(model: Any) -> None:
    """Refuse a model that has no thin matrices."""
    if model.lora is None:
        raise ValueError(f"This {type(model).__name__} has no LoRA; call enable_lora first")


def _dense_layers(model: Any) -> Iterator[tuple[keras.layers.Layer, str]]:
    """The dense layers inside the encoder's layers, each as its owner and its name there."""
    for layer in backbone_of(model).encoder.layers:
        for owner in layer._flatten_layers():
            for name, value in list(vars(owner).items()):
                if isinstance(value, keras.layers.Dense):
                    yield owner, name


def _check(model: Any, settings: LoraSettings) -> None:
    if model.lora is not None:
        raise ValueError(
            f"This {type(model).__name__} has LoRA of rank {model.lora.rank} already; merge_lora makes it a plain model"
        )
    if not (settings.rank >= 1 and settings.alpha > 0 and 0 <= settings.dropout < 1):
        raise ValueError(
            f"LoRA needs a rank of 1 or more, an alpha above 0 and a dropout from 0 to below 1; got {asdict(settings)}"
        )
    names = {name for _, name in _dense_layers(model)}
    unknown = [target for target in settings.targets if target not in names]
    if unknown or not settings.targets:
        raise ValueError(
            f"targets are {settings.targets}; the layers inside the encoder's layers are {', '.join(sorted(names))}"
        )
