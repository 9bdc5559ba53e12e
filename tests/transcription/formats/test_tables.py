"""TSV, read by the module csv, and CTM, whose lines are parted at white space (see also tests/parity/test_ctm.py)."""

import csv
import io

import pytest
from hypothesis import given

from tests.transcription.formats.made_words import transcript, words
from tfwav2vec2.transcription.formats.table import format_transcript
from tfwav2vec2.transcription.formats.timeline import tidy_words
from tfwav2vec2.transcription.subtitles import subtitle_cues
from tfwav2vec2.transcription.transcript import TimedWord


def read_tsv(content: str) -> list[tuple[int, int, str]]:
    header, *rows = csv.reader(
        io.StringIO(content, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE, strict=True
    )
    assert header == ["start", "end", "text"]
    return [(int(start), int(end), text) for start, end, text in rows]


@given(words)
def test_tsv_of_words_gives_them_back(words):
    assert read_tsv(format_transcript(transcript(words), "tsv", words=True)) == [
        (round(word.start * 1000), round(word.end * 1000), word.text) for word in tidy_words(words)
    ]


@given(words)
def test_tsv_of_subtitles_gives_them_back(words):
    heard = transcript(words)
    assert read_tsv(format_transcript(heard, "tsv")) == [
        (round(cue.start * 1000), round(cue.end * 1000), cue.text)
        for cue in subtitle_cues(words, seconds=heard.seconds)
    ]


@given(words)
def test_ctm_gives_the_words_back(words):
    lines = format_transcript(transcript(words, "talks/a b.c.wav"), "ctm").splitlines()
    for line, word in zip(lines, tidy_words(words), strict=True):
        file, channel, start, duration, text, *confidence = line.split()
        assert (file, channel) == ("a_b.c", "1")
        assert float(start) == pytest.approx(word.start, abs=1e-9)
        assert float(duration) == pytest.approx(word.end - word.start, abs=1e-9)
        assert text == word.text.replace(" ", "_")
        assert [float(each) for each in confidence] == (
            [] if word.confidence is None else [pytest.approx(word.confidence, abs=5e-4)]
        )


@pytest.mark.parametrize(
    ("file", "name"),
    [(";;a.wav", "_;;a"), ("a\tb.wav", "a_b"), ("<array>", "<array>"), ("", "_"), ("x/..", "..")],
)
def test_ctm_names_a_file_in_one_field(file, name):
    content = format_transcript(transcript([TimedWord("one", 0.5, 1.0)], file), "ctm")
    assert content == f"{name} 1 0.500 0.500 one\n"


def test_silence():
    assert format_transcript(transcript([]), "ctm") == ""
    assert format_transcript(transcript([]), "tsv") == "start\tend\ttext\n"
