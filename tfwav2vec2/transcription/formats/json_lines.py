"""One JSON object a recording, on a line of its own, so that those of many recordings may follow one another."""

from __future__ import annotations

import json
from typing import Any

from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.timed_json import words_json
from tfwav2vec2.transcription.formats.timeline import PLACES
from tfwav2vec2.transcription.transcript import Transcript


def json_line(transcript: Transcript, options: FormatOptions) -> str:
    """``{"file", "text", "seconds"}``, and ``"words"`` where they are asked for.

    Raises:
        ValueError: where they are, and the transcript has none; for a time or a confidence that is no number.
    """
    fields: dict[str, Any] = {
        "file": transcript.file,
        "text": transcript.text,
        "seconds": round(transcript.seconds, PLACES),
    }
    if options.words:
        if transcript.words is None:
            raise ValueError(
                f"The transcript of {transcript.file} has no words with their times: transcribe with words=True, by a model "
                "that gives labels for each frame, or leave the words out"
            )
        fields["words"] = words_json(transcript.words)
    return json.dumps(fields, ensure_ascii=False, allow_nan=False) + "\n"
