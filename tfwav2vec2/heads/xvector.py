"""One vector for a voice: speaker verification."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from tfwav2vec2.backbone.pretrained import Inputs
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.am_softmax import AMSoftmaxLoss
from tfwav2vec2.heads.class_labels import check_class_labels
from tfwav2vec2.heads.layer_mix import TFWav2Vec2LayerMixModel
from tfwav2vec2.heads.tdnn import TDNNLayer, fewest_frames, pool_statistics, tdnn_lengths
from tfwav2vec2.metrics.head_metrics import ClassAccuracy
from tfwav2vec2.metrics.task_metric import TaskMetric
from tfwav2vec2.metrics.verification import EqualErrorRate
from tfwav2vec2.outputs import ModelOutput, XVectorOutput


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TFWav2Vec2ForXVector(TFWav2Vec2LayerMixModel):
    """wav2vec 2.0 with an x-vector head (reference: ``Wav2Vec2ForXVector``).

    Projection, time-delay layers, statistics pooling, then two dense layers: the first gives ``embeddings``, which are
    compared by their cosine, the second gives what the loss reads. ``compile()`` uses AM-Softmax by default, and the
    metrics ``accuracy``, of naming the speaker among those of the training data, and ``eer``, the equal error rate of
    telling whether two clips are of one speaker.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        size = config.xvector_output_dim
        with keras.name_scope(self.name):
            self.projector = self.make_dense(self.head_width, config.tdnn_dim[0], "projector")
            self.tdnn = [
                self.make_part(TDNNLayer, config, index, name=f"tdnn_{index}")
                for index in range(len(config.tdnn_dim))
            ]
            self.feature_extractor = self.make_dense(2 * config.tdnn_dim[-1], size, "feature_extractor")
            self.classifier = self.make_dense(size, size, "classifier")
            self.objective = self.make_part(AMSoftmaxLoss, size, config.num_labels, name="objective")

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
        """An embedding of the voice in every clip.

        Args:
            input_values: (batch, samples) at 16 kHz, or a dictionary with the arguments of this method.
            attention_mask: (batch, samples), 1 for samples and 0 for the padding at the end. Padding may hold anything.
            output_attentions: whether ``attentions`` are returned.
            output_hidden_states: whether ``hidden_states`` are returned.
            return_dict: False gives a tuple of the fields that are there.
            labels: (batch,) the index of each clip's speaker; gives ``loss``.
            training: whether dropout, LayerDrop and SpecAugment act.

        Returns:
            :class:`XVectorOutput` with ``logits`` and ``embeddings`` (batch, xvector_output_dim), and ``speaker_scores``
            (batch, num_labels).

        Raises:
            ValueError: for a clip that is too short for the time-delay layers, or labels that are not one speaker of
                the model for each clip.
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
        states = self.projector(states)
        for layer in self.tdnn:
            states = layer(states)
        pooled = pool_statistics(states, tdnn_lengths(self.config, encoded.frame_lengths))
        embeddings = self.feature_extractor(pooled)
        logits = self.classifier(embeddings)
        scores = self.objective.cosines(logits)
        return self.respond(
            XVectorOutput, inputs, encoded, logits=logits, embeddings=embeddings, speaker_scores=scores
        )

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse, outside a trace, clips that are too short and labels that are not one speaker for each clip."""
        super().check_inputs(inputs)
        rows, samples = (int(size) for size in inputs.input_values.shape)
        if inputs.attention_mask is not None:
            samples = int(np.min(ops.convert_to_numpy(inputs.sample_lengths())))
        frames, needed = self.frame_lengths(samples), fewest_frames(self.config)
        if frames < needed:
            raise ValueError(
                f"A clip of {samples} samples has {frames} frames; the time-delay layers need {needed} at least, so give "
                "a longer clip or repeat this one"
            )
        if inputs.labels is not None:
            check_class_labels(inputs.labels, (rows,), self.config.num_labels)

    def task_loss(self, labels: Any, output: ModelOutput) -> Any:
        """AM-Softmax, the mean over the clips.

        Args:
            labels: (batch,) the index of each clip's speaker; negative ones do not count.
            output: ``logits`` (batch, xvector_output_dim).
        """
        return self.objective(output["logits"], labels)

    def task_metrics(self) -> list[TaskMetric]:
        """How often the speaker is named rightly, and how well pairs of clips are told apart."""
        return [ClassAccuracy("speaker_scores"), EqualErrorRate(self.config.xvector_output_dim)]

    def padding_is_neutral(self) -> bool:
        """Whether padding leaves everything as it is: the reference's lengths count frames that read padding."""
        return super().padding_is_neutral() and self.config.feature_norm_mask
