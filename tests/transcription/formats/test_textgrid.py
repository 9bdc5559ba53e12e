"""Praat's TextGrid, read by praatio."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from praatio import textgrid
from praatio.utilities.constants import Interval

from tests.transcription.formats.made_words import transcript, words
from tfwav2vec2.transcription.formats.table import format_transcript
from tfwav2vec2.transcription.formats.timeline import tidy_words
from tfwav2vec2.transcription.transcript import TimedWord


def read(content: str, folder: Path) -> dict[str, list[Interval]]:
    """The intervals of each tier, empty ones included; Praat's own writing of them is the same."""
    path = folder / "read.TextGrid"
    path.write_text(content, encoding="utf-8")
    grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=True, reportingMode="error")
    return {name: list(grid.getTier(name).entries) for name in grid.tierNames}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("textgrids")


# What praatio looks for wherever it stands, inside of quotation marks too; Praat itself does not.
_TAKEN_FOR_FIELDS = re.compile(r"(item|intervals|points) ?\[|(text|xmin|xmax|class|name) ?=")


@given(words.filter(lambda words: not any(_TAKEN_FOR_FIELDS.search(word.text) for word in words)))
def test_words_and_characters_are_read_back(folder, words):
    heard = transcript(words)
    tiers = read(format_transcript(heard, "textgrid"), folder)
    tidied = tidy_words(words, shortest=1)
    assert [each for each in tiers["words"] if each.label] == [
        Interval(word.start, word.end, word.text) for word in tidied
    ]
    characters = tidy_words([TimedWord(*each) for word in tidied for each in word.characters], shortest=1)
    assert list(tiers) == (["words", "characters"] if characters else ["words"])
    assert [each for each in tiers.get("characters", ()) if each.label] == [
        Interval(each.start, each.end, each.text) for each in characters
    ]
    ends = set()
    for intervals in tiers.values():
        reached = 0.0
        for interval in intervals:
            assert interval.start == reached < interval.end
            reached = interval.end
        ends.add(reached)
    (end,) = ends
    assert end >= round(heard.seconds, 3)


@pytest.mark.parametrize(("seconds", "end"), [(2.5, 2.5), (0.0, 0.001)])
def test_silence_is_one_empty_interval(folder, seconds, end):
    content = format_transcript(transcript([], seconds=seconds), "textgrid")
    assert read(content, folder) == {"words": [Interval(0.0, end, "")]}


def test_a_quotation_mark_is_written_twice():
    content = format_transcript(transcript([TimedWord('"so"', 0.0, 1.0)]), "textgrid")
    assert '            text = """so""" \n' in content
