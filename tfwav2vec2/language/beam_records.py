"""What the compiled search is handed: its settings, the labels, and the records of parts, texts, spans and beams."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

NO_LABEL = -1  # a beam's last label where that is the blank, or where there is none yet
UNSCORED = -2  # the state of a text whose last word the language model has yet to score

PART = np.dtype([("parent", "i4"), ("letter", "i4"), ("length", "i4"), ("known", "i4"), ("hot", "i4")])
TEXT = np.dtype([("parent", "i4"), ("part", "i4"), ("state", "i4"), ("hot", "i4"), ("score", "f8")])
SPAN = np.dtype([("previous", "i4"), ("start", "i4"), ("end", "i4")])
BEAM = np.dtype(
    [
        *((name, "i4") for name in ("text", "part", "before", "last", "start", "end", "span")),
        ("logit", "f8"),
        ("score", "f8"),
    ]
)
# Beams of one prefix: the first and the last of them, the sum of their scores, and if its word ends: the text, the group that
# stands for it, and in that group the other one which comes to the same text.
GROUP = np.dtype(
    [
        *((name, "i4") for name in ("text", "part", "first", "last", "next", "home", "partner")),
        ("total", "f8"),
    ]
)
CANDIDATE = np.dtype(
    [
        *((name, "i4") for name in ("kind", "group", "label", "source")),
        ("order", "i8"),
        ("logit", "f8"),
        ("score", "f8"),
    ]
)


class Settings(NamedTuple):
    """What a search goes by: see :class:`tfwav2vec2.language.beam_search.BeamSearchDecoderCTC`.

    ``alpha`` is in natural logarithms for scores to the base 10. ``scored_here`` tells a language model in arrays from one
    that is asked between two calls (``has_model`` with neither means that), ``lexicon_bound`` admits known words alone.
    """

    width: int
    prune: float
    least: float
    alpha: float
    beta: float
    unknown: float
    hot_weight: float
    has_model: bool
    scored_here: bool
    has_list: bool
    lexicon_bound: bool
    unknown_word: int


class Labels(NamedTuple):
    """``role`` (labels,), and the letters that each adds: ``letter[begin[label]:begin[label + 1]]``."""

    role: np.ndarray
    begin: np.ndarray
    letter: np.ndarray
