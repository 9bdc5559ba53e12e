"""From texts to a batch of ids: what a call of the tokenizer does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfwav2vec2.batching import to_tensors
from tfwav2vec2.language.id_padding import Fitting, IdPadding
from tfwav2vec2.language.text_to_tokens import TextToTokens
from tfwav2vec2.outputs import BatchEncoding


@dataclass(frozen=True)
class Wanted:
    """Which fields a call is to return besides the ids, and how."""

    attention_mask: bool
    overflowing_tokens: bool = False
    stride: int = 0
    token_type_ids: bool = False
    special_tokens_mask: bool = False
    length: bool = False
    tensors: str | None = None


class _OneSequence(list):
    """Tokens or ids of a single text, which would otherwise be taken for a list of texts."""


class Encoding(TextToTokens, IdPadding):
    """Turns texts into batches (reference: ``__call__`` and ``encode`` of ``PreTrainedTokenizerBase``)."""

    def __call__(
        self,
        text: Any = None,
        text_pair: None = None,
        text_target: Any = None,
        text_pair_target: None = None,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        verbose: bool = True,
        **options: Any,
    ) -> BatchEncoding:
        """Encode one text or a list of texts.

        Args:
            text: a text, or a list of texts; with ``is_split_into_words`` a list of words, or a list of these.
            text_pair, text_pair_target: None; pairs of texts have no meaning for CTC.
            text_target: what the field ``labels`` is made of where ``text`` is given too; otherwise the same as ``text``.
            add_special_tokens: has no effect: CTC has none to add.
            padding: False, True (or ``"longest"``) or ``"max_length"``.
            truncation: whether to cut at ``max_length`` ids. Left out, ``max_length`` cuts where nothing is padded.
            max_length: in ids.
            stride: how many of the ids that were kept ``overflowing_tokens`` repeats.
            is_split_into_words: see ``text``.
            pad_to_multiple_of: rounds the padded length up.
            padding_side: ``"right"`` or ``"left"``; the tokenizer's own by default.
            return_tensors: ``"np"``, ``"tf"``, ``"pt"`` or ``"jax"``, always (batch, ids); by default lists.
            return_token_type_ids: whether to return zeros.
            return_attention_mask: whether to return 1 for each id and 0 for padding; by default yes.
            return_overflowing_tokens: whether to return what was cut off.
            return_special_tokens_mask: whether to return 0 for each id and 1 for padding.
            return_offsets_mapping: False; offsets in the text are not available.
            return_length: whether to return the number of ids, of a single text with padding, in a list without.
            verbose: has no effect.
            options: ``split_special_tokens``.

        Raises:
            ValueError: for what is no text, and for arguments that exclude each other.
            NotImplementedError: for ``return_offsets_mapping``, as in the reference.
        """
        if text is None and text_target is None:
            raise ValueError("There is nothing to encode; give text or text_target")
        if text_pair is not None or text_pair_target is not None:
            raise ValueError("Pairs of texts have no meaning for CTC; encode each text on its own")
        if return_offsets_mapping:
            raise NotImplementedError(
                "Offsets in the text are not available; leave return_offsets_mapping out"
            )
        fitting = self._fitting(padding, truncation, max_length, pad_to_multiple_of, padding_side)
        wanted = Wanted(
            attention_mask=self._wants_mask(return_attention_mask),
            overflowing_tokens=return_overflowing_tokens,
            stride=stride,
            token_type_ids=bool(return_token_type_ids),
            special_tokens_mask=return_special_tokens_mask,
            length=return_length,
            tensors=return_tensors,
        )
        encoded = self._encode(
            text_target if text is None else text, is_split_into_words, options, fitting, wanted
        )
        if text is not None and text_target is not None:
            labels = self._encode(text_target, is_split_into_words, options, fitting, wanted)
            encoded["labels"] = labels["input_ids"]
        return encoded

    def encode(
        self, text: Any, text_pair: None = None, add_special_tokens: bool = True, **options: Any
    ) -> Any:
        """The ids of one text, of a list of tokens, or of a list of ids; arguments as for a call."""
        if isinstance(text, (list, tuple)) and not options.get("is_split_into_words"):
            text = _OneSequence(text)
        return self(text, text_pair, **options)["input_ids"]

    def _encode(
        self, text: Any, split_into_words: bool, options: dict[str, Any], fitting: Fitting, wanted: Wanted
    ) -> BatchEncoding:
        if not _is_batch(text, split_into_words):
            row = self._row(self._ids_of(text, split_into_words, dict(options)), fitting, wanted)
            row = self._pad_one(row, fitting, wanted.attention_mask)
            if wanted.length:
                row["length"] = len(row["input_ids"])
            return to_tensors(BatchEncoding(row), wanted.tensors, add_batch_axis=True)
        if not text:
            raise ValueError("There is nothing to encode: the list of texts is empty")
        if not split_into_words and not all(isinstance(item, str) for item in text):
            raise ValueError(
                "A list of texts must hold strings; for lists of words pass is_split_into_words=True"
            )
        rows = [
            self._row(self._ids_of(item, split_into_words, dict(options)), fitting, wanted) for item in text
        ]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        if wanted.length:
            columns["length"] = [len(row["input_ids"]) for row in rows]
        batch = BatchEncoding(self._pad_batch(columns, fitting, wanted.attention_mask))
        return to_tensors(batch, wanted.tensors)

    def _row(self, ids: list[int], fitting: Fitting, wanted: Wanted) -> dict[str, Any]:
        kept, overflow = self._cut(ids, fitting, wanted.stride)
        row: dict[str, Any] = {"input_ids": kept}
        if wanted.overflowing_tokens:
            limit = len(ids) if fitting.max_length is None else fitting.max_length
            row |= {"overflowing_tokens": overflow, "num_truncated_tokens": len(ids) - limit}
        if wanted.token_type_ids:
            row["token_type_ids"] = [0] * len(kept)
        if wanted.special_tokens_mask:
            row["special_tokens_mask"] = [0] * len(kept)
        return row


def _is_batch(text: Any, split_into_words: bool) -> bool:
    if isinstance(text, (str, _OneSequence)):
        return False
    if not isinstance(text, (list, tuple)):
        raise ValueError(f"Text must be a string or a list of strings; got a {type(text).__name__}")
    return not split_into_words or bool(text and isinstance(text[0], (list, tuple)))
