"""From text to tokens and their ids."""

from __future__ import annotations

import logging
import re
from typing import Any

from tfwav2vec2.language.special_tokens import SpecialTokens
from tfwav2vec2.language.vocabulary import AddedToken

logger = logging.getLogger(__name__)


class TextToTokens(SpecialTokens):
    """Cuts text into characters and added tokens (reference: ``tokenize`` of ``PreTrainedTokenizer``)."""

    do_lower_case: bool
    split_special_tokens: bool
    word_delimiter_token: str | None

    def tokenize(self, text: str, is_split_into_words: bool = False, **options: Any) -> list[str]:
        """Cut a text into tokens, known or not.

        Args:
            text: any text.
            is_split_into_words: whether it is one word of several, before which a space belongs.
            options: ``split_special_tokens``, whether added tokens are cut into characters as well.
        """
        split_all = options.pop("split_special_tokens", self.split_special_tokens)
        if options:
            logger.warning("tokenize has no arguments named %s; ignored", ", ".join(options))
        text = f" {text}" if is_split_into_words else text
        text = self._lower(text) if self.do_lower_case else text
        if split_all:
            return self._characters(text)
        pieces = self.vocabulary.split(text)
        for index, piece in enumerate(pieces):
            token = self.vocabulary.added_token(piece)
            if token is not None:
                _make_room(pieces, index, token)
        tokens: list[str] = []
        for piece in pieces:
            tokens += [piece] if self.vocabulary.added_token(piece) else self._characters(piece)
        return tokens

    def _lower(self, text: str) -> str:
        """Lower-case all but special tokens, so that added tokens are found whatever the case."""
        kept = self.all_special_tokens
        kept += [
            token.content
            for token in self.vocabulary.added.values()
            if token.normalized and not token.special
        ]
        if not kept:
            return text.lower()
        pieces = re.split(f"({'|'.join(map(re.escape, kept))})", text)
        return "".join(piece if index % 2 else piece.lower() for index, piece in enumerate(pieces))

    def _characters(self, text: str) -> list[str]:
        delimiter = self.word_delimiter_token or " "
        return [delimiter if char == " " else char for char in (text.upper() if self.do_lower_case else text)]

    def _ids_of(self, text: Any, is_split_into_words: bool, options: dict[str, Any]) -> list[int]:
        """The ids of a text, of a list of words, of a list of tokens, or ids as they are."""
        items = text if isinstance(text, (list, tuple)) else [text]
        if isinstance(text, (list, tuple)) and all(isinstance(item, int) for item in items):
            return list(items)
        if not all(isinstance(item, str) for item in items):
            raise ValueError(f"Text must be a string, a list of strings or a list of ids; got {text!r}")
        if isinstance(text, str):
            tokens = self.tokenize(text, **options)
        elif is_split_into_words:
            tokens = [
                token for word in items for token in self.tokenize(word, is_split_into_words=True, **options)
            ]
        else:
            tokens = list(items)
        ids = self.convert_tokens_to_ids(tokens)
        if None in ids:
            raise ValueError(
                f"The token {tokens[ids.index(None)]!r} is not in the vocabulary, and there is no unk_token to stand for it"
            )
        return ids


def _make_room(pieces: list[str], index: int, token: AddedToken) -> None:
    """Let an added token swallow the spaces around it, or dissolve where it must stand alone and does not."""
    left = pieces[index - 1] if index > 0 else ""
    right = pieces[index + 1] if index + 1 < len(pieces) else ""
    if token.rstrip and right:
        pieces[index + 1] = right.lstrip()
    if token.lstrip and left:
        pieces[index - 1] = left.rstrip()
    if token.single_word and left and left[-1] != " ":
        pieces[index - 1] += token.content
        pieces[index] = ""
    elif token.single_word and right and right[0] != " ":
        pieces[index + 1] = token.content + pieces[index + 1]
        pieces[index] = ""
