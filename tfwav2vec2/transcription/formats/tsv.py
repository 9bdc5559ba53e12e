"""Tab-separated values: start and end in milliseconds and the text, as the command ``whisper`` writes them."""

from __future__ import annotations

from collections.abc import Iterable

from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.timeline import timed_words, to_milliseconds
from tfwav2vec2.transcription.subtitles import Cue, subtitle_cues
from tfwav2vec2.transcription.transcript import TimedWord, Transcript

HEADER = "start\tend\ttext\n"


def tsv(transcript: Transcript, options: FormatOptions) -> str:
    """A row for each subtitle, or each word; the header alone where nothing was said.

    Nothing is quoted, and no text holds a tab or a line's end.

    Raises:
        ValueError: where there is a text without word times.
    """
    words = timed_words(transcript, "TSV")
    spans: Iterable[TimedWord | Cue] = (
        words if options.words else subtitle_cues(words, options.rules, seconds=transcript.seconds)
    )
    rows = [f"{to_milliseconds(span.start)}\t{to_milliseconds(span.end)}\t{span.text}\n" for span in spans]
    return HEADER + "".join(rows)
