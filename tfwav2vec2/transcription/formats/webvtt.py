"""WebVTT subtitles (.vtt), for the <track> of a video in a web page.

Source: W3C, WebVTT: The Web Video Text Tracks Format, https://www.w3.org/TR/webvtt1/
"""

from __future__ import annotations

from tfwav2vec2.transcription.formats.highlighting import captions
from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.timeline import clock
from tfwav2vec2.transcription.transcript import Transcript

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def webvtt(transcript: Transcript, options: FormatOptions) -> str:
    """The transcript's subtitles; the header alone where nothing was said.

    Raises:
        ValueError: where there is a text without word times.
    """
    blocks = ["WEBVTT\n"]
    blocks += [
        f"{clock(caption.start, '.')} --> {clock(caption.end, '.')}\n{caption.text(_escaped, '<u>', '</u>')}\n"
        for caption in captions(transcript, "WebVTT", options)
    ]
    return "\n".join(blocks)


def _escaped(word: str) -> str:
    return word.translate(_ESCAPES)
