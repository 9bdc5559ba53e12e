"""Words and characters with their times, as uploads and live sessions write them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord

# Milliseconds: a frame of the model is twenty of them.
_PLACES = 3


def words_json(words: Iterable[TimedWord]) -> list[dict[str, Any]]:
    """``{"text", "start", "end"}`` for each word, times in seconds."""
    return [_timed(word.text, word.start, word.end) for word in words]


def characters_json(characters: Iterable[TimedCharacter]) -> list[dict[str, Any]]:
    """``{"text", "start", "end"}`` for each character, times in seconds."""
    return [_timed(each.char, each.start, each.end) for each in characters]


def _timed(text: str, start: float, end: float) -> dict[str, Any]:
    return {"text": text, "start": round(start, _PLACES), "end": round(end, _PLACES)}
