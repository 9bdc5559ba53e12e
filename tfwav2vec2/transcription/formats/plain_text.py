"""The text alone."""

from __future__ import annotations

from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.transcript import Transcript


def plain_text(transcript: Transcript, options: FormatOptions) -> str:
    """The transcript's text and the end of its line."""
    return transcript.text + "\n"
