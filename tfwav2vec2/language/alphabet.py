"""The labels of a CTC model's outputs as the beam search reads them: letters, pieces of words, the blank, the space."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Sequence
from enum import IntEnum
from pathlib import Path

from tfwav2vec2.weights.files import read_json, write_json

logger = logging.getLogger(__name__)

BLANK = ""
SPACE = " "
WORD_START = "▁"  # opens a word in the pieces of sentencepiece
UNKNOWN = "⁇"
UNKNOWN_PIECE = "▁⁇▁"

_BLANK_NAMES = re.compile(r"[<\[]pad[>\]]", re.IGNORECASE)
_UNKNOWN_NAMES = re.compile(r"[<\[]unk[>\]]", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"[<\[].+[>\]]")

# What no transcript holds, whatever the model says.
_NEVER_TEXT = frozenset({"<s>", "</s>", UNKNOWN, UNKNOWN_PIECE})

# Below this share of a language model's words that the labels can spell, the two do not belong together.
_FEWEST_SPELLED = 0.01


class Role(IntEnum):
    """What a label does to a beam."""

    BLANK = 0
    CONTINUES = 1  # a word, or opens one where there is none
    SPACE = 2  # ends a word
    OPENS = 3  # ends a word and opens the next
    SILENT = 4  # never reaches a beam


def is_blank_name(token: str) -> bool:
    """Whether a token is by its name the blank: ``<pad>`` or ``[PAD]``."""
    return _BLANK_NAMES.fullmatch(token) is not None


def is_unknown_name(token: str) -> bool:
    """Whether a token is by its name the unknown token: ``<unk>`` or ``[UNK]``."""
    return _UNKNOWN_NAMES.fullmatch(token) is not None


class Alphabet:
    """The labels of a model's outputs, one for each, in their order (reference: ``pyctcdecode.Alphabet``).

    Args:
        labels: in standard form: the blank is ``""``, the word delimiter ``" "``, the unknown token ``"⁇"``; in pieces of
            words those that open one begin with ``"▁"``. :meth:`build` makes this form of a vocabulary.
        is_bpe: whether labels are pieces of words.
        silent: further labels that never reach a text, such as a tokenizer's ``bos_token``; ``<s>``, ``</s>`` and the
            unknown token never do.

    Raises:
        ValueError: where there is no blank, a label occurs twice, or a piece ends with ``"▁"``.
    """

    def __init__(self, labels: Sequence[str], is_bpe: bool, silent: Collection[str] = ()) -> None:
        self.labels = list(labels)
        self.is_bpe = is_bpe
        self.silent = _NEVER_TEXT | set(silent) - {BLANK, SPACE}
        self.silent |= {label for label in self.labels if is_unknown_name(label)}
        heard = [label for label in self.labels if label != BLANK and label not in self.silent]
        if BLANK not in self.labels:
            raise ValueError(
                f"The alphabet has no blank {BLANK!r} among its {len(self.labels)} labels; use Alphabet.build"
            )
        twice = {label for label in heard if heard.count(label) > 1} if len(set(heard)) < len(heard) else ()
        if twice:
            raise ValueError(
                f"The alphabet has {', '.join(map(repr, sorted(twice)))} more than once; each label stands for one output"
            )
        closing = [label for label in heard if is_bpe and label != WORD_START and label.endswith(WORD_START)]
        if closing:
            raise ValueError(
                f"The piece {closing[0]!r} ends with {WORD_START!r}; pieces open a word with it, and none closes one"
            )

    @classmethod
    def build(cls, labels: Sequence[str]) -> Alphabet:
        """The alphabet of a vocabulary's tokens in the order of their ids.

        ``|`` becomes the space where there is none, ``<pad>`` or ``[PAD]`` (else ``_``) the blank, which is added at the
        end where there is none, ``<unk>`` the unknown token, and ``##`` pieces those of sentencepiece.

        Raises:
            ValueError: where a token occurs twice, or a space among pieces of words.
        """
        labels = list(labels)
        if len(set(labels)) < len(labels):
            raise ValueError("The labels hold one more than once; each stands for one output of the model")
        is_bpe = any(label.startswith(("##", WORD_START)) for label in labels)
        if is_bpe and any(SPACE in label for label in labels):
            raise ValueError(
                f"The labels hold a space although words open with {WORD_START!r} or go on with '##'"
            )
        if is_bpe and any(label.startswith("##") for label in labels):
            labels = [_piece(label) for label in labels]
        if not is_bpe and "|" in labels and SPACE not in labels:
            labels[labels.index("|")] = SPACE
        labels = [BLANK if is_blank_name(label) else label for label in labels]
        if not is_bpe and "_" in labels and BLANK not in labels:
            labels[labels.index("_")] = BLANK
        if BLANK not in labels:
            labels.append(BLANK)
        unknown = UNKNOWN_PIECE if is_bpe else UNKNOWN
        labels = [unknown if is_unknown_name(label) else label for label in labels]
        if not is_bpe and SPACE not in labels:
            logger.warning("The labels have neither ' ' nor '|': a transcript will be a single word")
        return cls(labels, is_bpe)

    @classmethod
    def read(cls, path: str | Path) -> Alphabet:
        """Read ``alphabet.json``, an object of ``labels`` and ``is_bpe``.

        Raises:
            OSError: where it cannot be read or holds something else.
        """
        content = read_json(path)
        labels, is_bpe = content.get("labels"), content.get("is_bpe")
        good = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
        if not good or not isinstance(is_bpe, bool) or len(content) != 2:
            raise OSError(
                f"{path} must hold labels, a list of strings, and is_bpe, true or false, and nothing else"
            )
        try:
            return cls(labels, is_bpe)
        except ValueError as error:
            raise OSError(f"{path} cannot be used: {error}") from None

    def write(self, path: str | Path) -> None:
        """Write ``alphabet.json``."""
        write_json(path, {"labels": self.labels, "is_bpe": self.is_bpe}, ensure_ascii=True)

    def roles(self) -> list[Role]:
        """What each label does."""
        return [self._role(label) for label in self.labels]

    def _role(self, label: str) -> Role:
        if label == BLANK:
            return Role.BLANK
        if label in self.silent:
            return Role.SILENT
        if self.is_bpe:
            return Role.OPENS if label.startswith(WORD_START) else Role.CONTINUES
        return Role.SPACE if label == SPACE else Role.CONTINUES

    def spellings(self) -> list[str]:
        """The letters that each label adds to a word."""
        adds = (Role.CONTINUES, Role.OPENS)
        written = [
            label if role in adds else "" for label, role in zip(self.labels, self.roles(), strict=True)
        ]
        return [letters.removeprefix(WORD_START) for letters in written] if self.is_bpe else written

    def check_words(self, words: Iterable[str]) -> None:
        """Make sure that a language model's words can be spelled with the labels.

        Raises:
            ValueError: where next to none can, as when one is in capitals and the other is not.
        """
        letters = set("".join(self.spellings()))
        words = [word for word in words if word not in ("<unk>", "<s>", "</s>")]
        spelled = sum(letters.issuperset(word) for word in words)
        if words and spelled < max(1, _FEWEST_SPELLED * len(words)):
            raise ValueError(
                f"The labels can spell {spelled} of the language model's {len(words)} words, such as {words[0]!r}; make "
                "both of the same letters (capitals or not, with or without accents)"
            )
        if spelled < len(words) // 2:
            logger.warning(
                "The labels can spell only %s of the language model's %s words", spelled, len(words)
            )


def _piece(token: str) -> str:
    """A ``##`` piece in sentencepiece's form."""
    if token.startswith("##"):
        return token[2:]
    if token in (BLANK, WORD_START, UNKNOWN_PIECE) or _IN_BRACKETS.fullmatch(token):
        return token
    return WORD_START + token
