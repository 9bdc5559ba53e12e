"""What may be chosen about a transcript's file."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfwav2vec2.transcription.subtitles import SubtitleRules


@dataclass(frozen=True)
class FormatOptions:
    """What the writers of files may be told.

    Attributes:
        highlight_words: SRT and WebVTT: each word is underlined while it is said.
        words: text formats that may go without: JSON lists the words with their times, TSV has a row for each word in place of
            each subtitle.
        rules: SRT, WebVTT and TSV: how words become subtitles.
    """

    highlight_words: bool = False
    words: bool = False
    rules: SubtitleRules = field(default_factory=SubtitleRules)
