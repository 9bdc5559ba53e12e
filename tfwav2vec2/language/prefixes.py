"""What one search knows of its prefixes: the trees of parts and texts, the spans of words, and the beams."""

from __future__ import annotations

import numpy as np

from tfwav2vec2.language.beam_core import index_parts, index_texts
from tfwav2vec2.language.beam_records import BEAM, NO_LABEL, PART, SPAN, TEXT


class Prefixes:
    """The arrays that :func:`tfwav2vec2.language.beam_core.search` fills; they grow between its calls.

    Args:
        width: how many beams a frame adds at most.
        longest: how many letters a label has at most.
        letters: the letters of the labels by their numbers.
        state: the language model's state before the first word, where it is a number.
    """

    def __init__(self, width: int, longest: int, letters: str, state: int = 0) -> None:
        self.width, self.longest, self.letters = width, longest, letters
        self.parts = np.zeros(1, PART)  # part 0: a word that has not begun
        self.texts = np.zeros(1, TEXT)  # text 0: nothing yet
        self.texts["state"] = state
        self.spans = np.zeros(1, SPAN)  # span 0: none
        self.beams = np.zeros(width, BEAM)
        self.beams[0] = (0, 0, 0, NO_LABEL, -1, -1, 0, 0.0, 0.0)
        self.counts = np.ones(4, np.int64)
        self.parts_table = self.texts_table = np.zeros(1, np.int32)
        self._words: dict[int, str] = {0: ""}

    def make_room(self, frames: int) -> None:
        """Make the arrays long enough for whatever ``frames`` further ones can add."""
        parts, texts, spans, _ = (int(count) for count in self.counts)
        added = self.width * frames
        self.parts = _longer(self.parts, parts + added * self.longest)
        self.texts = _longer(self.texts, texts + added)
        self.spans = _longer(self.spans, spans + added)
        if len(self.parts_table) < 2 * len(self.parts):
            self.parts_table = _table(len(self.parts))
            index_parts(self.parts, parts, self.parts_table)
        if len(self.texts_table) < 2 * len(self.texts):
            self.texts_table = _table(len(self.texts))
            index_texts(self.texts, texts, self.texts_table)

    def word(self, part: int) -> str:
        """The letters of a part; kept, since words recur."""
        if part not in self._words:
            spelled, at = [], part
            while at:
                parent, letter, *_ = self.parts[at].item()
                spelled.append(self.letters[letter])
                at = parent
            self._words[part] = "".join(reversed(spelled))
        return self._words[part]

    def words(self, text: int) -> list[str]:
        """The finished words of a text."""
        result = []
        while text:
            parent, part, *_ = self.texts[text].item()
            result.append(self.word(part))
            text = parent
        return result[::-1]

    def frames(self, span: int) -> list[tuple[int, int]]:
        """The first frame of each finished word of a beam, and the one after its last."""
        result = []
        while span:
            previous, start, end = self.spans[span].item()
            result.append((start, end))
            span = previous
        return result[::-1]


def _longer(array: np.ndarray, length: int) -> np.ndarray:
    if len(array) >= length:
        return array
    longer = np.zeros(max(length, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer


def _table(entries: int) -> np.ndarray:
    """An empty table of a power of two, at most half of which ``entries`` take."""
    return np.zeros(1 << (2 * entries - 1).bit_length(), np.int32)
