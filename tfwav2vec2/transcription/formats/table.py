"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfwav2vec2.transcription.formats.ctm import ctm
from tfwav2vec2.transcription.formats.json_lines import json_line
from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.plain_text import plain_text
from tfwav2vec2.transcription.formats.srt import srt
from tfwav2vec2.transcription.formats.textgrid import textgrid
from tfwav2vec2.transcription.formats.tsv import tsv
from tfwav2vec2.transcription.formats.webvtt import webvtt
from tfwav2vec2.transcription.transcript import Transcript


@dataclass(frozen=True)
class TranscriptFormat:
    """How a transcript is written down.

    Attributes:
        suffix: of its files.
        write: gives the file's whole content.
        needs_words: whether the words' times must be known.
        joins: whether the contents of several recordings, one behind the other, are such a file again.
    """

    suffix: str
    write: Callable[[Transcript, FormatOptions], str]
    needs_words: bool = True
    joins: bool = False


FORMATS: dict[str, TranscriptFormat] = {
    "text": TranscriptFormat(".txt", plain_text, needs_words=False, joins=True),
    "json": TranscriptFormat(".json", json_line, needs_words=False, joins=True),
    "srt": TranscriptFormat(".srt", srt),
    "vtt": TranscriptFormat(".vtt", webvtt),
    "tsv": TranscriptFormat(".tsv", tsv),
    "ctm": TranscriptFormat(".ctm", ctm, joins=True),
    "textgrid": TranscriptFormat(".TextGrid", textgrid),
}


def format_transcript(transcript: Transcript, layout: str, **options: Any) -> str:
    """A transcript as the content of a file, to be written as UTF-8.

    Args:
        transcript: what was heard.
        layout: "text", "json", "srt", "vtt", "tsv", "ctm" or "textgrid".
        options: the fields of :class:`~tfwav2vec2.transcription.formats.options.FormatOptions`.

    Raises:
        ValueError: for an unknown format; where it needs the words' times and the transcript has a text without; for a time
            that is no finite number.
    """
    if layout not in FORMATS:
        raise ValueError(f"There is no format {layout!r} of transcripts; choose from {', '.join(FORMATS)}")
    return FORMATS[layout].write(transcript, FormatOptions(**options))
