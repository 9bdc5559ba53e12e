"""Dense layers that learn by a product of two thin matrices beside a kernel that stays as it is (LoRA)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone import initializers


class LowRankDense(keras.layers.Dense):
    """``x @ kernel + bias + alpha / rank * dropout(x) @ a @ b`` (arXiv 2106.09685, section 4.1).

    ``a`` (inputs, rank) begins uniform and ``b`` (rank, units) as zeros, so that at first nothing changes. Keras's own
    ``enable_lora`` adds the product to the kernel in every step: that costs the gradient of a whole kernel, which is
    what is to be saved, and its files forget the two matrices.

    Args:
        dense: the layer whose kernel and bias this one takes over.
        rank: the width of the thin matrices.
        alpha: the weight of their product, which is divided by the rank.
        dropout: the share of the inputs that the thin matrices do not see in training.
    """

    def __init__(self, dense: keras.layers.Dense, rank: int, alpha: float, dropout: float) -> None:
        super().__init__(
            dense.units, use_bias=dense.bias is not None, name=dense.name, dtype=dense.dtype_policy
        )
        _take_over(self, dense)
        self.scale = alpha / rank
        self.dropout = keras.layers.Dropout(dropout, dtype=dense.dtype_policy)
        inputs = dense.kernel.shape[0]
        with ExitStack() as scopes:
            # So that the weights' paths lead through the layer's owners, as the kernel's does.
            for name in dense.kernel.path.split("/")[:-2]:
                scopes.enter_context(keras.name_scope(name))
            # Behind an underscore, because they are not among the weights that a checkpoint names.
            self._lora_a = self.add_weight(
                shape=(inputs, rank),
                initializer=initializers.uniform_fan_in(inputs),
                dtype="float32",
                name="lora_a",
            )
            self._lora_b = self.add_weight(
                shape=(rank, dense.units), initializer="zeros", dtype="float32", name="lora_b"
            )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """(batch, frames, inputs) to (batch, frames, units)."""
        thin = ops.matmul(self.dropout(inputs, training=training), self._lora_a)
        return super().call(inputs) + self.scale * ops.matmul(thin, self._lora_b)

    @property
    def low_rank(self) -> dict[str, keras.Variable]:
        """The two thin matrices by name."""
        return {"lora_a": self._lora_a, "lora_b": self._lora_b}

    def merged_kernel(self) -> Any:
        """The kernel of the Dense layer that computes the same, (inputs, units), in the kernel's dtype."""
        kernel = ops.convert_to_tensor(self.kernel)
        product = self.scale * ops.matmul(self._lora_a, self._lora_b)
        return ops.cast(ops.cast(kernel, "float32") + product, kernel.dtype)

    def without_low_rank(self) -> keras.layers.Dense:
        """A plain layer with this one's kernel and bias."""
        dense = keras.layers.Dense(
            self.units, use_bias=self.bias is not None, name=self.name, dtype=self.dtype_policy
        )
        _take_over(dense, self)
        return dense

    def save_own_variables(self, store: dict[str, Any]) -> None:
        """Keep the thin matrices apart from the kernel, so that training goes on from the file."""
        super().save_own_variables(store)
        for name, variable in self.low_rank.items():
            store[name] = ops.convert_to_numpy(variable)

    def load_own_variables(self, store: Mapping[str, Any]) -> None:
        """Take back what :meth:`save_own_variables` kept.

        Raises:
            ValueError: where there are no thin matrices: the file is of a model without them.
        """
        missing = [name for name in self.low_rank if name not in store.keys()]  # noqa: SIM118 - an HDF5 group is no dictionary
        if missing:
            raise ValueError(
                f"{self.path} learns by low-rank matrices, but the file has no {' and no '.join(missing)} for it: it "
                "was saved without LoRA; load it before enable_lora"
            )
        self.kernel.assign(store["0"])
        if self.bias is not None:
            self.bias.assign(store["1"])
        for name, variable in self.low_rank.items():
            variable.assign(store[name])


def _take_over(layer: keras.layers.Dense, old: keras.layers.Dense) -> None:
    """Make the weights of ``old`` those of ``layer``."""
    for weight in old.weights:
        # A layer remembers from the start which of its weights can be trained.
        weight.trainable = True
    layer._kernel, layer.bias, layer.built = old.kernel, old.bias, True


def low_rank_layers(owner: keras.layers.Layer) -> list[LowRankDense]:
    """Those inside a layer or model, in the order in which its parts were made."""
    return [layer for layer in owner._flatten_layers() if isinstance(layer, LowRankDense)]


def replace_dense(owner: keras.layers.Layer, name: str, layer: keras.layers.Dense) -> None:
    """Put another Dense layer in the place of the one that is an attribute of ``owner``."""
    # Setting an attribute leaves what it held before among the owner's layers, and so among its weights.
    owner._tracker.untrack(getattr(owner, name))
    setattr(owner, name, layer)
