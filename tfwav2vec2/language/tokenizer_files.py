"""A tokenizer's files, in the layout that transformers 4.57 and 5 both read and write."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfwav2vec2.language.special_tokens import ADDITIONAL, NAMED_TOKENS, SpecialTokens
from tfwav2vec2.language.vocabulary import AddedToken
from tfwav2vec2.weights.files import PushToHub, find_file, read_json, take_hub_options, write_json

logger = logging.getLogger(__name__)

VOCABULARY = "vocab.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS_MAP = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"

# Attributes that may have changed since the tokenizer was made and that a file holds.
_ATTRIBUTES = (
    "do_lower_case", "word_delimiter_token", "replace_word_delimiter_char", "target_lang", "padding_side",
    "truncation_side", "model_input_names", "split_special_tokens", "verbose",
)  # fmt: skip

# What a file may hold and no constructor takes: the class, paths, and options of other libraries' loaders.
_NOT_FIELDS = (
    "tokenizer_class",
    "vocab_file",
    "tokenizer_file",
    "special_tokens_map_file",
    "init_inputs",
    "name_or_path",
)
_LOADER_OPTIONS = ("trust_remote_code", "use_fast", "_from_auto")

_OUR_CLASSES = ("Wav2Vec2CTCTokenizer", "Wav2Vec2Tokenizer")


class TokenizerFiles(SpecialTokens, PushToHub):
    """Reads and writes a tokenizer's folder."""

    vocab: dict[str, Any]
    init_kwargs: dict[str, Any]
    model_max_length: int
    clean_up_tokenization_spaces: bool
    _processor_class: str | None

    if TYPE_CHECKING:  # the class that mixes this in has it

        def __init__(self, vocab_file: str | Path, **fields: Any) -> None: ...

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Any:
        """Read a tokenizer from a folder or from the hub.

        ``vocab.json`` must be there; ``tokenizer_config.json`` and, for checkpoints from before it held added tokens,
        ``special_tokens_map.json`` and ``added_tokens.json`` are read where they are.

        Args:
            name_or_path: a folder, or a name on the hub.
            options: the hub's options (:data:`tfwav2vec2.weights.files.HUB_OPTIONS`), and arguments of the class, which
                take precedence over the files.

        Raises:
            OSError: where there is no vocabulary, or a file cannot be read.
            TypeError, ValueError: where the files do not describe a tokenizer of this kind; the message names them.
        """
        hub = take_hub_options(options)
        for name in _LOADER_OPTIONS:
            options.pop(name, None)
        vocab_file = options.pop("vocab_file", None) or find_file(name_or_path, VOCABULARY, **hub)
        names = (TOKENIZER_CONFIG, SPECIAL_TOKENS_MAP, ADDED_TOKENS)
        paths = {name: find_file(name_or_path, name, required=False, **hub) for name in names}
        files = {name: read_json(path) for name, path in paths.items() if path}
        try:
            fields = _fields(files, options)
            return cls(vocab_file, **fields, name_or_path=str(name_or_path))
        except (TypeError, ValueError, AttributeError) as error:
            read = ", ".join(str(path) for path in (vocab_file, *filter(None, paths.values())))
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{error} (read from {read})") from None

    def save_vocabulary(self, save_directory: str | Path, filename_prefix: str | None = None) -> tuple[str]:
        """Write ``vocab.json``, of all languages and without added tokens; returns its path.

        Raises:
            OSError: where the folder does not exist.
        """
        folder = Path(save_directory)
        if not folder.is_dir():
            raise NotADirectoryError(f"{str(folder)!r} is no folder; make it first, or use save_pretrained")
        path = folder / _prefixed(VOCABULARY, filename_prefix)
        write_json(path, self.vocab, sort_keys=True)
        return (str(path),)

    def save_pretrained(
        self,
        save_directory: str | Path,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **options: Any,
    ) -> tuple[str, ...]:
        """Write all files of the tokenizer into a folder, which is made if need be; returns their paths."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        contents = {TOKENIZER_CONFIG: self._config(), SPECIAL_TOKENS_MAP: self._special_tokens_file()}
        known = self.vocabulary.decoder
        beyond = {token: index for token, index in self.vocabulary.added_ids().items() if index >= len(known)}
        if beyond:
            contents[ADDED_TOKENS] = beyond
        paths = []
        for name, content in contents.items():
            path = folder / _prefixed(name, filename_prefix)
            write_json(path, content, sort_keys=True)
            paths.append(str(path))
        paths += self.save_vocabulary(folder, filename_prefix)
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), **options)
        return tuple(paths)

    def _config(self) -> dict[str, Any]:
        """The content of ``tokenizer_config.json``."""
        config = {
            name: value for name, value in copy.deepcopy(self.init_kwargs).items() if name not in _NOT_FIELDS
        }
        names = (*_ATTRIBUTES, *NAMED_TOKENS, ADDITIONAL)
        config |= {name: getattr(self, name) for name in names if name in config}
        config["model_max_length"] = self.model_max_length
        config["clean_up_tokenization_spaces"] = self.clean_up_tokenization_spaces
        config |= self.special_tokens_map
        config["extra_special_tokens"] = self.extra_special_tokens
        config["added_tokens_decoder"] = {
            index: token.to_dict() for index, token in self.vocabulary.added.items()
        }
        config["tokenizer_class"] = type(self).__name__
        if self._processor_class is not None:
            config["processor_class"] = self._processor_class
        return _plain(config)

    def _special_tokens_file(self) -> dict[str, Any]:
        """The content of ``special_tokens_map.json``: added tokens without their type and without ``special``."""

        def plain(value: Any) -> Any:
            if isinstance(value, list):
                return [plain(item) for item in value]
            if isinstance(value, AddedToken):
                return {name: item for name, item in value.to_dict().items() if name != "special"}
            return value

        return {name: plain(value) for name, value in self.special_tokens_map_extended.items()}


def _prefixed(name: str, prefix: str | None) -> str:
    return f"{prefix}-{name}" if prefix else name


def _plain(value: Any) -> Any:
    """Added tokens as JSON holds them, wherever they are."""
    if isinstance(value, AddedToken):
        return value.to_dict() | {"__type": "AddedToken"}
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _from_plain(value: Any) -> Any:
    if isinstance(value, dict):
        if value.get("__type") == "AddedToken":
            return AddedToken.of(value)
        return {name: _from_plain(item) for name, item in value.items()}
    return [_from_plain(item) for item in value] if isinstance(value, list) else value


def _fields(files: dict[str, dict[str, Any]], options: dict[str, Any]) -> dict[str, Any]:
    """The constructor's arguments, from the files and from what the caller gave."""
    config = files.get(TOKENIZER_CONFIG, {})
    kind = config.get("tokenizer_class")
    if kind is not None and kind.removesuffix("Fast") not in _OUR_CLASSES:
        logger.warning("The files are for a %s: a Wav2Vec2CTCTokenizer may read them differently", kind)
    fields = {name: value for name, value in config.items() if name not in _NOT_FIELDS} | options
    if "added_tokens_decoder" in fields:
        added = {int(index): AddedToken.of(token) for index, token in fields["added_tokens_decoder"].items()}
        by_text = {token.content: token for token in added.values()}
        fields = _from_plain(fields | {"added_tokens_decoder": None})
        for name in NAMED_TOKENS:
            if fields.get(name) is not None:
                fields[name] = by_text.get(str(fields[name]), fields[name])
    else:
        fields = _from_plain(_with_special_tokens(fields, files.get(SPECIAL_TOKENS_MAP, {}), options))
        added = _added_tokens(files.get(ADDED_TOKENS, {}), fields)
    return fields | {"added_tokens_decoder": added}


def _with_special_tokens(
    fields: dict[str, Any], tokens: dict[str, Any], options: dict[str, Any]
) -> dict[str, Any]:
    """The special tokens of older checkpoints, which have a file of their own that counts."""
    fields = dict(fields)
    for name, value in tokens.items():
        if options.get(name):
            continue
        if isinstance(value, list):
            by_text = {str(token): token for token in fields.get(name) or []}
            for token in value:
                token = AddedToken.of(token | {"special": True}) if isinstance(token, dict) else token
                by_text[str(token)] = token
            value = list(by_text.values())
        elif isinstance(value, dict):
            value = AddedToken.of(value | {"special": True})
        fields[name] = value
    return fields


def _added_tokens(ids: dict[str, int], fields: dict[str, Any]) -> dict[int, AddedToken]:
    """The added tokens of older checkpoints, which have a file of their own with ids alone."""
    special = {str(fields[name]) for name in NAMED_TOKENS if fields.get(name)}
    special |= {str(token) for token in fields.get(ADDITIONAL) or []}
    return {
        int(index): AddedToken(token, normalized=token not in special, special=token in special)
        for token, index in ids.items()
    }
