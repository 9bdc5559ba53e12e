"""One model over several devices (JAX): each holds a part of every transformer layer's heads and inner features.

The division is that of Megatron-LM (arXiv 1909.08053, section 3): what reads the residual stream is divided by its
outputs, what writes to it by its inputs, so that a layer needs one sum over the devices after attention and one after
the feed-forward block. Everything else, a tenth of a base model's weights, is on every device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras

# The layers that are divided by their outputs, and by their inputs.
_BY_OUTPUTS = ("attention/q_proj", "attention/k_proj", "attention/v_proj", "feed_forward/intermediate_dense")
_BY_INPUTS = ("attention/out_proj", "feed_forward/output_dense")


class TransformerParallel(keras.distribution.ModelParallel):
    """A ``keras.distribution.ModelParallel`` for the models of this package, which says what it could not divide.

    Args:
        devices: the names of the devices, by default all.
        model_shards: how many devices hold one model, by default all. Where there are more devices, the rows of
            every batch are divided among as many models as there is room for.

    Raises:
        ValueError: for a number of shards that does not divide the number of devices.
    """

    def __init__(self, *, devices: Sequence[str] | None = None, model_shards: int | None = None) -> None:
        devices = list(devices) if devices is not None else keras.distribution.list_devices()
        shards = len(devices) if model_shards is None else model_shards
        if shards < 1 or len(devices) % shards:
            raise ValueError(
                f"A model cannot be divided among {shards} of {len(devices)} devices; model_shards must divide the "
                "number of devices"
            )
        mesh = keras.distribution.DeviceMesh((len(devices) // shards, shards), ("batch", "model"), devices)
        self.layout_map = keras.distribution.LayoutMap(mesh)
        for part in _BY_OUTPUTS:
            self.layout_map[f".*/{part}/kernel"] = (None, "model")
            self.layout_map[f".*/{part}/bias"] = ("model",)
        for part in _BY_INPUTS:
            self.layout_map[f".*/{part}/kernel"] = ("model", None)
        super().__init__(layout_map=self.layout_map, batch_dim_name="batch", auto_shard_dataset=False)

    @property
    def model_shards(self) -> int:
        """How many devices hold one model."""
        return self.device_mesh.shape[1]

    def check(self, model: Any) -> None:
        """Make sure that every weight lies where it should.

        Keras replicates a weight that no key of the map matches and says nothing, so a renamed layer would cost its
        whole memory on every device.

        Raises:
            ValueError: for a key that matches no weight of the model, attention heads that devices would have to share,
                and a weight that lies otherwise, because it was made outside the scope.
        """
        heads = model.config.num_attention_heads
        if heads % self.model_shards:
            raise ValueError(
                f"The model has {heads} attention heads, which {self.model_shards} devices cannot divide evenly; choose "
                "another number of model_shards"
            )
        for key in self.layout_map:
            if not any(re.fullmatch(key, variable.path) for variable in model.variables):
                raise ValueError(
                    f"No weight of {type(model).__name__} is called {key}, so that nothing is divided by it; the layout "
                    "must follow the names of the model's weights"
                )
        for variable in model.variables:
            wanted = shard_shape(self, variable)
            sharding = variable.value.sharding
            if sharding.device_set != self.devices or sharding.shard_shape(variable.value.shape) != wanted:
                raise ValueError(
                    f"{variable.path} lies on {len(sharding.device_set)} devices in parts of "
                    f"{sharding.shard_shape(variable.value.shape)}, and not on {len(self.devices)} in parts of {wanted}; "
                    "make the model inside the scope of the strategy"
                )

    @property
    def devices(self) -> set[Any]:
        """The devices, as JAX knows them."""
        return set(self.device_mesh.backend_mesh.devices.flat)


def shard_shape(distribution: keras.distribution.ModelParallel, variable: Any) -> tuple[int, ...]:
    """The shape of the part of a variable that one device holds under a distribution."""
    mesh = distribution.device_mesh
    sizes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
    axes = distribution.get_variable_layout(variable).axes
    return tuple(size // sizes.get(axis, 1) for size, axis in zip(variable.shape, axes, strict=True))
