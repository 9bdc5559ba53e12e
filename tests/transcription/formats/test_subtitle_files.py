"""SubRip and WebVTT, read by the packages srt and webvtt-py."""

import html
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
import srt
import webvtt
from hypothesis import given

from tests.transcription.formats.made_words import ordered_words, transcript, words
from tfwav2vec2.transcription.formats.table import format_transcript
from tfwav2vec2.transcription.subtitles import SubtitleRules, subtitle_cues
from tfwav2vec2.transcription.transcript import TimedWord

FORMATS = ["srt", "vtt"]

Read = tuple[timedelta, timedelta, str]


def read(content: str, layout: str) -> list[Read]:
    """Start, end and text of each subtitle, as the format's parser reads them; the text with its marks and escapes."""
    if layout == "srt":
        found = list(srt.parse(content, ignore_errors=False))
        assert [each.index for each in found] == list(range(1, len(found) + 1))
        return [(each.start, each.end, each.content) for each in found]
    captions = webvtt.from_buffer(io.BytesIO(content.encode()), format="vtt")
    return [(time(each.start), time(each.end), each.raw_text) for each in captions]


def time(text: str) -> timedelta:
    hours, minutes, seconds = text.split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), milliseconds=round(float(seconds) * 1000))


def as_written(text: str, layout: str) -> str:
    """What a format makes of characters that mean something to it: SubRip has no escapes."""
    return re.sub("-{2,}>", "->", text) if layout == "srt" else html.escape(text, quote=False)


def of(seconds: float) -> timedelta:
    return timedelta(milliseconds=round(seconds * 1000))


@pytest.mark.parametrize("layout", FORMATS)
@given(words)
def test_subtitles_are_read_back(layout, words):
    heard = transcript(words)
    cues = subtitle_cues(words, seconds=heard.seconds)
    assert read(format_transcript(heard, layout), layout) == [
        (of(cue.start), of(cue.end), as_written("\n".join(cue.lines), layout)) for cue in cues
    ]


@pytest.mark.parametrize("layout", FORMATS)
@given(words)
def test_each_word_is_underlined_from_its_start_until_the_next(layout, words):
    heard = transcript(words)
    cues = subtitle_cues(words, seconds=heard.seconds)
    found = iter(read(format_transcript(heard, layout, highlight_words=True), layout))
    for cue in cues:
        shown = cue.start
        for index, word in enumerate(cue.words):
            start, end, text = next(found)
            assert start == of(word.start) == of(shown)
            assert end > start
            shown = end.total_seconds()
            assert re.findall("<u>(.*?)</u>", text)[-1:] == [as_written(word.text, layout)]
            assert text == as_written("\n".join(marked(cue, index)), layout).replace(*MARKS[0]).replace(
                *MARKS[1]
            )
        assert of(shown) == of(cue.end)
    assert next(found, None) is None


# Private characters, which the strategies never draw since they stand for nothing, in place of the marks until all is escaped.
MARKS = [("\ue000", "<u>"), ("\ue001", "</u>")]


def marked(cue, index: int) -> Iterator[str]:
    count = 0
    for line in cue.words_by_line():
        words = []
        for word in line:
            words.append(f"\ue000{word}\ue001" if count == index else word)
            count += 1
        yield " ".join(words)


@pytest.mark.parametrize("layout", FORMATS)
@given(ordered_words())
def test_subtitles_follow_one_another(layout, words):
    for options in ({}, {"highlight_words": True}):
        found = read(format_transcript(transcript(words), layout, **options), layout)
        for (start, end, _), (following, _, _) in pairwise(found):
            assert start < end <= following


def test_a_small_file_of_each():
    spoken = [TimedWord("two", 0.5, 0.9), TimedWord("<3>", 1.0, 1.4), TimedWord("more", 4.0, 4.04)]
    heard = transcript(spoken, seconds=10.0)
    assert format_transcript(heard, "srt") == (
        "1\n00:00:00,500 --> 00:00:01,900\ntwo <3>\n\n2\n00:00:04,000 --> 00:00:04,833\nmore\n"
    )
    assert format_transcript(heard, "vtt") == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.900\ntwo &lt;3&gt;\n\n00:00:04.000 --> 00:00:04.833\nmore\n"
    )
    assert format_transcript(heard, "srt", highlight_words=True).startswith(
        "1\n00:00:00,500 --> 00:00:01,000\n<u>two</u> <3>\n\n2\n00:00:01,000 --> 00:00:01,900\ntwo <u><3></u>\n\n3\n"
    )


def test_rules_reach_the_file():
    spoken = [TimedWord(word, at, at + 0.4) for at, word in enumerate(["eleven", "twelve", "thirteen"])]
    content = format_transcript(
        transcript(spoken, seconds=5.0), "srt", rules=SubtitleRules(characters=13, lines=3)
    )
    assert [text for _, _, text in read(content, "srt")] == ["eleven twelve\nthirteen"]


@pytest.mark.parametrize(("layout", "content"), [("srt", ""), ("vtt", "WEBVTT\n")])
@pytest.mark.parametrize("options", [{}, {"highlight_words": True}])
def test_silence_is_a_file_without_subtitles(layout, content, options):
    assert format_transcript(transcript([]), layout, **options) == content
    assert read(content, layout) == []
