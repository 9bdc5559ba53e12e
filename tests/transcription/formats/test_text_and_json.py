import json

import pytest
from hypothesis import given

from tests.transcription.formats.made_words import transcript, words
from tfwav2vec2.transcription.formats.table import FORMATS, format_transcript
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord, Transcript

HEARD = Transcript("talks/a.wav", "two three", 1.23456)


def test_text_is_a_line():
    assert format_transcript(HEARD, "text") == "two three\n"


def test_json_without_words():
    assert json.loads(format_transcript(HEARD, "json")) == {
        "file": "talks/a.wav",
        "text": "two three",
        "seconds": 1.235,
    }


@given(words)
def test_json_gives_the_words_back(words):
    line = format_transcript(transcript(words), "json", words=True)
    assert line.count("\n") == 1
    assert line.endswith("\n")
    found = json.loads(line)
    assert list(found) == ["file", "text", "seconds", "words"]
    for word, read in zip(words, found["words"], strict=True):
        assert read["text"] == word.text
        assert read["start"] == pytest.approx(word.start, abs=5e-4)
        assert read["end"] == pytest.approx(word.end, abs=5e-4)
        assert read.get("confidence") == (
            None if word.confidence is None else pytest.approx(word.confidence, abs=5e-5)
        )
        characters = [(each["text"], each["start"]) for each in read.get("characters", [])]
        assert characters == [(each.char, round(each.start, 3)) for each in word.characters]


def test_json_of_a_word():
    word = TimedWord(
        "no", 0.1, 0.30000001, 0.98765, (TimedCharacter("n", 0.1, 0.2), TimedCharacter("o", 0.2, 0.3))
    )
    found = json.loads(format_transcript(transcript([word], seconds=1), "json", words=True))
    assert found["words"] == [
        {
            "text": "no",
            "start": 0.1,
            "end": 0.3,
            "confidence": 0.9877,
            "characters": [
                {"text": "n", "start": 0.1, "end": 0.2},
                {"text": "o", "start": 0.2, "end": 0.3},
            ],
        }
    ]


def test_json_with_words_needs_words():
    with pytest.raises(ValueError, match=r"talks/a\.wav has no words with their times"):
        format_transcript(HEARD, "json", words=True)


@pytest.mark.parametrize("layout", [name for name, each in FORMATS.items() if each.needs_words])
def test_formats_with_times_need_words(layout):
    with pytest.raises(ValueError, match=r"needs to know when each word was said.*talks/a\.wav"):
        format_transcript(HEARD, layout)
    silence = Transcript("a.wav", " ", 1.0)
    assert format_transcript(silence, layout) == format_transcript(transcript([], "a.wav", 1.0), layout)


def test_an_unknown_format_names_the_known_ones():
    with pytest.raises(ValueError, match=r"no format 'xml'.*text, json, srt, vtt, tsv, ctm, textgrid"):
        format_transcript(HEARD, "xml")
