"""SubRip subtitles (.srt), which every player shows."""

from __future__ import annotations

import re

from tfwav2vec2.transcription.formats.highlighting import captions
from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.timeline import clock
from tfwav2vec2.transcription.transcript import Transcript

# An arrow of this form stands between the times of a subtitle, and nothing can escape it in the text.
_ARROW = re.compile("-{2,}>")


def srt(transcript: Transcript, options: FormatOptions) -> str:
    """The transcript's subtitles, numbered from 1; an empty file where nothing was said.

    Lines end with a line feed alone: players read that and the carriage return of SubRip's own files alike.

    Raises:
        ValueError: where there is a text without word times.
    """
    blocks = [
        f"{number}\n{clock(caption.start, ',')} --> {clock(caption.end, ',')}\n{caption.text(_plain, '<u>', '</u>')}\n"
        for number, caption in enumerate(captions(transcript, "SRT", options), start=1)
    ]
    return "\n".join(blocks)


def _plain(word: str) -> str:
    return _ARROW.sub("->", word)
