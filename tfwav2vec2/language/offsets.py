"""What was said when: CTC frames collapsed to characters and words with their frame offsets."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

from tfwav2vec2.outputs import ModelOutput


class Wav2Vec2CTCTokenizerOutput(ModelOutput):
    """A transcript with offsets (reference: the class of the same name).

    ``text``; ``char_offsets``, a list of ``{"char", "start_offset", "end_offset"}``; ``word_offsets``, a list of
    ``{"word", "start_offset", "end_offset"}``; of a batch, lists of these. Offsets are frames, the end exclusive; times
    ``config.inputs_to_logits_ratio / sampling_rate`` they are seconds. Fields that were not asked for read as None.
    """

    fields = ("text", "char_offsets", "word_offsets")


class Run(NamedTuple):
    """A token and the frames that it spans, the end exclusive."""

    token: str
    start: int
    end: int


def runs(tokens: Sequence[str], group_tokens: bool = True) -> list[Run]:
    """One run for each group of equal neighbours, or for each token where ``group_tokens`` is False."""
    if not group_tokens:
        return [Run(token, frame, frame + 1) for frame, token in enumerate(tokens)]
    result, start = [], 0
    for token, group in groupby(tokens):
        end = start + sum(1 for _ in group)
        result.append(Run(token, start, end))
        start = end
    return result


def char_offsets(characters: Sequence[Run]) -> list[dict[str, Any]]:
    """The reference's form of characters with their frames."""
    return [{"char": token, "start_offset": start, "end_offset": end} for token, start, end in characters]


def word_offsets(characters: Sequence[Run], delimiter: str) -> list[dict[str, Any]]:
    """The words between delimiters; a word ends where its last character ends."""
    words = []
    for is_delimiter, group in groupby(characters, key=lambda run: run.token == delimiter):
        if not is_delimiter:
            word = list(group)
            words.append(
                {
                    "word": "".join(run.token for run in word),
                    "start_offset": word[0].start,
                    "end_offset": word[-1].end,
                }
            )
    return words
