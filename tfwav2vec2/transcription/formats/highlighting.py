"""What stands on the screen from when to when: subtitles as they are, or once for each of their words, underlined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.timeline import timed_words
from tfwav2vec2.transcription.subtitles import Cue, subtitle_cues
from tfwav2vec2.transcription.transcript import Transcript

# Two words that begin together are underlined one after the other, in milliseconds.
_SHORTEST_MS = 1


@dataclass(frozen=True)
class Caption:
    """Lines of words on the screen.

    Attributes:
        start: in seconds.
        end: in seconds.
        lines: the words of each line.
        marked: which word, counted through all lines, is underlined; None for none of them.
    """

    start: float
    end: float
    lines: tuple[tuple[str, ...], ...]
    marked: int | None = None

    def text(self, escape: Callable[[str], str], before: str, after: str) -> str:
        """The lines, each word ``escape``\\ d, and the marked one between ``before`` and ``after``."""
        count, lines = 0, []
        for line in self.lines:
            words = []
            for word in line:
                words.append(f"{before}{escape(word)}{after}" if count == self.marked else escape(word))
                count += 1
            lines.append(" ".join(words))
        return "\n".join(lines)


def captions(transcript: Transcript, kind: str, options: FormatOptions) -> Iterator[Caption]:
    """The subtitles of a transcript.

    With ``highlight_words`` each subtitle is shown once for each of its words, which is underlined until the next begins: the
    characters of a CTC model are short peaks, and a word that is marked for one of them only would flicker. WebVTT has
    timestamps inside of a subtitle for that purpose, but no player shows anything of them until a style sheet says what.

    Raises:
        ValueError: where there is a text without word times.
    """
    words = timed_words(transcript, kind, _SHORTEST_MS if options.highlight_words else 0)
    for cue in subtitle_cues(words, options.rules, seconds=transcript.seconds):
        yield from (
            _highlighted(cue)
            if options.highlight_words
            else [Caption(cue.start, cue.end, cue.words_by_line())]
        )


def _highlighted(cue: Cue) -> Iterator[Caption]:
    lines = cue.words_by_line()
    ends = [word.start for word in cue.words[1:]] + [cue.end]
    for index, (word, end) in enumerate(zip(cue.words, ends, strict=True)):
        yield Caption(word.start, end, lines, index)
