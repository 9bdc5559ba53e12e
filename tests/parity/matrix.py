"""What is compared with the reference: every class in every variant of the architecture that it can have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.tiny import TINY

# Training must be the same twice.
NOTHING_RANDOM = {
    "hidden_dropout": 0.0,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "feat_quantizer_dropout": 0.0,
    "final_dropout": 0.0,
    "layerdrop": 0.0,
}
STABLE = {"do_stable_layer_norm": True}
LAYER = {"feat_extract_norm": "layer"}
LARGE_STYLE = {**LAYER, **STABLE, "conv_bias": True, "ctc_loss_reduction": "mean"}

VARIANTS: dict[str, dict[str, Any]] = {
    "group norm, post-norm (base)": {},
    "group norm, stable": STABLE,
    "layer norm, post-norm": {**LAYER, "ctc_zero_infinity": True},
    "layer norm, stable, conv bias (large, XLS-R)": LARGE_STYLE,
    "weighted sum of layers": {**LARGE_STYLE, "use_weighted_layer_sum": True},
    # So few layers leave the x-vector, and the labels of CTC, as many frames as they need.
    "conv adapter": {**LARGE_STYLE, "add_adapter": True, "num_adapter_layers": 1},
    "conv adapter, projected": {
        **LARGE_STYLE,
        "add_adapter": True,
        "num_adapter_layers": 2,
        "output_hidden_size": 24,
    },
    "language adapter (MMS)": {**LARGE_STYLE, "adapter_attn_dim": 16},
}
ARCHITECTURES = tuple(VARIANTS)[:4]
ADAPTERS = ("conv adapter", "conv adapter, projected")

CLASSES: dict[str, tuple[str, ...]] = {
    "Model": (*ARCHITECTURES, *ADAPTERS, "language adapter (MMS)"),
    "ForCTC": (*ARCHITECTURES, *ADAPTERS, "language adapter (MMS)"),
    "ForSequenceClassification": (*ARCHITECTURES, "weighted sum of layers"),
    "ForAudioFrameClassification": (*ARCHITECTURES, "weighted sum of layers"),
    "ForXVector": (*ARCHITECTURES, "weighted sum of layers", "conv adapter"),
    "ForPreTraining": ARCHITECTURES,
}

BACKENDS = ("tensorflow", "jax", "torch")


@dataclass(frozen=True)
class Row:
    """One class in one variant; the class is named as in ``Wav2Vec2<task>``."""

    task: str
    variant: str


ROWS = tuple(Row(task, variant) for task, variants in CLASSES.items() for variant in variants)


@dataclass(frozen=True)
class Size:
    """How large the models are, what they hear, and how far outputs may differ."""

    fields: dict[str, Any]
    samples: int
    lengths: tuple[int, int]
    output_limit: float


SIZES = {
    "tiny": Size(
        fields={
            **TINY,
            # Narrow layers need larger weights to make anything of what they hear.
            "initializer_range": 0.3,
            "num_codevectors_per_group": 8,
            "num_negatives": 5,
            "codevector_dim": 8,
            "proj_codevector_dim": 8,
            "tdnn_dim": [8, 8, 8, 8, 12],
            "xvector_output_dim": 8,
            "classifier_proj_size": 8,
        },
        samples=2_000,
        lengths=(2_000, 1_331),
        output_limit=1e-5,
    ),
    "base": Size(fields={}, samples=16_000, lengths=(16_000, 10_431), output_limit=1e-4),
}
LOSS_LIMIT = 1e-5  # of the loss
GRADIENT_RELATIVE, GRADIENT_OF_LARGEST = 1e-3, 1e-6
