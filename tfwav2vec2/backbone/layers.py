"""What the layers of the backbone have in common: a configuration, and weights that exist from the constructor on."""

from __future__ import annotations

from typing import Any

import keras

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.activations import activation
from tfwav2vec2.backbone.norms import LayerNorm
from tfwav2vec2.backbone.trainable_activations import TRAINABLE_ACTIVATIONS
from tfwav2vec2.config import Wav2Vec2Config


class PartMaker:
    """Gives a layer or model with a configuration the means to make its parts, each with its own dtype policy."""

    config: Wav2Vec2Config
    dtype_policy: Any

    def make_part(self, layer_class: type[keras.layers.Layer], *args: Any, **kwargs: Any) -> Any:
        """Make a sub-layer with the dtype policy of what it belongs to."""
        return layer_class(*args, dtype=self.dtype_policy, **kwargs)

    def make_dense(
        self,
        input_size: int,
        units: int,
        name: str,
        *,
        kernel_initializer: initializers.Initializer | None = None,
        bias_initializer: initializers.Initializer = "zeros",
    ) -> keras.layers.Dense:
        """A Dense layer whose weights exist, drawn as the reference draws its linear layers."""
        layer = self.make_part(
            keras.layers.Dense,
            units,
            name=name,
            kernel_initializer=kernel_initializer or initializers.normal(self.config.initializer_range),
            bias_initializer=bias_initializer,
        )
        layer.build((None, None, input_size))
        return layer

    def make_norm(self, size: int, name: str, epsilon: float | None = None) -> LayerNorm:
        """A norm of each frame whose weights exist; ``config.layer_norm_eps`` by default."""
        layer = self.make_part(
            LayerNorm,
            epsilon=self.config.layer_norm_eps if epsilon is None else epsilon,
            name=name,
        )
        layer.build((None, None, size))
        return layer

    def make_activation(self, function: str, name: str) -> Any:
        """The function that the configuration names; a sub-layer where the function holds weights."""
        if function in TRAINABLE_ACTIVATIONS:
            return self.make_part(TRAINABLE_ACTIVATIONS[function], name=name)
        return activation(function)


class ConfiguredLayer(PartMaker, keras.layers.Layer):
    """A layer made from a :class:`Wav2Vec2Config`, which makes its parts and their weights when it is constructed.

    Weights that exist from the start need no dummy call before a checkpoint is read, and a ``.keras`` file can never
    be loaded into a half-built model.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        return {**super().get_config(), "config": self.config.to_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ConfiguredLayer:
        """The layer that :meth:`get_config` described, with new weights."""
        return cls(**{**config, "config": Wav2Vec2Config.from_dict(config["config"])})
