"""Text from logits inside a TensorFlow graph: the best path, as the tokenizer writes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfwav2vec2.language.decoding import CLEAN_UP
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer


@dataclass(frozen=True)
class GraphText:
    """A tokenizer's way from ids to text, as constants of a graph.

    Args:
        pieces: what each id writes; nothing for the blank.
        merged_as: for each id the first one with the same token: what a vocabulary does not have is one unknown token.
        blank: the id of the blank.
        clean_up: whether spaces before English punctuation are taken out.
    """

    pieces: tuple[str, ...]
    merged_as: tuple[int, ...]
    blank: int
    clean_up: bool

    @classmethod
    def of(cls, tokenizer: Wav2Vec2CTCTokenizer, size: int) -> GraphText:
        """From a tokenizer and the number of ids that the model knows.

        Raises:
            ValueError: where an id has no token.
        """
        tokens = tokenizer.convert_ids_to_tokens(list(range(size)))
        if None in tokens:
            raise ValueError(
                f"The model has {size} labels, and the vocabulary no token for {tokens.index(None)}; check that the "
                "tokenizer belongs to the model"
            )
        written = [
            tokenizer.replace_word_delimiter_char if token == tokenizer.word_delimiter_token else token
            for token in tokens
        ]
        if tokenizer.do_lower_case:
            written = [piece.lower() for piece in written]
        blank = tokenizer.pad_token_id
        written[blank] = ""
        merged_as = tuple(tokens.index(token) for token in tokens)
        return cls(tuple(written), merged_as, blank, bool(tokenizer.clean_up_tokenization_spaces))

    def best_path(self, logits: Any, frame_lengths: Any) -> tuple[Any, Any]:
        """The likeliest id of each frame (batch, frames) int32, the blank past a row's length, and which frames count."""
        ids = tf.argmax(logits, axis=-1, output_type=tf.int32)
        valid = tf.sequence_mask(frame_lengths, tf.shape(logits)[1])
        return tf.where(valid, ids, self.blank), valid

    def text(self, ids: Any) -> Any:
        """The texts (batch,) of best paths (batch, frames): neighbours merged, blanks left out."""
        ids = tf.gather(tf.constant(self.merged_as), ids)
        before = tf.pad(ids[:, :-1], [[0, 0], [1, 0]], constant_values=-1)
        pieces = tf.gather(tf.constant(self.pieces), ids)
        pieces = tf.where(tf.equal(ids, before), "", pieces)
        text = tf.strings.strip(tf.strings.reduce_join(pieces, axis=1))
        for spaced, joined in CLEAN_UP.items() if self.clean_up else ():
            text = tf.strings.regex_replace(text, re.escape(spaced), joined)
        return text

    def confidence(self, logits: Any, ids: Any, valid: Any) -> Any:
        """How sure the model is of each text (batch,), 0 to 1: the mean probability of the frames that write something.

        Where no frame does, the mean over all valid frames: how sure it is of silence.
        """
        best = tf.reduce_max(tf.nn.softmax(tf.cast(logits, tf.float32)), axis=-1)
        writes = valid & tf.not_equal(ids, self.blank)
        counted = tf.where(tf.reduce_any(writes, axis=1, keepdims=True), writes, valid)
        counted = tf.cast(counted, tf.float32)
        return tf.math.divide_no_nan(tf.reduce_sum(best * counted, axis=1), tf.reduce_sum(counted, axis=1))
