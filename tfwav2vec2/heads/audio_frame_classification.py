"""One class for every frame: who speaks when (diarization), voice activity."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.lengths import valid_mask
from tfwav2vec2.backbone.pretrained import Inputs
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.class_labels import check_class_labels
from tfwav2vec2.heads.layer_mix import TFWav2Vec2LayerMixModel
from tfwav2vec2.metrics.head_metrics import FrameAccuracy
from tfwav2vec2.metrics.task_metric import TaskMetric
from tfwav2vec2.outputs import ModelOutput, TokenClassifierOutput
from tfwav2vec2.training.cross_entropy import cross_entropy


def class_indices(labels: Any) -> Any:
    """Labels as indices (batch, frames), whether they come as such or as one-hot vectors (batch, frames, classes)."""
    return ops.argmax(labels, axis=-1) if len(labels.shape) > 2 else labels


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TFWav2Vec2ForAudioFrameClassification(TFWav2Vec2LayerMixModel):
    """wav2vec 2.0 with a classifier over each frame (reference: ``Wav2Vec2ForAudioFrameClassification``).

    ``compile()`` uses cross-entropy over the valid frames by default. The reference counts padded frames as well; so
    does this model with ``config.feature_norm_mask=False``. The metric ``accuracy`` is always that of the valid frames.

    Raises:
        ValueError: for a configuration with a convolutional adapter, as in the reference.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        if config.add_adapter:
            raise ValueError(
                "Frame classification has no use for a convolutional adapter; set add_adapter to False"
            )
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.classifier = self.make_dense(config.hidden_size, config.num_labels, "classifier")

    def call(
        self,
        input_values: Any,
        attention_mask: Any = None,
        labels: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> Any:
        """Logits of every class for every frame.

        Args:
            input_values: (batch, samples) at 16 kHz, or a dictionary with the arguments of this method.
            attention_mask: (batch, samples), 1 for samples and 0 for the padding at the end. Padding may hold anything.
            labels: (batch, frames, num_labels) one-hot vectors as the reference takes them, or (batch, frames) class
                indices, negative where they do not count; gives ``loss``.
            output_attentions: whether ``attentions`` are returned.
            output_hidden_states: whether ``hidden_states`` are returned.
            return_dict: False gives a tuple of the fields that are there, the loss among them as the reference
                documents it (its code leaves it out).
            training: whether dropout, LayerDrop and SpecAugment act.

        Returns:
            :class:`TokenClassifierOutput` with ``logits`` (batch, frames, num_labels).

        Raises:
            ValueError: for labels that are not one class of the model for each frame.
        """
        inputs = Inputs.of(
            input_values,
            attention_mask=attention_mask,
            labels=labels,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        states, encoded = self.encode(inputs, training=training)
        return self.respond(TokenClassifierOutput, inputs, encoded, logits=self.classifier(states))

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse, outside a trace, labels that are not one class of the model for each frame."""
        super().check_inputs(inputs)
        if inputs.labels is None:
            return
        labels = ops.convert_to_numpy(inputs.labels)
        rows, samples = (int(size) for size in inputs.input_values.shape)
        shape = (rows, self.frame_lengths(samples))
        if labels.ndim > 2:
            if labels.shape[2:] != (self.config.num_labels,):
                raise ValueError(
                    f"One-hot labels have the shape {labels.shape}; they must be (batch, frames, {self.config.num_labels}), "
                    "with config.num_labels last"
                )
            labels = labels.argmax(axis=-1)
        check_class_labels(labels, shape, self.config.num_labels)

    def task_loss(self, labels: Any, output: ModelOutput) -> Any:
        """Cross-entropy, the mean over the frames.

        Args:
            labels: (batch, frames, num_labels) one-hot, or (batch, frames) indices, negative where they do not count.
            output: ``logits`` (batch, frames, num_labels) and ``frame_lengths`` (batch,).
        """
        return cross_entropy(output["logits"], class_indices(labels), self._counted_frames(output))

    def loss_terms(self, labels: Any, output: ModelOutput) -> Any | None:
        """How many frames the loss is the mean of."""
        counted = ops.logical_and(class_indices(labels) >= 0, self._counted_frames(output))
        return ops.sum(ops.cast(counted, "int32"))

    def _counted_frames(self, output: ModelOutput) -> Any:
        """True for the frames (batch, frames) that count, or for all."""
        if not self.config.feature_norm_mask:
            return True
        return valid_mask(output["frame_lengths"], ops.shape(output["logits"])[1])

    def task_metrics(self) -> list[TaskMetric]:
        """The share of valid frames whose class is right."""
        return [FrameAccuracy()]
