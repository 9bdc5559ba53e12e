"""The bare model: waveform to contextual frames."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone import initializers
from tfwav2vec2.backbone.adapters import ConvAdapter
from tfwav2vec2.backbone.conv_features import ConvFeatureEncoder
from tfwav2vec2.backbone.feature_projection import FeatureProjection
from tfwav2vec2.backbone.lengths import adapter_lengths, frame_lengths, valid_mask
from tfwav2vec2.backbone.masking import draw_spans
from tfwav2vec2.backbone.pretrained import Inputs, TFWav2Vec2PreTrainedModel, check_shape
from tfwav2vec2.backbone.transformer import Encoder
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.outputs import Wav2Vec2BaseModelOutput


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class TFWav2Vec2Model(TFWav2Vec2PreTrainedModel):
    """The wav2vec 2.0 encoder without a head (reference: ``Wav2Vec2Model``; paper arXiv 2006.11477).

    All weights exist once it is constructed. See :meth:`call`.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        self.masked_spec_embed: Any = None
        if config.mask_time_prob > 0.0 or config.mask_feature_prob > 0.0:
            self.masked_spec_embed = self.add_weight(
                shape=(config.hidden_size,),
                initializer=initializers.initial(keras.initializers.RandomUniform(0.0, 1.0)),
                name="masked_spec_embed",
                # Without SpecAugment nothing reads it, and Keras would warn of a missing gradient.
                trainable=config.apply_spec_augment and config.mask_time_prob > 0.0,
            )
        parts = {"dtype": self.dtype_policy}
        with keras.name_scope(self.name):
            self.feature_extractor = ConvFeatureEncoder(config, name="feature_extractor", **parts)
            self.feature_projection = FeatureProjection(config, name="feature_projection", **parts)
            self.encoder = Encoder(config, name="encoder", **parts)
            self.adapter: Any = None
            if config.add_adapter:
                self.adapter = ConvAdapter(config, name="adapter", **parts)
        self.seed_generator = keras.random.SeedGenerator()

    def call(
        self,
        input_values: Any,
        attention_mask: Any = None,
        mask_time_indices: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
    ) -> Any:
        """Contextual frames of a batch of waveforms.

        Args:
            input_values: (batch, samples) at 16 kHz, or a dictionary with the arguments of this method.
            attention_mask: (batch, samples), 1 for samples and 0 for the padding at the end. Padding may hold anything.
            mask_time_indices: (batch, frames), true for frames to hide, in evaluation too; needs
                ``config.apply_spec_augment``.
            output_attentions: whether ``attentions`` (batch, heads, frames, frames), one a layer, are returned.
            output_hidden_states: whether ``hidden_states``, the input of each layer and the last output, are returned.
            return_dict: False gives a tuple of the fields that are there.
            training: whether dropout, LayerDrop and SpecAugment act.

        Returns:
            :class:`Wav2Vec2BaseModelOutput`.
        """
        inputs = Inputs.of(
            input_values,
            attention_mask=attention_mask,
            mask_time_indices=mask_time_indices,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        output = self.encode(inputs, training=training)
        return output if inputs.wants_dict(self.config) else output.to_tuple()

    def encode(self, inputs: Inputs, *, training: bool) -> Wav2Vec2BaseModelOutput:
        """The stages of :meth:`call` one after the other; heads use it too."""
        config = self.config
        check_shape(config, inputs.input_values)
        waveform, sample_lengths = inputs.waveform_and_lengths(silence_padding=config.feature_norm_mask)
        statistics = sample_lengths if config.feature_norm_mask else None
        features = self.feature_extractor(waveform, statistics, training=training)

        size = ops.shape(features)[1]
        frame_mask = None
        if sample_lengths is None:
            lengths = ops.zeros((ops.shape(features)[0],), dtype="int32") + size
        else:
            lengths = frame_lengths(config, sample_lengths)
            frame_mask = valid_mask(lengths, size)

        hidden_states, features = self.feature_projection(features, training=training)
        hidden_states = self._hide_spans(hidden_states, lengths, inputs.mask_time_indices, training)
        wants_attentions = inputs.wants_attentions(config)
        hidden_states, states, attentions = self.encoder(
            hidden_states, frame_mask, training=training, keep_attentions=wants_attentions
        )
        if self.adapter is not None:
            masked = frame_mask is not None and config.feature_norm_mask
            hidden_states = self.adapter(hidden_states, lengths if masked else None)
        return Wav2Vec2BaseModelOutput.of(
            last_hidden_state=hidden_states,
            extract_features=features,
            hidden_states=states if inputs.wants_hidden_states(config) else None,
            attentions=attentions if wants_attentions else None,
            frame_lengths=adapter_lengths(config, lengths),
        )

    def _hide_spans(self, hidden_states: Any, lengths: Any, mask_time_indices: Any, training: bool) -> Any:
        """SpecAugment (reference: ``_mask_hidden_states``): time first, then features, which become zero."""
        config = self.config
        if not config.apply_spec_augment:
            return hidden_states
        batch, frames = ops.shape(hidden_states)[:2]
        if mask_time_indices is None and training and config.mask_time_prob > 0:
            mask_time_indices = draw_spans(
                lengths,
                frames,
                config.mask_time_prob,
                config.mask_time_length,
                config.mask_time_min_masks,
                self.seed_generator,
            )
        if mask_time_indices is not None:
            hidden = ops.cast(mask_time_indices, "bool")[:, :, None]
            if self.masked_spec_embed is None:
                raise ValueError(
                    "mask_time_indices needs the masking vector, which a configuration with mask_time_prob and "
                    "mask_feature_prob of 0 does not have; set one of them above 0"
                )
            embedding = ops.cast(self.masked_spec_embed, hidden_states.dtype)
            hidden_states = ops.where(hidden, embedding, hidden_states)
        if training and config.mask_feature_prob > 0:
            features = draw_spans(
                ops.full((batch,), config.hidden_size, dtype="int32"),
                config.hidden_size,
                config.mask_feature_prob,
                config.mask_feature_length,
                config.mask_feature_min_masks,
                self.seed_generator,
            )
            hidden_states = ops.where(features[:, None, :], ops.zeros((), hidden_states.dtype), hidden_states)
        return hidden_states
