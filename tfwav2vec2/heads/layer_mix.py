"""Heads that may read a mixture of all layers in place of the last one."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.pretrained import Inputs
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.task_model import TFWav2Vec2TaskModel
from tfwav2vec2.outputs import Wav2Vec2BaseModelOutput


class TFWav2Vec2LayerMixModel(TFWav2Vec2TaskModel):
    """A head that reads the last hidden state or, with ``config.use_weighted_layer_sum``, a learned average of all.

    ``layer_weights`` (num_hidden_layers + 1,) are what a softmax turns into the layers' shares; they begin equal.
    Reference: the heads' ``use_weighted_layer_sum`` (SUPERB, arXiv 2105.01051, section 3.2).

    Raises:
        ValueError: for a configuration that asks for the average and for a convolutional adapter.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        if config.use_weighted_layer_sum and config.add_adapter:
            raise ValueError(
                "A weighted sum of the layers passes by the convolutional adapter; set use_weighted_layer_sum or "
                "add_adapter to False"
            )
        super().__init__(config, **kwargs)
        self.layer_weights: Any = None
        if config.use_weighted_layer_sum:
            layers = config.num_hidden_layers + 1
            self.layer_weights = self.add_weight(
                shape=(layers,),
                # Even where a checkpoint may fill them: those of pretrained backbones do not.
                initializer=keras.initializers.Constant(1.0 / layers),
                name="layer_weights",
            )

    def encode(self, inputs: Inputs, *, training: bool) -> tuple[Any, Wav2Vec2BaseModelOutput]:
        """What the head reads (batch, frames, hidden), and the backbone's output.

        A mixture needs every hidden state, so that they are in the output too, asked for or not, as in the reference.
        """
        if self.layer_weights is None:
            encoded = self.wav2vec2.encode(inputs, training=training)
            return encoded.last_hidden_state, encoded
        inputs = dataclasses.replace(inputs, output_hidden_states=True)
        encoded = self.wav2vec2.encode(inputs, training=training)
        shares = ops.softmax(ops.cast(self.layer_weights, "float32"))
        states = encoded.hidden_states
        mixed = sum(
            ops.cast(share, states[0].dtype) * state
            for share, state in zip(ops.unstack(shares), states, strict=True)
        )
        return mixed, encoded
