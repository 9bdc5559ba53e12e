"""KenLM's own binary files, through the package ``kenlm``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

MAGIC = b"mmap lm http://kheafield.com/code"


class KenlmModel:
    """A model that the package ``kenlm`` reads (reference: ``kenlm.Model``).

    Raises:
        ImportError: where ``kenlm`` is not installed.
        OSError: where it cannot read the file.
    """

    def __init__(self, path: str | Path) -> None:
        try:
            import kenlm
        except ImportError:
            raise ImportError(
                f"{path} is a binary file of KenLM, which the package kenlm reads; install it with "
                "pip install 'tfwav2vec2[kenlm]', or give the ARPA file that it was made of"
            ) from None
        self.path = Path(path)
        self._new_state = kenlm.State
        try:
            self._model = kenlm.Model(str(path))
        except (OSError, RuntimeError) as error:
            raise OSError(f"{path} cannot be read by kenlm ({str(error).strip().splitlines()[-1]})") from None
        self.order = self._model.order

    def __contains__(self, word: str) -> bool:
        """Whether the model knows a word."""
        return word in self._model

    def start(self, sentence: bool = True) -> Any:
        """The state at the begin of a sentence, or without any context."""
        state = self._new_state()
        if sentence:
            self._model.BeginSentenceWrite(state)
        else:
            self._model.NullContextWrite(state)
        return state

    def score(self, state: Any, word: str) -> tuple[float, Any]:
        """The logarithm to the base 10 of a word's probability after ``state``, and the state after it."""
        after = self._new_state()
        return self._model.BaseScore(state, word, after), after
