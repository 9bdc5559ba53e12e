"""Tokens with a role (beginning, end, unknown, padding), and the way from tokens to ids and back that needs them."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

from tfwav2vec2.language.vocabulary import AddedToken, Vocabulary

# In the order in which missing ones are added to the vocabulary.
NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
ADDITIONAL = "additional_special_tokens"


class _Token:
    """An attribute such as ``pad_token``: its text, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, tokenizer: SpecialTokens | None, owner: type) -> Any:
        if tokenizer is None:
            return self
        value = tokenizer._special_tokens[self.name]
        return None if value is None else str(value)

    def __set__(self, tokenizer: SpecialTokens, value: Any) -> None:
        tokenizer._special_tokens[self.name] = None if value is None else _checked(self.name, value)


class _TokenId:
    """An attribute such as ``pad_token_id``: the token's id, or None."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.token_name = name.removesuffix("_id")

    def __get__(self, tokenizer: SpecialTokens | None, owner: type) -> Any:
        if tokenizer is None:
            return self
        token = getattr(tokenizer, self.token_name)
        return None if token is None else tokenizer.convert_tokens_to_ids(token)

    def __set__(self, tokenizer: SpecialTokens, value: int | None) -> None:
        token = None if value is None else tokenizer.convert_ids_to_tokens(value)
        setattr(tokenizer, self.token_name, token)


class SpecialTokens:
    """The special tokens of a tokenizer, and its tokens' ids (reference: ``SpecialTokensMixin``).

    One thing differs from the reference: where the vocabulary has no unknown token, so that it gets the id that follows,
    unknown tokens have that id; in the reference they have None.
    """

    vocabulary: Vocabulary

    bos_token, bos_token_id = _Token(), _TokenId()
    eos_token, eos_token_id = _Token(), _TokenId()
    unk_token, unk_token_id = _Token(), _TokenId()
    sep_token, sep_token_id = _Token(), _TokenId()
    pad_token, pad_token_id = _Token(), _TokenId()
    cls_token, cls_token_id = _Token(), _TokenId()
    mask_token, mask_token_id = _Token(), _TokenId()

    def _init_special_tokens(self, given: Mapping[str, Any]) -> None:
        self._special_tokens: dict[str, Any] = dict.fromkeys(NAMED_TOKENS)
        self._special_tokens[ADDITIONAL] = []
        for name in NAMED_TOKENS:
            setattr(self, name, given.get(name))
        extra = given.get("extra_special_tokens") or {}
        # transformers 5 has a list where 4.57 has a dictionary of tokens with names of their own.
        self.extra_special_tokens = dict(extra) if isinstance(extra, Mapping) else {}
        additional = given.get(ADDITIONAL) or ([] if isinstance(extra, Mapping) else extra)
        if additional:
            self.additional_special_tokens = additional

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of several; an unknown one gets the unknown token's, None if there is none."""
        if tokens is None or isinstance(tokens, str):
            return self._id_of(tokens)
        return [self._id_of(token) for token in tokens]

    def _id_of(self, token: str | None) -> int | None:
        if token is None:
            return None
        index = self.vocabulary.id_of(token)
        return self.vocabulary.id_of(self.unk_token) if index is None else index

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of several; an unknown id gives the unknown token.

        With ``skip_special_tokens`` special tokens are left out, which for CTC frames includes the blanks.
        """
        if isinstance(ids, numbers.Integral):
            return self._token_of(int(ids))
        skipped = set(self.all_special_ids) if skip_special_tokens else ()
        return [self._token_of(index) for index in map(int, ids) if index not in skipped]

    def _token_of(self, index: int) -> str | None:
        token = self.vocabulary.token_of(index)
        return self.unk_token if token is None else token

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [str(token) for token in self._special_tokens[ADDITIONAL]]

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[Any] | None) -> None:
        if isinstance(tokens, str) or not isinstance(tokens or [], Sequence):
            raise TypeError(f"{ADDITIONAL} must be a list of tokens; got {tokens!r}")
        self._special_tokens[ADDITIONAL] = [_checked(ADDITIONAL, token) for token in tokens or []]

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """The ids of :attr:`additional_special_tokens`."""
        return self.convert_tokens_to_ids(self.additional_special_tokens)

    @additional_special_tokens_ids.setter
    def additional_special_tokens_ids(self, ids: Sequence[int]) -> None:
        self.additional_special_tokens = self.convert_ids_to_tokens(ids)

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """The special tokens that are set by role, as text or as :class:`AddedToken`."""
        return {
            name: value for name, value in (self._special_tokens | self.extra_special_tokens).items() if value
        }

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """The special tokens that are set by role, as text."""
        return {
            name: [str(token) for token in value] if isinstance(value, list) else str(value)
            for name, value in self.special_tokens_map_extended.items()
        }

    @property
    def all_special_tokens_extended(self) -> list[Any]:
        """Every special token once, as text or as :class:`AddedToken`."""
        by_text: dict[str, Any] = {}
        for value in self.special_tokens_map_extended.values():
            for token in value if isinstance(value, list) else [value]:
                by_text.setdefault(str(token), token)
        return list(by_text.values())

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once, as text."""
        return [str(token) for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of :attr:`all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_additional_special_tokens: bool = True
    ) -> int:
        """Give tokens a role, and an id if they have none yet.

        Args:
            special_tokens_dict: tokens by role (``pad_token`` and so on); a list for ``additional_special_tokens``.
            replace_additional_special_tokens: whether that list takes the place of the present one or extends it.

        Returns:
            How many were new to the vocabulary: the model's head must have that many outputs more.

        Raises:
            ValueError: for an unknown role.
            TypeError: for what is no token.
        """
        new: list[AddedToken] = []
        for name, value in special_tokens_dict.items():
            if name == ADDITIONAL:
                present = [] if replace_additional_special_tokens else self._special_tokens[ADDITIONAL]
                known = {str(token) for token in present}
                tokens = [_special(token) for token in value if str(token) not in known]
                if tokens:
                    self.additional_special_tokens = [*present, *tokens]
                new += tokens
            elif name in NAMED_TOKENS:
                setattr(self, name, _special(value))
                new.append(_special(value))
            else:
                raise ValueError(
                    f"{name!r} is no role of a token; there are {', '.join((*NAMED_TOKENS, ADDITIONAL))}"
                )
        return self.add_tokens(new, special_tokens=True)

    def add_tokens(self, new_tokens: Any, special_tokens: bool = False) -> int:
        """Add tokens, which are then never split.

        Args:
            new_tokens: one token or several, text or :class:`AddedToken`.
            special_tokens: whether ``skip_special_tokens`` is to leave them out.

        Returns:
            How many were new to the vocabulary: the model's head must have that many outputs more.
        """
        tokens = new_tokens if isinstance(new_tokens, (list, tuple)) else [new_tokens]
        return sum(self._add_token(AddedToken.of(token), special_tokens) for token in tokens if str(token))

    def _add_token(self, token: AddedToken, special: bool) -> bool:
        token.special = token.special or special
        if token.normalized and not token.special and getattr(self, "do_lower_case", False):
            token.content = token.content.lower()
        if token.special and token.content not in self.all_special_tokens:
            self._special_tokens[ADDITIONAL].append(token)
        return self.vocabulary.add(token)

    def _add_missing_special_tokens(self) -> None:
        for token in self.all_special_tokens_extended:
            if isinstance(token, AddedToken) or self.vocabulary.added_token(token) is None:
                self._add_token(AddedToken.of(token), special=True)


def _checked(name: str, token: Any) -> Any:
    if isinstance(token, str):
        return token
    try:
        return AddedToken.of(token)
    except TypeError:
        raise TypeError(f"{name} must be text or an AddedToken; got {token!r}") from None


def _special(token: Any) -> AddedToken:
    added = AddedToken.of(token)
    added.special = True
    return added
