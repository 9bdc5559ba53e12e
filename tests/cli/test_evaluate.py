"""What ``tfwav2vec2 evaluate`` tells of a recogniser, whose answers are given here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.cli.evaluate import described, summary
from tfwav2vec2.data.examples import Example
from tfwav2vec2.metrics.evaluation import SpeechReport, evaluate_transcripts

SAID_AND_FOUND = {
    "1": ("ann", "the cat sat", "the hat sat"),
    "2": ("bob", "A dog ran!", "a dog"),
    "3": ("ann", "the cat is", "the hat is so"),
    "4": ("bob", "it cannot be read", None),
}


class Recogniser:
    """Stands for a transcriber: knows a clip by its first sample."""

    processor = SimpleNamespace(
        feature_extractor=Wav2Vec2FeatureExtractor(),
        tokenizer=SimpleNamespace(get_vocab=lambda: dict.fromkeys("abcdefghijklmnopqrstuvwxyz|")),
    )

    def transcribe(self, waveform: np.ndarray, *, source_rate: int, errors: str) -> Iterator[Any]:
        text = SAID_AND_FOUND[str(round(float(waveform[0])))][2]
        yield SimpleNamespace(text=text, error="too loud" if text is None else None)


@pytest.fixture(scope="module")
def report() -> SpeechReport:
    clips = [
        Example(name, np.full(100, float(name), np.float32), said, 16_000, speaker)
        for name, (speaker, said, _) in SAID_AND_FOUND.items()
    ]
    return evaluate_transcripts(Recogniser(), [*clips, Example("5", np.ones(100, np.float32), None, 16_000)])


def test_the_report_in_words(report: SpeechReport) -> None:
    lines = [" ".join(line.split()) for line in described(report)]
    assert lines == [
        "word error rate 44.44% (4 of 9 words: 2 substituted, 1 left out, 1 made up)",
        "character error rate 30.00% (9 of 30)",  # "!" is no letter of the vocabulary
        "without any error 0 of 3 transcripts",
        "",
        "speaker",
        "ann 50.00% 3 of 6 words",
        "bob 33.33% 1 of 3 words",
        "",
        "taken for another",
        "cat -> hat 2",
        "",
        "left out",
        "ran 1",
        "",
        "made up",
        "so 1",
    ]


def test_the_report_as_data(report: SpeechReport) -> None:
    figures = json.loads(json.dumps(summary(report)))
    assert figures["wer"] == pytest.approx(4 / 9)
    assert figures["speakers"] == {
        "ann": {"wer": 0.5, "words": 6},
        "bob": {"wer": pytest.approx(1 / 3), "words": 3},
    }
    assert (figures["substituted"], figures["deleted"], figures["inserted"]) == (
        [["cat", "hat", 2]],
        [["ran", 1]],
        [["so", 1]],
    )
    assert (figures["clips"], figures["failures"]) == (3, 2)


def test_clips_without_an_answer_are_named(report: SpeechReport) -> None:
    assert [(failure.id, failure.reason) for failure in report.failures] == [
        ("4", "too loud"),
        ("5", "its target is None, not a text"),
    ]
