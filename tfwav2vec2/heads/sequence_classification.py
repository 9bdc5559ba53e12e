"""One class for a whole clip: keywords, languages, emotions, speakers."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.lengths import valid_mask, zero_padding
from tfwav2vec2.backbone.pretrained import Inputs
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.class_labels import check_class_labels
from tfwav2vec2.heads.layer_mix import TFWav2Vec2LayerMixModel
from tfwav2vec2.metrics.head_metrics import ClassAccuracy
from tfwav2vec2.metrics.task_metric import TaskMetric
from tfwav2vec2.outputs import ModelOutput, SequenceClassifierOutput
from tfwav2vec2.training.cross_entropy import cross_entropy


def mean_of_valid(x: Any, lengths: Any) -> Any:
    """The mean of (batch, frames, channels) over each row's first ``lengths`` frames: (batch, channels)."""
    mask = valid_mask(lengths, ops.shape(x)[1])
    total = ops.sum(ops.cast(zero_padding(x, mask), "float32"), axis=1)
    return ops.cast(total / ops.cast(ops.maximum(lengths, 1), "float32")[:, None], x.dtype)


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TFWav2Vec2ForSequenceClassification(TFWav2Vec2LayerMixModel):
    """wav2vec 2.0 with a classifier over the mean of its frames (reference: ``Wav2Vec2ForSequenceClassification``).

    ``compile()`` uses cross-entropy by default, and the metric ``accuracy``.

    Raises:
        ValueError: for a configuration with a convolutional adapter, as in the reference.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        if config.add_adapter:
            raise ValueError(
                "Sequence classification has no use for a convolutional adapter; set add_adapter to False"
            )
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.projector = self.make_dense(config.hidden_size, config.classifier_proj_size, "projector")
            self.classifier = self.make_dense(config.classifier_proj_size, config.num_labels, "classifier")

    def call(
        self,
        input_values: Any,
        attention_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        labels: Any = None,
        training: bool = False,
    ) -> Any:
        """Logits of every class for every clip.

        Args:
            input_values: (batch, samples) at 16 kHz, or a dictionary with the arguments of this method.
            attention_mask: (batch, samples), 1 for samples and 0 for the padding at the end. Padding may hold anything.
            output_attentions: whether ``attentions`` are returned.
            output_hidden_states: whether ``hidden_states`` are returned.
            return_dict: False gives a tuple of the fields that are there.
            labels: (batch,) the index of each clip's class; gives ``loss``.
            training: whether dropout, LayerDrop and SpecAugment act.

        Returns:
            :class:`SequenceClassifierOutput` with ``logits`` (batch, num_labels).

        Raises:
            ValueError: for labels that are not one class of the model for each clip.
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
        pooled = mean_of_valid(self.projector(states), encoded.frame_lengths)
        return self.respond(SequenceClassifierOutput, inputs, encoded, logits=self.classifier(pooled))

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse, outside a trace, labels that are not one class of the model for each clip."""
        super().check_inputs(inputs)
        if inputs.labels is not None:
            check_class_labels(inputs.labels, (int(inputs.input_values.shape[0]),), self.config.num_labels)

    def task_loss(self, labels: Any, output: ModelOutput) -> Any:
        """Cross-entropy, the mean over the clips.

        Args:
            labels: (batch,) the index of each clip's class; negative ones do not count.
            output: ``logits`` (batch, num_labels).
        """
        return cross_entropy(output["logits"], labels)

    def task_metrics(self) -> list[TaskMetric]:
        """The share of clips whose class is right."""
        return [ClassAccuracy()]
