"""Speech recognition: one letter's logits for every frame, trained by CTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.pretrained import Inputs, TFWav2Vec2PreTrainedModel
from tfwav2vec2.backbone.wav2vec2 import TFWav2Vec2Model
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.outputs import CausalLMOutput
from tfwav2vec2.training.losses import ctc_loss

# The logit of every letter but the blank in frames that ``predict`` adds.
_NO_LETTER = -1e4


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TFWav2Vec2ForCTC(TFWav2Vec2PreTrainedModel):
    """wav2vec 2.0 with a head for connectionist temporal classification (reference: ``Wav2Vec2ForCTC``).

    ``compile()`` uses the CTC loss by default, so ``model.compile(); model.fit(dataset)`` trains on batches that are
    dictionaries with ``labels``, or pairs of inputs and labels.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        if config.vocab_size is None:
            raise ValueError("A CTC head needs config.vocab_size: the number of labels, the blank among them")
        width = config.output_hidden_size if config.add_adapter else config.hidden_size
        with keras.name_scope(self.name):
            self.wav2vec2 = TFWav2Vec2Model(config, name="wav2vec2", dtype=self.dtype_policy)
            self.dropout = keras.layers.Dropout(config.final_dropout, name="dropout", dtype=self.dtype_policy)
            self.lm_head = keras.layers.Dense(
                config.vocab_size,
                kernel_initializer=initializers.normal(config.initializer_range),
                name="lm_head",
                dtype=self.dtype_policy,
            )
            self.lm_head.build((None, None, width))

    def call(
        self,
        input_values: Any,
        attention_mask: Any = None,
        mask_time_indices: Any = None,
        labels: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> Any:
        """Logits of every label for every frame.

        Args:
            input_values: (batch, samples) at 16 kHz, or a dictionary with the arguments of this method.
            attention_mask: (batch, samples), 1 for samples and 0 for the padding at the end. Padding may hold anything.
            mask_time_indices: (batch, frames), true for frames to hide, in evaluation too.
            labels: (batch, labels) ids of the transcript, negative where there is none; gives ``loss``.
            output_attentions: whether ``attentions`` are returned.
            output_hidden_states: whether ``hidden_states`` are returned.
            return_dict: False gives a tuple of the fields that are there.
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
        loss = None
        if inputs.labels is not None:
            loss = self.ctc_loss(inputs.labels, logits, encoded.frame_lengths)
        output = CausalLMOutput.of(
            loss=loss,
            logits=logits,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
            frame_lengths=encoded.frame_lengths,
        )
        return output if inputs.wants_dict(self.config) else output.to_tuple()

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse, outside a trace, labels that the vocabulary does not have (as the reference does)."""
        super().check_inputs(inputs)
        if inputs.labels is None:
            return
        highest = int(np.max(np.asarray(inputs.labels), initial=-1))
        if highest >= self.config.vocab_size:
            raise ValueError(
                f"labels hold the id {highest}, but the vocabulary's ids end at {self.config.vocab_size - 1}; "
                "use the tokenizer that belongs to the model"
            )

    def ctc_loss(self, labels: Any, logits: Any, frame_lengths: Any) -> Any:
        """The loss as the configuration describes it: the blank, the reduction, and what becomes of impossible targets.

        Args:
            labels: (batch, labels), negative where there is none.
            logits: (batch, frames, vocab_size).
            frame_lengths: (batch,) valid frames.
        """
        return ctc_loss(
            logits,
            labels,
            frame_lengths,
            blank=self.config.pad_token_id,
            reduction=self.config.ctc_loss_reduction,
            zero_infinity=self.config.ctc_zero_infinity,
        )

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        *,
        jit_compile: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        """Configure training as ``keras.Model.compile`` does; without a ``loss``, the CTC loss is used.

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
        """The loss of a training step: what was given to ``compile``, else CTC over ``labels`` in x, or over y."""
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
        return self.ctc_loss(y, y_pred["logits"], y_pred["frame_lengths"])

    def padding_frame(self, name: str) -> Any:
        """Frames that ``predict`` adds to the logits hold a certain blank, so that decoding reads nothing there."""
        if name != "logits":
            return super().padding_frame(name)
        frame = np.full((self.config.vocab_size,), _NO_LETTER, np.float32)
        frame[self.config.pad_token_id] = 0.0
        return frame
