"""Lists of ids brought to one length: truncation, padding, masks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tfwav2vec2.batching import Padding, as_columns, is_tensor, kind_of, round_up, to_numpy, to_tensors
from tfwav2vec2.language.special_tokens import SpecialTokens
from tfwav2vec2.outputs import BatchEncoding

logger = logging.getLogger(__name__)

# A tokenizer without a limit has this ``model_max_length`` (reference: ``VERY_LARGE_INTEGER``).
NO_LIMIT = int(1e30)
_LARGEST_LIMIT = int(1e20)

_TRUNCATIONS = {"longest_first": True, "only_first": True, "only_second": False, "do_not_truncate": False}


@dataclass(frozen=True)
class Fitting:
    """How far sequences are cut and padded: the arguments of a call, resolved."""

    padding: Padding
    truncate: bool
    max_length: int | None
    pad_to_multiple_of: int | None = None
    padding_side: str | None = None


class IdPadding(SpecialTokens):
    """Cuts and pads ids (reference: ``pad`` and ``truncate_sequences`` of ``PreTrainedTokenizerBase``)."""

    model_max_length: int
    model_input_names: list[str]
    padding_side: str
    truncation_side: str

    def _fitting(
        self,
        padding: bool | str,
        truncation: bool | str | None,
        max_length: int | None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
    ) -> Fitting:
        """Read the arguments as the reference does.

        ``max_length`` alone, with neither ``padding`` nor ``truncation`` mentioned, truncates.
        """
        strategy = Padding.of(padding)
        if truncation is None and strategy is Padding.LONGEST and max_length is not None:
            logger.warning(
                "padding=True pads to the longest: max_length has no effect without truncation=True"
            )
        truncate = _truncates(truncation, default=max_length is not None and padding is False)
        if max_length is None and (truncate or strategy is Padding.MAX_LENGTH):
            if self.model_max_length <= _LARGEST_LIMIT:
                max_length = self.model_max_length
            else:
                logger.warning(
                    "Neither max_length nor a limit of the model is known: no padding up to it, no truncation"
                )
                truncate = False
                strategy = Padding.DO_NOT_PAD if strategy is Padding.MAX_LENGTH else strategy
        if strategy is not Padding.DO_NOT_PAD and self.pad_token is None:
            raise ValueError("Padding needs a padding token; set tokenizer.pad_token to the vocabulary's")
        both = truncate and strategy is not Padding.DO_NOT_PAD
        if both and max_length is not None and round_up(max_length, pad_to_multiple_of) != max_length:
            raise ValueError(
                f"max_length {max_length} is not a multiple of pad_to_multiple_of {pad_to_multiple_of}: a sequence "
                "cannot be cut to the one and padded to the other"
            )
        return Fitting(strategy, truncate, max_length, pad_to_multiple_of, padding_side)

    def _cut(self, ids: list[int], fitting: Fitting, stride: int) -> tuple[list[int], list[int]]:
        """The ids that fit, and those that did not with ``stride`` of their neighbours."""
        limit = fitting.max_length
        if not fitting.truncate or not limit or limit < 0 or len(ids) <= limit:
            return ids, []
        window = min(len(ids), stride + len(ids) - limit)
        if self.truncation_side == "left":
            return ids[-limit:], ids[:window]
        return ids[:limit], ids[-window:]

    def _wants_mask(self, return_attention_mask: bool | None) -> bool:
        if return_attention_mask is None:
            return "attention_mask" in self.model_input_names
        return return_attention_mask

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Bring sequences of ids to one length, as a data collator does.

        Args:
            encoded_inputs: ``{"input_ids": [...]}`` of one sequence or of a batch, or a list of such dictionaries.
            padding: True (or ``"longest"``), ``"max_length"``, or False.
            max_length: what ``padding="max_length"`` pads to.
            pad_to_multiple_of: rounds the padded length up.
            padding_side: ``"right"`` or ``"left"``; the tokenizer's own by default.
            return_attention_mask: whether to return 1 for each id and 0 for padding; True by default.
            return_tensors: ``"np"``, ``"tf"``, ``"pt"`` or ``"jax"``; by default the kind that came in.
            verbose: has no effect.

        Raises:
            ValueError: for missing ``input_ids``, fields of different batch sizes, or no padding token.
        """
        columns = as_columns(encoded_inputs)
        if "input_ids" not in columns:
            raise ValueError(f"Padding needs a field input_ids; got {list(columns)}")
        ids = columns["input_ids"]
        if ids is None or len(ids) == 0:
            return BatchEncoding(columns | ({"attention_mask": []} if return_attention_mask else {}))
        kind = return_tensors or kind_of(ids) or kind_of(ids[0])
        columns = {name: _to_python(value) for name, value in columns.items()}
        fitting = self._fitting(padding, False, max_length, pad_to_multiple_of, padding_side)
        wants_mask = self._wants_mask(return_attention_mask)
        if not isinstance(columns["input_ids"][0], list):
            return to_tensors(BatchEncoding(self._pad_one(columns, fitting, wants_mask)), kind)
        return to_tensors(BatchEncoding(self._pad_batch(columns, fitting, wants_mask)), kind)

    def _pad_batch(
        self, columns: Mapping[str, Any], fitting: Fitting, wants_mask: bool
    ) -> dict[str, list[Any]]:
        sizes = {name: len(values) for name, values in columns.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"All fields must have the same number of rows; got {sizes}")
        if fitting.padding is Padding.LONGEST:
            longest = max(map(len, columns["input_ids"]))
            fitting = replace(fitting, padding=Padding.MAX_LENGTH, max_length=longest)
        rows = [
            self._pad_one({name: values[row] for name, values in columns.items()}, fitting, wants_mask)
            for row in range(sizes["input_ids"])
        ]
        return {name: [row[name] for row in rows] for name in rows[0]}

    def _pad_one(self, fields: Mapping[str, Any], fitting: Fitting, wants_mask: bool) -> dict[str, Any]:
        fields = dict(fields)
        ids = fields["input_ids"]
        if wants_mask:
            fields.setdefault("attention_mask", [1] * len(ids))
        if fitting.padding is Padding.DO_NOT_PAD:
            return fields
        side = fitting.padding_side or self.padding_side
        if side not in ("right", "left"):
            raise ValueError(f"padding_side is {side!r}; it must be 'right' or 'left'")
        limit = None if fitting.padding is Padding.LONGEST else fitting.max_length
        length = len(ids) if limit is None else limit
        missing = round_up(length, fitting.pad_to_multiple_of) - len(ids)
        fillers = {
            "input_ids": self.pad_token_id,
            "attention_mask": 0,
            "token_type_ids": 0,
            "special_tokens_mask": 1,
        }
        for name in fields.keys() & fillers.keys():
            filling = [fillers[name]] * missing
            fields[name] = fields[name] + filling if side == "right" else filling + fields[name]
        return fields


def _truncates(truncation: bool | str | None, default: bool) -> bool:
    if truncation is None:
        return default
    if isinstance(truncation, bool):
        return truncation
    name = str(getattr(truncation, "value", truncation))
    if name not in _TRUNCATIONS:
        raise ValueError(
            f"truncation is {truncation!r}; it must be True, False or one of {', '.join(map(repr, _TRUNCATIONS))}"
        )
    return _TRUNCATIONS[name]


def _to_python(value: Any) -> Any:
    if is_tensor(value):
        return to_numpy(value).tolist()
    if isinstance(value, (list, tuple)):
        return [_to_python(item) for item in value]
    return value
