"""The metrics of the heads: what ``fit`` and ``evaluate`` report beside the loss.

All of them run inside the training step, compiled or not, on every backend and under every distribution strategy, and
count over all batches before they divide. The equal error rate of speakers is in :mod:`tfwav2vec2.metrics.verification`.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfwav2vec2.backbone.lengths import valid_mask
from tfwav2vec2.metrics.edit_distance import edit_distance
from tfwav2vec2.metrics.task_metric import Ratio
from tfwav2vec2.metrics.token_sequences import (
    greedy_tokens,
    label_tokens,
    number_words,
    to_front,
    without_outer,
)


class _ErrorRate(Ratio):
    """What the error rates of characters and words share: two transcripts as tokens."""

    def __init__(self, blank: int, word_delimiter_token_id: int | None, name: str, dtype: Any) -> None:
        super().__init__(name=name, dtype=dtype)
        self.blank = blank
        self.word_delimiter_token_id = word_delimiter_token_id

    def transcripts(self, labels: Any, output: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        """Tokens and their numbers of what was found by greedy decoding, and of what was said."""
        found = greedy_tokens(output["logits"], output["frame_lengths"], self.blank)
        said = label_tokens(labels, self.blank)
        if self.word_delimiter_token_id is not None:
            found, said = (
                (tokens, without_outer(tokens, counted, self.word_delimiter_token_id))
                for tokens, counted in (found, said)
            )
        return to_front(*found), to_front(*said)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        own = {"blank": self.blank, "word_delimiter_token_id": self.word_delimiter_token_id}
        return super().get_config() | own


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class CharacterErrorRate(_ErrorRate):
    """The character error rate of greedy CTC decoding: all edits over all characters of the labels.

    Tokens stand for characters, the delimiter between words among them, but not at the ends of a transcript. That is the
    rate of the tokenizer's texts wherever every token is one character.

    Args:
        blank: the id of the blank, ``config.pad_token_id``.
        word_delimiter_token_id: the id of the token between words; None where there is none.
    """

    def __init__(
        self, blank: int = 0, word_delimiter_token_id: int | None = None, name: str = "cer", dtype: Any = None
    ) -> None:
        super().__init__(blank, word_delimiter_token_id, name, dtype)

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            labels: (batch, labels), negative where there is none.
            output: ``logits`` (batch, frames, vocab) and ``frame_lengths`` (batch,).
            sample_weight: not used.
        """
        found, said = self.transcripts(labels, output)
        self.add(edit_distance(*found, *said), said[1])


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class WordErrorRate(_ErrorRate):
    """The word error rate of greedy CTC decoding: all edits over all words of the labels.

    Words are the runs of tokens between delimiters.

    Args:
        word_delimiter_token_id: the id of the token between words, ``tokenizer.word_delimiter_token_id``.
        blank: the id of the blank, ``config.pad_token_id``.
    """

    def __init__(
        self, word_delimiter_token_id: int, blank: int = 0, name: str = "wer", dtype: Any = None
    ) -> None:
        super().__init__(blank, word_delimiter_token_id, name, dtype)

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Count a batch, as :meth:`CharacterErrorRate.update_state` does."""
        found, said = number_words(*self.transcripts(labels, output), self.word_delimiter_token_id)
        self.add(edit_distance(*found, *said), said[1])


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class ClassAccuracy(Ratio):
    """The share of clips whose likeliest class is the right one.

    Args:
        scores: the output that holds a score for each class: ``"logits"``, or ``"speaker_scores"`` of an x-vector model.
    """

    def __init__(self, scores: str = "logits", name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.scores = scores

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            labels: (batch,) the index of each clip's class; negative ones do not count.
            output: the scores (batch, classes).
            sample_weight: not used.
        """
        labels = ops.cast(labels, "int32")
        right = ops.cast(ops.argmax(output[self.scores], axis=-1), "int32") == labels
        self.add(right & (labels >= 0), labels >= 0)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor as plain data."""
        return super().get_config() | {"scores": self.scores}


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class FrameAccuracy(Ratio):
    """The share of valid frames whose likeliest class is the right one.

    Where labels mark several classes of a frame, as when two speakers talk at once, any of them is right; a frame of
    which they mark none does not count.
    """

    def __init__(self, name: str = "accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Count a batch.

        Args:
            labels: (batch, frames, classes), one-hot or multi-hot, or (batch, frames) class indices, negative where they
                do not count.
            output: ``logits`` (batch, frames, classes) and ``frame_lengths`` (batch,).
            sample_weight: not used.
        """
        logits = output["logits"]
        likeliest = ops.cast(ops.argmax(logits, axis=-1), "int32")
        if len(labels.shape) > 2:
            marked = ops.cast(labels, "float32")
            most = ops.max(marked, axis=-1)
            right = ops.take_along_axis(marked, likeliest[..., None], axis=-1)[..., 0] == most
            counted = most > 0
        else:
            right = ops.cast(labels, "int32") == likeliest
            counted = labels >= 0
        counted = counted & valid_mask(output["frame_lengths"], ops.shape(logits)[1])
        self.add(right & counted, counted)


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class ContrastiveAccuracy(Ratio):
    """Pretraining: how often a hidden frame is more similar to its own target than to every distractor.

    Equal similarities do not count as right, so that vectors which have all become one score nothing. Frames whose
    distractors all have the frame's own codes leave nothing to tell and do not count.
    """

    def __init__(self, name: str = "contrastive_accuracy", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Count a batch: ``contrastive_correct`` and ``contrastive_total``, numbers, of the output."""
        self.add(output["contrastive_correct"], output["contrastive_total"])


@keras.saving.register_keras_serializable(package="tfwav2vec2")
class CodebookPerplexity(Ratio):
    """Pretraining: how many entries of the codebook are in use, the mean over the batches of each batch's perplexity.

    In training it is that of the probabilities, in evaluation that of the choices
    (:class:`~tfwav2vec2.heads.quantizer.GumbelVectorQuantizer`).
    """

    def __init__(self, name: str = "codebook_perplexity", dtype: Any = None) -> None:
        super().__init__(name=name, dtype=dtype)

    def update_state(self, labels: Any, output: Any, sample_weight: Any = None) -> None:
        """Count a batch: ``codevector_perplexity``, a number, of the output."""
        self.add(output["codevector_perplexity"], 1.0)
