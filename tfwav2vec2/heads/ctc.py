"""Speech recognition: one letter's logits for every frame, trained by CTC."""

from __future__ import annotations

import logging
from typing import Any

import keras
import numpy as np
from keras import ops

from tfwav2vec2.backbone.pretrained import Inputs
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.task_model import TFWav2Vec2TaskModel
from tfwav2vec2.metrics.head_metrics import CharacterErrorRate, WordErrorRate
from tfwav2vec2.metrics.task_metric import TaskMetric
from tfwav2vec2.outputs import CausalLMOutput, ModelOutput
from tfwav2vec2.training.losses import ctc_loss
from tfwav2vec2.weights.language_adapters import LanguageAdapters

logger = logging.getLogger(__name__)

# The logit of every letter but the blank in frames that ``predict`` adds.
_NO_LETTER = -1e4


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TFWav2Vec2ForCTC(LanguageAdapters, TFWav2Vec2TaskModel):
    """wav2vec 2.0 with a head for connectionist temporal classification (reference: ``Wav2Vec2ForCTC``).

    ``compile()`` uses the CTC loss by default, so ``model.compile(); model.fit(dataset)`` trains on batches that are
    dictionaries with ``labels``, or pairs of inputs and labels. The metrics are ``wer`` and ``cer``, the word and
    character error rates of greedy decoding; where words end, ``config.word_delimiter_token_id`` tells, and without it
    there is no ``wer``. With a ``target_lang`` the adapters and the head of that language are loaded as by
    :meth:`load_adapter`.
    """

    def __init__(self, config: Wav2Vec2Config, target_lang: str | None = None, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        if config.vocab_size is None:
            raise ValueError("A CTC head needs config.vocab_size: the number of labels, the blank among them")
        with keras.name_scope(self.name):
            self.dropout = self.make_part(keras.layers.Dropout, config.final_dropout, name="dropout")
            self.lm_head = self.make_dense(self.head_width, config.vocab_size, "lm_head")
        if target_lang is not None:
            self.load_adapter(target_lang)

    def call(
        self,
        input_values: Any,
        attention_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        labels: Any = None,
        mask_time_indices: Any = None,
        training: bool = False,
    ) -> Any:
        """Logits of every label for every frame.

        Args:
            input_values: (batch, samples) at 16 kHz, or a dictionary with the arguments of this method.
            attention_mask: (batch, samples), 1 for samples and 0 for the padding at the end. Padding may hold anything.
            output_attentions: whether ``attentions`` are returned.
            output_hidden_states: whether ``hidden_states`` are returned.
            return_dict: False gives a tuple of the fields that are there.
            labels: (batch, labels) ids of the transcript, negative where there is none; gives ``loss``.
            mask_time_indices: (batch, frames), true for frames to hide, in evaluation too.
            training: whether dropout, LayerDrop and SpecAugment act.

        Returns:
            :class:`CausalLMOutput` with ``logits`` (batch, frames, vocab_size) and ``frame_lengths`` (batch,); frames
            past a row's length are padding.

        Raises:
            ValueError: for a label that the vocabulary does not have.
        """
        inputs = Inputs.of(
            input_values,
            attention_mask=attention_mask,
            mask_time_indices=mask_time_indices,
            labels=labels,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        encoded = self.wav2vec2.encode(inputs, training=training)
        logits = self.lm_head(self.dropout(encoded.last_hidden_state, training=training))
        return self.respond(CausalLMOutput, inputs, encoded, logits=logits)

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse, outside a trace, labels that the vocabulary does not have (as the reference does)."""
        super().check_inputs(inputs)
        if inputs.labels is None:
            return
        highest = int(np.max(keras.ops.convert_to_numpy(inputs.labels), initial=-1))
        if highest >= self.config.vocab_size:
            raise ValueError(
                f"labels hold the id {highest}, but the vocabulary's ids end at {self.config.vocab_size - 1}; "
                "use the tokenizer that belongs to the model"
            )

    def task_loss(self, labels: Any, output: ModelOutput) -> Any:
        """CTC as the configuration describes it: the blank, the reduction, and what becomes of impossible targets.

        Args:
            labels: (batch, labels), negative where there is none.
            output: ``logits`` (batch, frames, vocab_size) and ``frame_lengths`` (batch,).
        """
        return ctc_loss(
            output["logits"],
            labels,
            output["frame_lengths"],
            blank=self.config.pad_token_id,
            reduction=self.config.ctc_loss_reduction,
            zero_infinity=self.config.ctc_zero_infinity,
        )

    def task_metrics(self) -> list[TaskMetric]:
        """The word error rate, where the configuration tells how words are parted, and the character error rate."""
        blank, delimiter = self.config.pad_token_id, self.config.word_delimiter_token_id
        if delimiter is None:
            logger.warning(
                "No word error rate (wer) is measured, because config.word_delimiter_token_id is not set; before compile(), "
                "set it to the word_delimiter_token_id of the tokenizer"
            )
            return [CharacterErrorRate(blank)]
        return [WordErrorRate(delimiter, blank), CharacterErrorRate(blank, delimiter)]

    def loss_terms(self, labels: Any, output: ModelOutput) -> Any | None:
        """How many clips the loss is the mean of; None where it is their sum."""
        return None if self.config.ctc_loss_reduction == "sum" else ops.shape(output["logits"])[0]

    def padding_frame(self, name: str) -> Any:
        """Frames that ``predict`` adds to the logits hold a certain blank, so that decoding reads nothing there."""
        if name != "logits":
            return super().padding_frame(name)
        frame = np.full((self.config.vocab_size,), _NO_LETTER, np.float32)
        frame[self.config.pad_token_id] = 0.0
        return frame
