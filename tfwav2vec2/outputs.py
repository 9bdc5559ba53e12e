"""What models and processors return: dictionaries that also answer to attributes, and that Keras can walk.

Models return :class:`ModelOutput`, processors return :class:`BatchFeature` or :class:`BatchEncoding`. Absent fields are
omitted, never ``None``: an empty leaf breaks ``predict``, compiled metrics and functional models.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable
from typing import Any, ClassVar


class TensorDict(dict):
    """A dictionary of tensors whose keys are attributes too.

    Keras and JAX treat an unknown ``dict`` subclass as one opaque leaf, so every subclass is made known to both by
    :func:`register_pytrees`, which the model code calls when it is imported. Processors alone need neither library.
    """

    _classes: ClassVar[list[type[TensorDict]]] = []
    _activated: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        TensorDict._classes.append(cls)
        if TensorDict._activated:
            _register(cls)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(
                f"{type(self).__name__} has no field {name!r}; it holds {list(self)}"
            ) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (dict(self),))


def _flatten(tree: TensorDict) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    return tuple(tree.values()), tuple(tree.keys())


def _register(cls: type[TensorDict]) -> None:
    def unflatten(keys: Iterable[str], values: Iterable[Any]) -> TensorDict:
        return cls(zip(keys, values, strict=True))

    with contextlib.suppress(ImportError):
        import optree

        optree.register_pytree_node(
            cls,
            lambda tree: (*_flatten(tree), tuple(tree.keys())),
            unflatten,
            namespace="keras",
        )
    # Only where it is in use: importing JAX beside TensorFlow takes a second.
    if "jax" in sys.modules:
        import jax

        jax.tree_util.register_pytree_node(cls, _flatten, unflatten)


def register_pytrees() -> None:
    """Make every output class known to Keras (optree, namespace "keras") and to JAX; idempotent."""
    if TensorDict._activated:
        return
    TensorDict._activated = True
    for cls in TensorDict._classes:
        _register(cls)


class BatchFeature(TensorDict):
    """What a feature extractor returns: ``input_values`` (batch, samples) and perhaps ``attention_mask``."""

    @property
    def data(self) -> dict[str, Any]:
        """The fields as a plain dictionary (reference: ``BatchFeature.data``)."""
        return dict(self)


class BatchEncoding(TensorDict):
    """What a tokenizer returns: ``input_ids`` (batch, labels) and ``attention_mask``."""

    @property
    def data(self) -> dict[str, Any]:
        """The fields as a plain dictionary (reference: ``BatchEncoding.data``)."""
        return dict(self)


class ModelOutput(TensorDict):
    """What a model returns. Fields answer to attribute, key and position: ``out.logits``, ``out["logits"]``, ``out[0]``.

    Positions and :meth:`to_tuple` follow the reference's field order. ``frame_lengths`` (batch,), the number of valid
    frames of each row, is this package's addition: it has a name but no position, so that code written for the
    reference unpacks what it expects.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    unpositioned: ClassVar[frozenset[str]] = frozenset({"frame_lengths"})

    # Fields without an axis of frames: one value for each row, or one for the whole batch.
    per_row: ClassVar[frozenset[str]] = frozenset({"frame_lengths"})
    per_batch: ClassVar[frozenset[str]] = frozenset({"loss"})

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, (int, slice)):
            return self.to_tuple()[key]
        return super().__getitem__(key)

    def __getattr__(self, name: str) -> Any:
        # A field that this call did not ask for reads as None, as in the reference, although no leaf is stored.
        if name in type(self).fields and name not in self:
            return None
        return super().__getattr__(name)

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are present, in the reference's order, without ``frame_lengths``."""
        return tuple(value for name, value in self.items() if name not in type(self).unpositioned)

    @classmethod
    def of(cls, **fields: Any) -> ModelOutput:
        """Build an output in field order from the fields that are not ``None``."""
        unknown = set(fields) - set(cls.fields)
        if unknown:
            raise TypeError(f"{cls.__name__} has no fields {sorted(unknown)}; it has {list(cls.fields)}")
        return cls((name, fields[name]) for name in cls.fields if fields.get(name) is not None)


class Wav2Vec2BaseModelOutput(ModelOutput):
    """The backbone's output (reference: ``Wav2Vec2BaseModelOutput``).

    ``last_hidden_state`` (batch, frames, hidden), ``extract_features`` (batch, frames, conv_dim[-1]) after the
    projection's layer norm, ``hidden_states`` and ``attentions`` as tuples when asked for, ``frame_lengths`` (batch,).
    """

    fields = ("last_hidden_state", "extract_features", "hidden_states", "attentions", "frame_lengths")


class CausalLMOutput(ModelOutput):
    """The CTC head's output (reference: ``CausalLMOutput``).

    ``loss`` when labels were given, ``logits`` (batch, frames, vocab), ``hidden_states`` and ``attentions`` when asked
    for, ``frame_lengths`` (batch,).
    """

    fields = ("loss", "logits", "hidden_states", "attentions", "frame_lengths")


class SequenceClassifierOutput(ModelOutput):
    """A classifier's output for whole clips (reference: ``SequenceClassifierOutput``).

    ``loss`` when labels were given, ``logits`` (batch, num_labels), ``hidden_states`` and ``attentions`` when asked
    for, ``frame_lengths`` (batch,).
    """

    fields = ("loss", "logits", "hidden_states", "attentions", "frame_lengths")
    per_row = ModelOutput.per_row | {"logits"}


class TokenClassifierOutput(ModelOutput):
    """A classifier's output for every frame (reference: ``TokenClassifierOutput``).

    ``loss`` when labels were given, ``logits`` (batch, frames, num_labels), ``hidden_states`` and ``attentions`` when
    asked for, ``frame_lengths`` (batch,).
    """

    fields = ("loss", "logits", "hidden_states", "attentions", "frame_lengths")


class XVectorOutput(ModelOutput):
    """The speaker head's output (reference: ``XVectorOutput``).

    ``loss`` when labels were given, ``logits`` and ``embeddings`` (batch, xvector_output_dim), ``hidden_states`` and
    ``attentions`` when asked for, ``frame_lengths`` (batch,) of the encoder. ``speaker_scores`` (batch, num_labels), the
    cosines of the logits and each speaker of the training data, tell who of them it is: this package's addition, which
    has a name but no position.
    """

    fields = (
        "loss",
        "logits",
        "embeddings",
        "hidden_states",
        "attentions",
        "frame_lengths",
        "speaker_scores",
    )
    unpositioned = ModelOutput.unpositioned | {"speaker_scores"}
    per_row = ModelOutput.per_row | {"logits", "embeddings", "speaker_scores"}


class Wav2Vec2ForPreTrainingOutput(ModelOutput):
    """The pretraining head's output (reference: ``Wav2Vec2ForPreTrainingOutput``).

    ``loss`` when there are negatives; ``projected_states`` and ``projected_quantized_states``
    (batch, frames, proj_codevector_dim); ``codevector_perplexity``, a number for the whole batch; ``hidden_states`` and
    ``attentions`` when asked for; beside the loss its parts ``contrastive_loss`` and ``diversity_loss``, and how many
    hidden frames were told from all their distractors, ``contrastive_correct`` of ``contrastive_total``;
    ``frame_lengths`` (batch,).
    """

    fields = (
        "loss",
        "projected_states",
        "projected_quantized_states",
        "codevector_perplexity",
        "hidden_states",
        "attentions",
        "contrastive_loss",
        "diversity_loss",
        "contrastive_correct",
        "contrastive_total",
        "frame_lengths",
    )
    _objective = frozenset({"contrastive_loss", "diversity_loss", "contrastive_correct", "contrastive_total"})
    # The reference's tuples end before them.
    unpositioned = ModelOutput.unpositioned | _objective
    per_batch = ModelOutput.per_batch | {"codevector_perplexity"} | _objective
