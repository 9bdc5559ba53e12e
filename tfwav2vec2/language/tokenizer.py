"""Text to ids and back: the CTC tokenizer of wav2vec 2.0."""

# ruff: noqa: S107 - the defaults are tokens of text, not passwords

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from tfwav2vec2.language.decoding import Decoding
from tfwav2vec2.language.encoding import Encoding
from tfwav2vec2.language.id_padding import NO_LIMIT
from tfwav2vec2.language.tokenizer_files import TokenizerFiles
from tfwav2vec2.language.vocabulary import AddedToken, Vocabulary, check_encoder
from tfwav2vec2.weights.files import read_json

# Languages that an error message names before it only counts them: multilingual vocabularies have over a thousand.
_LANGUAGES_SHOWN = 20


class Wav2Vec2CTCTokenizer(Encoding, Decoding, TokenizerFiles):
    """Turns text into ids and CTC frames into text (reference: ``Wav2Vec2CTCTokenizer`` of transformers 4.57).

    Encoding: spaces become the word delimiter, every other character is a token, and tokens of several characters are
    found first and swallow the spaces around them. No ``<s>`` or ``</s>`` is added. Special tokens that the vocabulary
    lacks get the ids that follow it. Decoding: equal neighbours are merged, blanks (``pad_token``) are dropped, word
    delimiters become spaces.

    Faults of the reference that are not repeated: a new language keeps no tokens of the one before (as in transformers
    5); a word delimiter of several characters is one token; unknown characters have the unknown token's id even where
    the vocabulary lacks that token.

    Args:
        vocab_file: JSON file, token to id, or for several languages language to (token to id).
        bos_token, eos_token, unk_token: special tokens; None for none.
        pad_token: padding, and the blank of CTC.
        word_delimiter_token: stands between words.
        replace_word_delimiter_char: what it becomes in decoded text.
        do_lower_case: whether text of any case is accepted (and encoded as upper case) and decoded in lower case.
        target_lang: which language of a vocabulary of several to use.
        fields: ``padding_side``, ``truncation_side``, ``model_max_length``, ``clean_up_tokenization_spaces``,
            ``split_special_tokens``, further special tokens, and whatever else a file holds, which is kept.

    Raises:
        OSError: where the file cannot be read.
        ValueError: where it is no vocabulary, or the language is missing from it.
    """

    is_fast = False

    def __init__(
        self,
        vocab_file: str | Path,
        bos_token: Any = "<s>",
        eos_token: Any = "</s>",
        unk_token: Any = "<unk>",
        pad_token: Any = "<pad>",
        word_delimiter_token: Any = "|",
        replace_word_delimiter_char: str = " ",
        do_lower_case: bool = False,
        target_lang: str | None = None,
        **fields: Any,
    ) -> None:
        added = fields.pop("added_tokens_decoder", {})
        self.init_kwargs = copy.deepcopy(
            {
                "unk_token": unk_token,
                "bos_token": bos_token,
                "eos_token": eos_token,
                "pad_token": pad_token,
                "do_lower_case": do_lower_case,
                "word_delimiter_token": word_delimiter_token,
                "replace_word_delimiter_char": replace_word_delimiter_char,
                "target_lang": target_lang,
                **fields,
            }
        )
        self._word_delimiter_token = word_delimiter_token
        self.replace_word_delimiter_char = replace_word_delimiter_char
        self.do_lower_case = do_lower_case
        self.target_lang = target_lang
        self.name_or_path = str(fields.get("name_or_path", ""))
        self._processor_class = fields.get("processor_class")
        limit = fields.get("model_max_length", fields.get("max_len"))
        self.model_max_length = NO_LIMIT if limit is None else int(limit)
        self.padding_side = _side("padding_side", fields)
        self.truncation_side = _side("truncation_side", fields)
        self.model_input_names = fields.get("model_input_names", ["input_ids", "attention_mask"])
        self.clean_up_tokenization_spaces = fields.get("clean_up_tokenization_spaces", False)
        self.split_special_tokens = fields.get("split_special_tokens", False)
        self.verbose = fields.get("verbose", False)
        self._vocab_source = str(vocab_file)
        self.vocab = read_json(vocab_file)
        self._init_special_tokens(self.init_kwargs)
        self._use_language(target_lang, {int(index): AddedToken.of(token) for index, token in added.items()})

    def _use_language(self, language: str | None, added: dict[int, AddedToken]) -> None:
        nested = any(isinstance(value, dict) for value in self.vocab.values())
        if language is not None and not nested:
            raise ValueError(
                f"{self._vocab_source} is the vocabulary of one language, so that target_lang={language!r} cannot be "
                "set; leave target_lang out"
            )
        if nested and language not in self.vocab:
            shown = ", ".join(list(self.vocab)[:_LANGUAGES_SHOWN])
            more = ", ..." if len(self.vocab) > _LANGUAGES_SHOWN else ""
            raise ValueError(
                f"{self._vocab_source} holds the vocabularies of {len(self.vocab)} languages and none for "
                f"target_lang={language!r}; choose one of {shown}{more}"
            )
        source = f"{self._vocab_source} ({language})" if nested else self._vocab_source
        encoder = check_encoder(self.vocab[str(language)] if nested else self.vocab, source)
        self.vocabulary = Vocabulary(encoder, added)
        self._add_missing_special_tokens()
        for token in encoder:
            if len(token) > 1:
                self.vocabulary.add(AddedToken(token, lstrip=True, rstrip=True, normalized=False))

    def set_target_lang(self, target_lang: str) -> None:
        """Switch to another language of a vocabulary of several.

        Raises:
            ValueError: where the vocabulary has one language only, or not this one.
        """
        added = {
            index: token
            for index, token in self.vocabulary.added.items()
            if token.content not in self.encoder
        }
        self._use_language(target_lang, added)
        self.target_lang = target_lang
        self.init_kwargs["target_lang"] = target_lang

    @property
    def encoder(self) -> dict[str, int]:
        """Token to id, without added tokens."""
        return self.vocabulary.encoder

    @property
    def decoder(self) -> dict[int, str]:
        """Id to token, without added tokens."""
        return self.vocabulary.decoder

    @property
    def vocab_size(self) -> int:
        """The number of ids without added tokens."""
        return len(self.decoder)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def get_vocab(self) -> dict[str, int]:
        """Token to id, added tokens included."""
        return self.vocabulary.ids()

    def get_added_vocab(self) -> dict[str, int]:
        """Token to id of the added tokens, and of those of the vocabulary that are marked as not to be split."""
        return self.vocabulary.added_ids()

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The same as :meth:`get_added_vocab`."""
        return self.vocabulary.added_ids()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """Id to :class:`AddedToken`, in the order of the ids."""
        return dict(sorted(self.vocabulary.added.items()))

    @property
    def word_delimiter_token(self) -> str | None:
        """Stands between words; None if there is none."""
        return None if self._word_delimiter_token is None else str(self._word_delimiter_token)

    @word_delimiter_token.setter
    def word_delimiter_token(self, token: Any) -> None:
        self._word_delimiter_token = token

    @property
    def word_delimiter_token_id(self) -> int | None:
        """The id of :attr:`word_delimiter_token`."""
        return self.convert_tokens_to_ids(self.word_delimiter_token)

    @word_delimiter_token_id.setter
    def word_delimiter_token_id(self, index: int) -> None:
        self._word_delimiter_token = self.convert_ids_to_tokens(index)

    def get_special_tokens_mask(
        self, token_ids_0: Any, token_ids_1: Any = None, already_has_special_tokens: bool = False
    ) -> list[int]:
        """1 for each special token among ids that hold some already, and 0 for each other id."""
        special = set(self.all_special_ids) if already_has_special_tokens else ()
        return [int(index in special) for index in [*token_ids_0, *(token_ids_1 or ())]]

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """How many special tokens encoding adds: none."""
        return 0

    def _set_processor_class(self, name: str) -> None:
        self._processor_class = name

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, vocab_size={self.vocab_size}, "
            f"padding_side={self.padding_side!r}, special_tokens={self.special_tokens_map}, "
            f"added_tokens_decoder={self.added_tokens_decoder})"
        )


def _side(name: str, fields: dict[str, Any]) -> str:
    side = fields.get(name, "right")
    if side not in ("right", "left"):
        raise ValueError(f"{name} is {side!r}; it must be 'right' or 'left'")
    return side
