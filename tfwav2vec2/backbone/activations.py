"""The reference's activation functions by their names in ``config.json`` (reference: ``ACT2FN``).

Two more hold weights of their own: see :mod:`tfwav2vec2.backbone.trainable_activations`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from keras import ops

from tfwav2vec2.backbone.lean_gradients import gelu

Activation = Callable[[Any], Any]


def _gelu_tanh(x: Any) -> Any:
    return ops.gelu(x, approximate=True)


def _quick_gelu(x: Any) -> Any:
    return x * ops.sigmoid(1.702 * x)


def _gelu_10(x: Any) -> Any:
    return ops.clip(gelu(x), -10.0, 10.0)


def _laplace(x: Any) -> Any:
    mean, deviation = 0.707107, 0.282095
    return 0.5 * (1.0 + ops.erf((x - mean) / (deviation * math.sqrt(2.0))))


def _mish(x: Any) -> Any:
    return x * ops.tanh(ops.softplus(x))


def _relu_squared(x: Any) -> Any:
    return ops.square(ops.relu(x))


ACTIVATIONS: dict[str, Activation] = {
    "gelu": gelu,
    "gelu_10": _gelu_10,
    "gelu_accurate": _gelu_tanh,
    "gelu_fast": _gelu_tanh,
    "gelu_new": _gelu_tanh,
    "gelu_python": gelu,
    "gelu_python_tanh": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "laplace": _laplace,
    "leaky_relu": lambda x: ops.leaky_relu(x, negative_slope=0.01),
    "linear": lambda x: x,
    "mish": _mish,
    "quick_gelu": _quick_gelu,
    "relu": ops.relu,
    "relu2": _relu_squared,
    "relu6": ops.relu6,
    "sigmoid": ops.sigmoid,
    "silu": ops.silu,
    "swish": ops.silu,
    "tanh": ops.tanh,
}


def activation(name: str) -> Activation:
    """The function that ``hidden_act`` or ``feat_extract_activation`` names.

    Raises:
        ValueError: for a name that the reference does not have either.
    """
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise ValueError(
            f"There is no activation {name!r}; choose one of {', '.join(ACTIVATIONS)}, prelu, xielu"
        ) from None
