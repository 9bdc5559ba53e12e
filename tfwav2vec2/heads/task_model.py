"""What the heads share: the backbone below, the task's loss as ``compile``'s default, and freezing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfwav2vec2.backbone.pretrained import Inputs, TFWav2Vec2PreTrainedModel
from tfwav2vec2.backbone.wav2vec2 import TFWav2Vec2Model
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.outputs import ModelOutput, Wav2Vec2BaseModelOutput
from tfwav2vec2.training.resumable_fit import ResumableFit


class TFWav2Vec2TaskModel(ResumableFit, TFWav2Vec2PreTrainedModel):
    """A backbone with a head. A subclass makes the head's parts, answers a call and knows the task's loss."""

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.wav2vec2 = TFWav2Vec2Model(config, name="wav2vec2", dtype=self.dtype_policy)

    @property
    def head_width(self) -> int:
        """The width of the frames that the head reads."""
        return self.config.output_hidden_size if self.config.add_adapter else self.config.hidden_size

    def task_loss(self, labels: Any, output: ModelOutput) -> Any:
        """The loss, a number, of an output of this model against labels, as the configuration describes it."""
        raise NotImplementedError

    def respond(
        self, kind: type[ModelOutput], inputs: Inputs, encoded: Wav2Vec2BaseModelOutput, **fields: Any
    ) -> Any:
        """The answer to a call: the head's ``fields``, the loss where there are labels, and what the backbone tells.

        A tuple where the caller asked for one.
        """
        output = kind.of(
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            frame_lengths=encoded.frame_lengths,
            **fields,
        )
        if inputs.labels is not None:
            output = kind.of(loss=self.task_loss(inputs.labels, output), **output)
        return output if inputs.wants_dict(self.config) else output.to_tuple()

    def freeze_base_model(self) -> None:
        """Keep the backbone as it is in training, so that the head alone learns (reference: ``freeze_base_model``)."""
        self.wav2vec2.trainable = False

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        jit_compile: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        """Configure training as ``keras.Model.compile`` does; without a ``loss``, the task's own is used.

        ``jit_compile="auto"`` compiles training steps on accelerators and on JAX, but not on TensorFlow's CPU, where
        compiling each shape costs more than it saves.
        """
        if jit_compile == "auto" and keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            jit_compile = bool(tf.config.list_physical_devices("GPU"))
        super().compile(optimizer=optimizer, loss=loss, jit_compile=jit_compile, **kwargs)
        self._uses_own_loss = loss is None

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a training step: what was given to ``compile``, else the task's over ``labels`` in x, or over y.

        Raises:
            ValueError: where there are no labels.
        """
        if not self._uses_own_loss:
            # A single loss reads the logits; a dictionary of losses names the outputs that it reads.
            fields = (
                {name: y_pred[name] for name in self.loss}
                if isinstance(self.loss, Mapping)
                else y_pred["logits"]
            )
            return super().compute_loss(x, y, fields, sample_weight, training)
        if isinstance(x, Mapping) and x.get("labels") is not None:
            return y_pred["loss"]
        if y is None:
            raise ValueError(
                "fit needs labels: put 'labels' into the dictionary of inputs, or give pairs (inputs, labels)"
            )
        return self.task_loss(y, y_pred)
