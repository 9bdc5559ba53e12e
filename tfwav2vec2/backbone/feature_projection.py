"""Frames to the transformer's width: layer norm and a linear projection."""

from __future__ import annotations

from typing import Any

import keras

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.layers import ConfiguredLayer
from tfwav2vec2.config import Wav2Vec2Config


class FeatureProjection(ConfiguredLayer):
    """(batch, frames, conv_dim[-1]) to (batch, frames, hidden), and the normalised features beside it.

    Reference: ``Wav2Vec2FeatureProjection``. The normalised, not yet projected features are what the reference
    returns as ``extract_features`` and what the quantizer reads.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        channels = config.conv_dim[-1]
        with keras.name_scope(self.name):
            self.layer_norm = self.make_norm(channels, "layer_norm")
            self.projection = self.make_dense(
                channels,
                config.hidden_size,
                "projection",
                kernel_initializer=initializers.uniform_fan_in(channels),
                bias_initializer=initializers.uniform_fan_in(channels),
            )
            self.dropout = self.make_part(keras.layers.Dropout, config.feat_proj_dropout, name="dropout")

    def call(self, features: Any, training: bool = False) -> tuple[Any, Any]:
        """The projected and the normalised features."""
        normalised = self.layer_norm(features)
        return self.dropout(self.projection(normalised), training=training), normalised
