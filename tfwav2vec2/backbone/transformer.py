"""The contextual encoder: self-attention and feed-forward layers, post-norm or stable (pre-norm)."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.adapters import AttentionAdapter
from tfwav2vec2.backbone.layers import ConfiguredLayer
from tfwav2vec2.backbone.lengths import zero_padding
from tfwav2vec2.backbone.positional_conv import PositionalConvEmbedding
from tfwav2vec2.backbone.recomputation import recomputed, recomputed_up_to_product
from tfwav2vec2.config import Wav2Vec2Config

# Added to the scores of padded keys. Far below any score, and finite in each dtype even after a score is added: a row
# with no valid key then averages its keys instead of becoming NaN.
_MASKED_SCORE = {"float16": -3e4}
_MASKED_SCORE_DEFAULT = -1e30


def attention_bias(frame_mask: Any, dtype: str) -> Any:
    """(batch, frames) True where valid to (batch, 1, 1, frames): zero for valid keys, far below any score for others."""
    masked = _MASKED_SCORE.get(dtype, _MASKED_SCORE_DEFAULT)
    bias = ops.where(frame_mask, ops.zeros((), dtype=dtype), ops.cast(masked, dtype))
    return ops.expand_dims(bias, (1, 2))


class Attention(ConfiguredLayer):
    """Multi-headed self-attention (reference: ``Wav2Vec2Attention``)."""

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        size = config.hidden_size
        self.heads = config.num_attention_heads
        self.head_size = size // self.heads
        with keras.name_scope(self.name):
            self.k_proj = self.make_dense(size, size, "k_proj")
            self.v_proj = self.make_dense(size, size, "v_proj")
            self.q_proj = self.make_dense(size, size, "q_proj")
            self.out_proj = self.make_dense(size, size, "out_proj")
            self.dropout = self.make_part(keras.layers.Dropout, config.attention_dropout, name="dropout")

    def _split_heads(self, x: Any) -> Any:
        batch, frames = ops.shape(x)[:2]
        return ops.transpose(ops.reshape(x, (batch, frames, self.heads, self.head_size)), (0, 2, 1, 3))

    def _merge_heads(self, x: Any) -> Any:
        batch, _, frames, _ = ops.shape(x)
        return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, frames, self.heads * self.head_size))

    def call(
        self,
        hidden_states: Any,
        bias: Any = None,
        training: bool = False,
        keep_probabilities: bool = True,
    ) -> tuple[Any, ...]:
        """(batch, frames, hidden) to the same shape; where they are kept, the probabilities (batch, heads, frames, frames)."""
        query = self._split_heads(self.q_proj(hidden_states) * self.head_size**-0.5)
        key = self._split_heads(self.k_proj(hidden_states))
        value = self._split_heads(self.v_proj(hidden_states))

        def attend(query: Any, key: Any, value: Any) -> tuple[Any, ...]:
            scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
            if bias is not None:
                scores = scores + bias
            # Of a single frame, where Keras would warn that a softmax is always one.
            single = scores.shape[-1] == 1
            probabilities = ops.ones_like(scores) if single else ops.softmax(scores, axis=-1)
            probabilities = self.dropout(probabilities, training=training)
            context = self.out_proj(self._merge_heads(ops.matmul(probabilities, value)), training=training)
            return (context, probabilities) if keep_probabilities else (context,)

        if keep_probabilities:
            return attend(query, key, value)
        parts = (self.dropout, self.out_proj)
        return recomputed_up_to_product(parts, attend, query, key, value, training=training)


class FeedForward(ConfiguredLayer):
    """Two dense layers with an activation between (reference: ``Wav2Vec2FeedForward``)."""

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.intermediate_dense = self.make_dense(
                config.hidden_size, config.intermediate_size, "intermediate_dense"
            )
            self.intermediate_dropout = self.make_part(
                keras.layers.Dropout, config.activation_dropout, name="intermediate_dropout"
            )
            self.output_dense = self.make_dense(config.intermediate_size, config.hidden_size, "output_dense")
            self.output_dropout = self.make_part(
                keras.layers.Dropout, config.hidden_dropout, name="output_dropout"
            )
            self.intermediate_act_fn = self.make_activation(config.hidden_act, "intermediate_act_fn")

    def call(self, hidden_states: Any, training: bool = False) -> Any:
        """(batch, frames, hidden) to the same shape."""

        def contract(x: Any) -> Any:
            # Said to each, since outside this call Keras does not know that it is for training.
            x = self.intermediate_dropout(self.intermediate_act_fn(x), training=training)
            return self.output_dense(x, training=training)

        parts = [self.intermediate_dropout, self.output_dense]
        if isinstance(self.intermediate_act_fn, keras.layers.Layer):
            parts.append(self.intermediate_act_fn)
        x = self.intermediate_dense(hidden_states)
        x = recomputed_up_to_product(parts, contract, x, training=training)
        return self.output_dropout(x, training=training)


class TransformerLayer(ConfiguredLayer):
    """One layer of the encoder.

    Post-norm (reference: ``Wav2Vec2EncoderLayer``): attention, add, norm, feed-forward, add, norm. Stable
    (``Wav2Vec2EncoderLayerStableLayerNorm``): the norms stand before attention and feed-forward, and a per-language
    adapter may follow.
    """

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.attention = self.make_part(Attention, config, name="attention")
            self.dropout = self.make_part(keras.layers.Dropout, config.hidden_dropout, name="dropout")
            self.layer_norm = self.make_norm(config.hidden_size, "layer_norm")
            self.feed_forward = self.make_part(FeedForward, config, name="feed_forward")
            self.final_layer_norm = self.make_norm(config.hidden_size, "final_layer_norm")
            self.adapter_layer: AttentionAdapter | None = None
            if config.do_stable_layer_norm and config.adapter_attn_dim is not None:
                self.adapter_layer = self.make_part(AttentionAdapter, config, name="adapter_layer")

    def call(
        self,
        hidden_states: Any,
        bias: Any = None,
        training: bool = False,
        keep_probabilities: bool = True,
    ) -> tuple[Any, ...]:
        """(batch, frames, hidden) to the same shape, and the attention probabilities, where they are kept."""
        residual = hidden_states
        if self.config.do_stable_layer_norm:
            hidden_states = self.layer_norm(hidden_states)
        hidden_states, *probabilities = self.attention(
            hidden_states, bias, training=training, keep_probabilities=keep_probabilities
        )
        hidden_states = residual + self.dropout(hidden_states, training=training)
        if self.config.do_stable_layer_norm:
            normalised = self.final_layer_norm(hidden_states)
            hidden_states = hidden_states + self.feed_forward(normalised, training=training)
            if self.adapter_layer is not None:
                hidden_states = hidden_states + self.adapter_layer(hidden_states)
        else:
            hidden_states = self.layer_norm(hidden_states)
            hidden_states = hidden_states + self.feed_forward(hidden_states, training=training)
            hidden_states = self.final_layer_norm(hidden_states)
        return hidden_states, *probabilities


class Encoder(ConfiguredLayer):
    """The transformer (reference: ``Wav2Vec2Encoder`` and ``Wav2Vec2EncoderStableLayerNorm``).

    In training every layer is skipped with probability ``layerdrop`` (LayerDrop, arXiv 1909.11556), drawn at run time.
    With ``gradient_checkpointing`` a training step keeps each layer's input alone, and computes the rest again.
    """

    gradient_checkpointing = False

    def __init__(self, config: Wav2Vec2Config, **kwargs: Any) -> None:
        super().__init__(config, **kwargs)
        with keras.name_scope(self.name):
            self.pos_conv_embed = self.make_part(PositionalConvEmbedding, config, name="pos_conv_embed")
            self.layer_norm = self.make_norm(config.hidden_size, "layer_norm")
            self.dropout = self.make_part(keras.layers.Dropout, config.hidden_dropout, name="dropout")
            self.layers = [
                self.make_part(TransformerLayer, config, name=f"layers_{index}")
                for index in range(config.num_hidden_layers)
            ]
        self.seed_generator = keras.random.SeedGenerator()

    def call(
        self,
        hidden_states: Any,
        frame_mask: Any = None,
        training: bool = False,
        keep_attentions: bool = True,
    ) -> tuple[Any, tuple[Any, ...], tuple[Any, ...]]:
        """Contextual frames.

        Returns the last hidden state (batch, frames, hidden), the hidden states before each layer and after the last,
        and each layer's attention probabilities, unless ``keep_attentions`` is False. Where a layer is skipped, its
        probabilities are still those that it would have used (the reference gives None there, which a compiled program
        cannot).
        """
        bias = None
        if frame_mask is not None:
            hidden_states = zero_padding(hidden_states, frame_mask)
            bias = attention_bias(frame_mask, self.compute_dtype)
        hidden_states = hidden_states + self.pos_conv_embed(hidden_states)
        if not self.config.do_stable_layer_norm:
            hidden_states = self.layer_norm(hidden_states)
        hidden_states = self.dropout(hidden_states, training=training)

        all_states, all_probabilities = [], []
        for layer in self.layers:
            all_states.append(hidden_states)
            result, *probabilities = self._run(layer, hidden_states, bias, training, keep_attentions)
            if training and self.config.layerdrop > 0:
                draw = keras.random.uniform((), seed=self.seed_generator)
                result = ops.where(draw < self.config.layerdrop, hidden_states, result)
            hidden_states = result
            all_probabilities += probabilities

        if self.config.do_stable_layer_norm:
            # 4.57 stores the last state after this norm, 5.x before it: here as in 4.57.
            hidden_states = self.layer_norm(hidden_states)
        all_states.append(hidden_states)
        return hidden_states, tuple(all_states), tuple(all_probabilities)

    def _run(
        self, layer: TransformerLayer, hidden_states: Any, bias: Any, training: bool, keep_attentions: bool
    ) -> tuple[Any, ...]:
        """A layer's hidden states, and its attention probabilities where they are kept."""

        def run(hidden_states: Any) -> tuple[Any, ...]:
            return layer(hidden_states, bias, training=training, keep_probabilities=keep_attentions)

        if training and self.gradient_checkpointing:
            return recomputed([layer], run, hidden_states)
        return run(hidden_states)
