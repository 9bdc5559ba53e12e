"""Words and characters with their times as JSON has them: files, uploads and live sessions write the same."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tfwav2vec2.transcription.formats.timeline import PLACES
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord

_CONFIDENCE_PLACES = 4


def words_json(words: Iterable[TimedWord]) -> list[dict[str, Any]]:
    """``{"text", "start", "end"}`` for each word, times in seconds; ``"confidence"`` and ``"characters"`` where they are known."""
    return [_word(word) for word in words]


def characters_json(characters: Iterable[TimedCharacter]) -> list[dict[str, Any]]:
    """``{"text", "start", "end"}`` for each character, times in seconds."""
    return [_timed(each.char, each.start, each.end) for each in characters]


def _word(word: TimedWord) -> dict[str, Any]:
    fields = _timed(word.text, word.start, word.end)
    if word.confidence is not None:
        fields["confidence"] = round(word.confidence, _CONFIDENCE_PLACES)
    if word.characters:
        fields["characters"] = characters_json(word.characters)
    return fields


def _timed(text: str, start: float, end: float) -> dict[str, Any]:
    return {"text": text, "start": round(start, PLACES), "end": round(end, PLACES)}
