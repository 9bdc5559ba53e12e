"""CTM files, read by lhotse, with which Kaldi's successors read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from lhotse import SupervisionSegment, SupervisionSet

from tests.transcription.formats.made_words import transcript, words
from tfwav2vec2.transcription.formats.table import format_transcript
from tfwav2vec2.transcription.formats.timeline import tidy_words

# Longer than any recording of the tests.
SECONDS = 200_000.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ctm")


@given(words, words)
def test_the_words_of_two_recordings_are_read_back(folder, first, second):
    path = folder / "both.ctm"
    spoken = {"a_talk": first, "b": second}
    contents = [
        format_transcript(transcript(said, f"talks/{name.replace('_', ' ')}.wav"), "ctm")
        for name, said in spoken.items()
    ]
    path.write_text("".join(contents), encoding="utf-8")
    segments = [SupervisionSegment(name, name, 0.0, SECONDS) for name in spoken]
    found = SupervisionSet.from_segments(segments).with_alignment_from_ctm(path)
    for name, said in spoken.items():
        read = found[name].alignment["word"]
        for item, word in zip(read, tidy_words(said), strict=True):
            assert item.symbol == word.text.replace(" ", "_")
            assert item.start == pytest.approx(word.start, abs=1e-9)
            assert item.duration == pytest.approx(word.end - word.start, abs=1e-9)
            assert item.score == (
                None if word.confidence is None else pytest.approx(word.confidence, abs=5e-4)
            )
