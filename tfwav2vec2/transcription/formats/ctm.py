"""Time-marked words (.ctm), which scoring tools such as NIST's sclite read.

Source: NIST SCTK, the file formats of sclite, https://github.com/usnistgov/SCTK/blob/master/doc/infmts.htm
"""

from __future__ import annotations

from pathlib import PurePath

from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.timeline import PLACES, one_line, timed_words
from tfwav2vec2.transcription.transcript import TimedWord, Transcript

CHANNEL = "1"

# Fields are separated by white space, and a line that begins with two semicolons is a comment.
_FILLER = "_"
_COMMENT = ";;"


def ctm(transcript: Transcript, options: FormatOptions) -> str:
    """A line for each word: file, channel, start, duration, word, and its confidence where that is known.

    The file is named without its folder and suffix. White space inside of a word or a name becomes an underscore.

    Raises:
        ValueError: where there is a text without word times.
    """
    name = _field(PurePath(transcript.file).stem) or _FILLER
    if name.startswith(_COMMENT):
        name = _FILLER + name
    return "".join(_line(name, word) for word in timed_words(transcript, "CTM"))


def _line(name: str, word: TimedWord) -> str:
    fields = [
        name,
        CHANNEL,
        f"{word.start:.{PLACES}f}",
        f"{word.end - word.start:.{PLACES}f}",
        _field(word.text),
    ]
    if word.confidence is not None:
        fields.append(f"{word.confidence:.{PLACES}f}")
    return " ".join(fields) + "\n"


def _field(text: str) -> str:
    return one_line(text).replace(" ", _FILLER)
