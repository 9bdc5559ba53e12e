"""Pretraining: find the quantized content of hidden frames among distractors (arXiv 2006.11477, section 3)."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.lengths import frame_lengths, valid_mask
from tfwav2vec2.backbone.masking import draw_spans
from tfwav2vec2.backbone.pretrained import Inputs
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.heads.negatives import sample_negatives
from tfwav2vec2.heads.quantizer import GumbelVectorQuantizer
from tfwav2vec2.heads.task_model import TFWav2Vec2TaskModel
from tfwav2vec2.metrics.head_metrics import CodebookPerplexity, ContrastiveAccuracy
from tfwav2vec2.metrics.task_metric import TaskMetric
from tfwav2vec2.outputs import ModelOutput, Wav2Vec2ForPreTrainingOutput
from tfwav2vec2.training.contrastive import (
    candidate_logits,
    contrastive_counts,
    contrastive_logits,
    contrastive_loss,
    diversity_loss,
)

# Set while a step of ``evaluate`` runs, which needs a loss although nothing is trained.
_evaluating: ContextVar[bool] = ContextVar("evaluating_pretraining", default=False)


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TFWav2Vec2ForPreTraining(TFWav2Vec2TaskModel):
    """wav2vec 2.0 with the quantizer and the projections of pretraining (reference: ``Wav2Vec2ForPreTraining``).

    ``model.compile(); model.fit(dataset)`` trains on batches of waveforms alone: the frames to hide
    (``config.mask_time_prob``) and the negatives (``config.num_negatives``) are drawn at run time in every step, and in
    the steps of ``evaluate``. The loss is a sum over the hidden frames, as in the reference. The metrics are
    ``contrastive_accuracy`` and ``codebook_perplexity``.

    Raises:
        ValueError: for a configuration with ``add_adapter``, which leaves fewer frames than there are targets.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        if config.add_adapter:
            raise ValueError(
                "Pretraining compares every frame with its own target, but add_adapter=True leaves fewer frames than "
                "targets; pretrain with add_adapter=False"
            )
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.dropout_features = self.make_part(
                keras.layers.Dropout, config.feat_quantizer_dropout, name="dropout_features"
            )
            self.quantizer = self.make_part(GumbelVectorQuantizer, config, name="quantizer")
            self.project_hid = self._make_projection(config.hidden_size, "project_hid")
            self.project_q = self._make_projection(config.codevector_dim, "project_q")
        self.seed_generator = keras.random.SeedGenerator()

    def _make_projection(self, width: int, name: str) -> keras.layers.Dense:
        return self.make_dense(
            width,
            self.config.proj_codevector_dim,
            name,
            kernel_initializer=initializers.uniform_fan_in(width),
            bias_initializer=initializers.uniform_fan_in(width),
        )

    def call(
        self,
        input_values: Any,
        attention_mask: Any = None,
        mask_time_indices: Any = None,
        sampled_negative_indices: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> Any:
        """Projections of the context and of the quantized features for every frame, and the loss.

        In training the frames to hide and the negatives are drawn where they are not given. In evaluation there is a
        loss only where negatives are given, as in the reference (whose training behaves so too).

        With an ``attention_mask``, padded frames count neither in the perplexity nor in the losses, unless
        ``config.feature_norm_mask`` is False: then what ``mask_time_indices`` says counts, as in the reference.

        Args:
            input_values: (batch, samples) at 16 kHz, or a dictionary with the arguments of this method.
            attention_mask: (batch, samples), 1 for samples and 0 for the padding at the end. Padding may hold anything.
            mask_time_indices: (batch, frames), true for frames to hide, in evaluation too.
            sampled_negative_indices: (batch, frames, num_negatives), the frames to tell each hidden frame from, as
                row * frames + frame (:func:`~tfwav2vec2.heads.negatives.sample_negatives`); gives ``loss``.
            output_attentions: whether ``attentions`` are returned.
            output_hidden_states: whether ``hidden_states`` are returned.
            return_dict: False gives a tuple of the fields that are there.
            training: whether dropout, LayerDrop, SpecAugment and Gumbel noise act.

        Returns:
            :class:`Wav2Vec2ForPreTrainingOutput`.

        Raises:
            ValueError: for negatives without a mask, shapes that do not fit the frames, and training where neither a
                mask is given nor the configuration lets one be drawn.
        """
        inputs = Inputs.of(
            input_values,
            attention_mask=attention_mask,
            mask_time_indices=mask_time_indices,
            sampled_negative_indices=sampled_negative_indices,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        drawing = training or _evaluating.get()
        self._check_targets(inputs)
        if drawing and inputs.mask_time_indices is None:
            inputs = replace(inputs, mask_time_indices=self._draw_mask(inputs))
        encoded = self.wav2vec2.encode(inputs, training=training)
        counted = self._counted_frames(inputs, encoded)
        features = self.dropout_features(encoded.extract_features, training=training)
        quantized, codes, perplexity = self.quantizer(features, counted, training=training)
        fields = {
            "projected_states": self.project_hid(encoded.last_hidden_state),
            "projected_quantized_states": self.project_q(quantized),
            "codevector_perplexity": perplexity,
        }
        negatives = inputs.sampled_negative_indices
        if drawing or negatives is not None:
            fields |= self._objective(fields, codes, counted, negatives)
        return self.respond(Wav2Vec2ForPreTrainingOutput, inputs, encoded, **fields)

    def _objective(self, fields: dict[str, Any], codes: Any, counted: Any, negatives: Any) -> dict[str, Any]:
        """The loss, its two parts and what the accuracy counts; negatives are drawn where there are none."""
        config = self.config
        drawn = negatives is None
        if drawn:
            negatives = sample_negatives(counted, config.num_negatives, self.seed_generator)
        logits = candidate_logits(
            fields["projected_states"],
            fields["projected_quantized_states"],
            codes,
            negatives,
            temperature=config.contrastive_logits_temperature,
            within_utterance=drawn,
        )
        contrastive = contrastive_loss(logits, counted)
        correct, total = contrastive_counts(logits, counted)
        entries = config.num_codevectors_per_group * config.num_codevector_groups
        diversity = diversity_loss(fields["codevector_perplexity"], entries, counted)
        return {
            "loss": contrastive + config.diversity_loss_weight * diversity,
            "contrastive_loss": contrastive,
            "diversity_loss": diversity,
            "contrastive_correct": correct,
            "contrastive_total": total,
        }

    def _draw_mask(self, inputs: Inputs) -> Any:
        """(batch, frames), true for the frames to hide, drawn as SpecAugment draws them."""
        config = self.config
        if not config.apply_spec_augment or config.mask_time_prob <= 0:
            raise ValueError(
                "Pretraining hides frames, but the configuration has apply_spec_augment="
                f"{config.apply_spec_augment} and mask_time_prob={config.mask_time_prob}; set them to True and above 0, "
                "or give mask_time_indices"
            )
        batch, samples = ops.shape(inputs.input_values)
        lengths = inputs.sample_lengths()
        if lengths is None:
            lengths = ops.zeros((batch,), dtype="int32") + samples
        return draw_spans(
            frame_lengths(config, lengths),
            frame_lengths(config, samples),
            config.mask_time_prob,
            config.mask_time_length,
            config.mask_time_min_masks,
            self.seed_generator,
        )

    def _counted_frames(self, inputs: Inputs, encoded: ModelOutput) -> Any:
        """(batch, frames), true for the frames of the perplexity and the losses; None for all."""
        mask = inputs.mask_time_indices
        if mask is not None:
            mask = ops.cast(mask, "bool")
        if inputs.attention_mask is None or not self.config.feature_norm_mask:
            return mask
        valid = valid_mask(encoded.frame_lengths, ops.shape(encoded.extract_features)[1])
        return valid if mask is None else ops.logical_and(mask, valid)

    def _check_targets(self, inputs: Inputs) -> None:
        """Refuse a mask or negatives that are not those of the waveform's frames, as far as shapes are known."""
        mask, negatives = inputs.mask_time_indices, inputs.sampled_negative_indices
        if negatives is not None and mask is None:
            raise ValueError(
                "sampled_negative_indices were given without the mask_time_indices that they were drawn from; give both"
            )
        rows, samples = inputs.input_values.shape
        frames = frame_lengths(self.config, samples) if isinstance(samples, int) else None
        for name, value, axes in (
            ("mask_time_indices", mask, (rows, frames)),
            ("sampled_negative_indices", negatives, (rows, frames, None)),
        ):
            shape = () if value is None else tuple(value.shape)
            fits = len(shape) == len(axes) and all(
                size == wanted or None in (size, wanted) for size, wanted in zip(shape, axes, strict=True)
            )
            if value is not None and not fits:
                wanted = ", ".join(["batch", "frames", "num_negatives"][: len(axes)])
                raise ValueError(
                    f"{name} has the shape {shape}; it must be ({wanted}) with {rows} rows and {frames} frames"
                )

    def check_inputs(self, inputs: Inputs) -> None:
        """Refuse, outside a trace, negatives that are no frames of the batch."""
        super().check_inputs(inputs)
        self._check_targets(inputs)
        if inputs.sampled_negative_indices is None:
            return
        indices = ops.convert_to_numpy(inputs.sampled_negative_indices)
        rows, frames = indices.shape[:2]
        if indices.size and not (indices.min() >= 0 and indices.max() < rows * frames):
            raise ValueError(
                f"sampled_negative_indices reach from {indices.min()} to {indices.max()}; the batch has {rows * frames} "
                f"frames, from 0 to {rows * frames - 1} (row * {frames} + frame)"
            )

    def _call_compiled(self, *args: Any, **kwargs: Any) -> Any:
        # Programs of calls outside training have nothing to draw.
        return None if _evaluating.get() else super()._call_compiled(*args, **kwargs)

    def padding_is_neutral(self) -> bool:
        """Whether frames that a bucket adds leave everything as it is: the perplexity must not count them."""
        return self.config.feature_norm_mask and super().padding_is_neutral()

    @staticmethod
    def compute_contrastive_logits(
        target_features: Any, negative_features: Any, predicted_features: Any, temperature: float = 0.1
    ) -> Any:
        """Cosine similarities over the temperature: see :func:`~tfwav2vec2.training.contrastive.contrastive_logits`."""
        return contrastive_logits(target_features, negative_features, predicted_features, temperature)

    def set_gumbel_temperature(self, temperature: float) -> None:
        """Set how soft the gradient of the choice of codevectors is; the paper lets it fall from 2 in training.

        It may be called between the steps of ``fit``, in a callback; nothing is compiled again.

        Raises:
            ValueError: for a temperature that is not above 0.
        """
        if not temperature > 0:
            raise ValueError(f"The temperature of the Gumbel softmax must be above 0; got {temperature}")
        if keras.backend.backend() == "jax":
            # fit keeps its own copy of all variables between the steps; this makes it take the new value.
            self.jax_state_sync()
        self.quantizer.temperature.assign(temperature)

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """A step of ``evaluate``: masks and negatives that are not in the batch are drawn, so that there is a loss."""
        token = _evaluating.set(True)
        try:
            return super().test_step(*args, **kwargs)
        finally:
            _evaluating.reset(token)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The loss of a step: the model's own, unless ``compile`` was given another."""
        if self._uses_own_loss:
            return y_pred["loss"]
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def task_metrics(self) -> list[TaskMetric]:
        """How often hidden frames are told from their distractors, and how much of the codebook is in use."""
        return [ContrastiveAccuracy(), CodebookPerplexity()]

    def task_loss(self, labels: Any, output: ModelOutput) -> Any:
        """Refuse labels: pretraining has none."""
        raise ValueError("Pretraining learns from audio alone; leave out the labels")
