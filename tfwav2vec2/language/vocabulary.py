"""Tokens and their numbers: the vocabulary of a checkpoint and the tokens that were added to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfwav2vec2.config import Wav2Vec2Config
    from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer


@dataclass
class AddedToken:
    """A token that is never split, and what happens around it in a text (reference: ``tokenizers.AddedToken``).

    Args:
        content: the token itself.
        single_word: whether it stands for itself only between spaces.
        lstrip: whether it swallows the white space on its left.
        rstrip: whether it swallows the white space on its right.
        normalized: whether lower-casing applies to it; by default to all but special tokens.
        special: whether ``skip_special_tokens`` leaves it out.
    """

    content: str
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool | None = None
    special: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.content, str):
            raise TypeError(f"A token is text; got {self.content!r}")
        if self.normalized is None:
            self.normalized = not self.special

    @classmethod
    def of(cls, token: Any) -> AddedToken:
        """A token from text, from a dictionary as files hold it, or from another library's object."""
        if isinstance(token, str):
            return cls(token, normalized=False)
        get = token.get if isinstance(token, Mapping) else lambda name: getattr(token, name, None)
        given = {name: get(name) for name in cls.__dataclass_fields__}
        if not isinstance(given["content"], str):
            raise TypeError(f"A token is text, an AddedToken, or a dictionary with 'content'; got {token!r}")
        return cls(**{name: value for name, value in given.items() if value is not None})

    def to_dict(self) -> dict[str, Any]:
        """The fields as files hold them."""
        return dict(vars(self))

    def __str__(self) -> str:
        return self.content


class Vocabulary:
    """Token to id and back.

    Args:
        encoder: the checkpoint's own tokens with their ids.
        added: tokens on top of them by id; one that contradicts ``encoder`` is left out.

    The ids of added tokens are those after the checkpoint's own, except where they merely mark one of its tokens as
    not to be split.
    """

    def __init__(self, encoder: dict[str, int], added: dict[int, AddedToken] | None = None) -> None:
        self.encoder = encoder
        self.decoder = {index: token for token, index in encoder.items()}
        # An added token that claims the id of another token, or another id for a known token, comes from another
        # language's vocabulary: transformers 4.57 keeps it and then decodes wrongly, 5.x drops it.
        self.added = {
            index: token
            for index, token in (added or {}).items()
            if self.decoder.get(index, token.content) == token.content
            and encoder.get(token.content, index) == index
        }
        self._added_ids = {token.content: index for index, token in self.added.items()}
        self._splitter: re.Pattern[str] | None = None

    def __len__(self) -> int:
        return len(self.encoder.keys() | self._added_ids.keys())

    def id_of(self, token: str) -> int | None:
        """The id of a token; None if there is none."""
        return self._added_ids.get(token, self.encoder.get(token))

    def token_of(self, index: int) -> str | None:
        """The token with an id; None if there is none."""
        added = self.added.get(index)
        return self.decoder.get(index) if added is None else added.content

    def added_token(self, content: str) -> AddedToken | None:
        """The added token with this text; None if there is none."""
        index = self._added_ids.get(content)
        return None if index is None else self.added[index]

    def added_ids(self) -> dict[str, int]:
        """The added tokens with their ids, in the order of the ids."""
        return {token.content: index for index, token in sorted(self.added.items())}

    def ids(self) -> dict[str, int]:
        """Every token with its id."""
        return self.encoder | self.added_ids()

    def add(self, token: AddedToken) -> bool:
        """Add a token, or mark one that is there as not to be split; whether it was new.

        A new token gets the id that follows the number of tokens, or the next one that is free.
        """
        index = self.id_of(token.content)
        is_new = index is None
        if index is None:
            index = len(self)
            while index in self.decoder or index in self.added:
                index += 1
        self.added[index] = token
        self._added_ids[token.content] = index
        self._splitter = None
        return is_new

    def split(self, text: str) -> list[str]:
        """Cut a text before and after each added token, the leftmost first and of those the longest.

        The reference's search can lose a token that begins inside another one which then turns out not to match; this
        one does not.
        """
        if not self._added_ids:
            return [text] if text else []
        if self._splitter is None:
            longest_first = sorted(self._added_ids, key=len, reverse=True)
            self._splitter = re.compile(f"({'|'.join(map(re.escape, longest_first))})")
        return [piece for piece in self._splitter.split(text) if piece]


def check_encoder(encoder: Any, source: str) -> dict[str, int]:
    """The tokens of one language with their ids, as a file holds them.

    Raises:
        ValueError: where it is anything else than token to id.
    """
    good = isinstance(encoder, dict) and all(
        isinstance(index, int) and not isinstance(index, bool) and index >= 0 for index in encoder.values()
    )
    if not good or not encoder:
        raise ValueError(f"{source} must map each token to its id, a number from 0 on")
    return encoder


def check_vocabulary(tokenizer: Wav2Vec2CTCTokenizer, config: Wav2Vec2Config) -> None:
    """Make sure that a head's outputs can be read with a tokenizer, before a transcript is made of them.

    Tokens that were added after training, such as ``<s>`` where the vocabulary has none, may lie beyond the head's
    outputs: it never emits them.

    Args:
        tokenizer: turns the head's outputs to text.
        config: the model's configuration; its ``vocab_size`` is the number of outputs.

    Raises:
        ValueError: where an output has no token, a token of the vocabulary has no output, or the blank lies beyond the
            outputs.
    """
    outputs = config.vocab_size
    head = f"The head of {config.name_or_path}" if config.name_or_path else "The head"
    remedy = "take the tokenizer that belongs to this model (for several languages: set_target_lang)"
    nameless = [index for index in range(outputs) if tokenizer.vocabulary.token_of(index) is None]
    if nameless:
        raise ValueError(
            f"{head} has {outputs} outputs and the vocabulary {len(tokenizer)} tokens: output {nameless[0]} has no "
            f"token; {remedy}"
        )
    largest = max(tokenizer.decoder)
    if largest >= outputs:
        raise ValueError(
            f"{head} has {outputs} outputs and the token {tokenizer.decoder[largest]!r} of the vocabulary has the id "
            f"{largest}; {remedy}"
        )
    blank = tokenizer.pad_token_id
    if blank is None or blank >= outputs:
        raise ValueError(
            f"The blank, {tokenizer.pad_token!r}, has the id {blank}, and {head[0].lower()}{head[1:]} {outputs} outputs; set pad_token to "
            "the token that the model was trained with as its blank"
        )
