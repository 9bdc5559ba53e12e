"""The two activation functions of the reference that hold weights of their own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfwav2vec2.backbone import initializers


class PReLU(keras.layers.Layer):
    """``x`` where positive, ``weight * x`` where not; ``weight`` (1,) begins at 0.25 (torch's ``PReLU``)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        start = initializers.initial(keras.initializers.Constant(0.25))
        self.weight = self.add_weight(shape=(1,), initializer=start, name="weight")
        self.built = True

    def call(self, x: Any) -> Any:
        """Any shape to the same shape."""
        return ops.where(x > 0, x, self.weight * x)


class XIELU(keras.layers.Layer):
    """An integral of ELU with a trainable slope on either side (arXiv 2411.13010; reference: ``XIELUActivation``).

    ``alpha_p`` and ``alpha_n`` (1,) pass a softplus; ``beta`` and ``eps`` are constants that checkpoints hold too.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        slope, beta, epsilon = 0.8, 0.5, -1e-6

        def weight(name: str, shape: tuple[int, ...], value: float, *, trainable: bool) -> keras.Variable:
            start = initializers.initial(keras.initializers.Constant(value))
            return self.add_weight(shape=shape, initializer=start, name=name, trainable=trainable)

        self.alpha_p = weight("alpha_p", (1,), float(np.log(np.expm1(slope))), trainable=True)
        self.alpha_n = weight("alpha_n", (1,), float(np.log(np.expm1(slope - beta))), trainable=True)
        self.beta = weight("beta", (), beta, trainable=False)
        self.eps = weight("eps", (), epsilon, trainable=False)
        self.built = True

    def call(self, x: Any) -> Any:
        """Any shape to the same shape."""
        positive = ops.softplus(self.alpha_p) * x * x
        negative = (ops.expm1(ops.minimum(x, self.eps)) - x) * (self.beta + ops.softplus(self.alpha_n))
        return ops.where(x > 0, positive, negative) + self.beta * x


TRAINABLE_ACTIVATIONS: dict[str, type[keras.layers.Layer]] = {"prelu": PReLU, "xielu": XIELU}
