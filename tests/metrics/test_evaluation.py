"""Evaluation counts what it should: a model that is a table of scores shows it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.tiny import TINY
from tfwav2vec2 import Wav2Vec2Config, Wav2Vec2FeatureExtractor
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.data.examples import Example
from tfwav2vec2.metrics.evaluation import evaluate_classes, evaluate_frames

RATE = 16_000
LABELS = {"noise": 0, "speech": 1, "music": 2}
# Frames are 30 samples apart and see 55 with TINY's convolutions.
SAMPLES = 30 * 9 + 55


class Classifier:
    """Finds speech in the second half of every clip, and in the clip as a whole."""

    config = Wav2Vec2Config(**TINY, label2id=LABELS, id2label={index: name for name, index in LABELS.items()})

    def __init__(self, *, of_frames: bool) -> None:
        self.of_frames = of_frames

    def __call__(self, input_values: np.ndarray, attention_mask: np.ndarray) -> dict[str, Any]:
        if not self.of_frames:
            return {"logits": np.array([[0.0, 1.0, 0.0]])}
        frames = int(frame_lengths(self.config, input_values.shape[1]))
        logits = np.zeros((1, frames, len(LABELS)))
        logits[0, : frames // 2, LABELS["noise"]] = 1
        logits[0, frames // 2 :, LABELS["speech"]] = 1
        return {"logits": logits}


def clip(name: str, target: Any, speaker: str | None = None, samples: int = SAMPLES) -> Example:
    sound = np.random.default_rng(0).normal(size=samples).astype("float32")
    return Example(name, sound, target, speaker=speaker, sampling_rate=RATE)


def test_frames_are_counted_where_a_class_holds() -> None:
    assert frame_lengths(Classifier.config, SAMPLES) == 10
    middle = (30 * 5 + 55 / 2) / RATE  # of frame 5, the first of the second half
    end = SAMPLES / RATE
    report = evaluate_frames(
        Classifier(of_frames=True),
        Wav2Vec2FeatureExtractor(),
        [
            clip("right", [(0, middle, "noise"), (middle, end, "speech")], "ann"),
            clip("both at once", [(0, end, "speech"), (0, end, "noise")], "ann"),
            clip("half unknown", [(middle, end, "music")], "bob"),
        ],
    )
    assert report.failures == []
    assert report.confusion.tolist() == [[10, 0, 0], [0, 10, 0], [0, 5, 0]]
    assert report.accuracy == pytest.approx(20 / 25)
    assert report.by_speaker == {"ann": (20, 20), "bob": (0, 5)}
    half, last = f"{30 * 5 / RATE:.2f}", f"{30 * 10 / RATE:.2f}"
    assert report.answers[0].found == f"0.00-{half} noise, {half}-{last} speech"
    assert report.answers[0].said == report.answers[0].found
    assert report.answers[2].said == f"{half}-{last} music"


def test_a_background_counts_where_no_interval_is() -> None:
    report = evaluate_frames(
        Classifier(of_frames=True), Wav2Vec2FeatureExtractor(), [clip("silent", [])], background="noise"
    )
    assert report.confusion.tolist() == [[5, 5, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("of_frames", [True, False])
def test_what_cannot_be_evaluated_is_named_and_the_rest_counted(of_frames: bool) -> None:
    known = [(0, 1, "speech")] if of_frames else "speech"
    unknown = [(0, 1, "whale")] if of_frames else "whale"
    evaluate = evaluate_frames if of_frames else evaluate_classes
    report = evaluate(
        Classifier(of_frames=of_frames),
        Wav2Vec2FeatureExtractor(),
        [clip("unknown", unknown), clip("known", known)],
    )
    assert [failure.id for failure in report.failures] == ["unknown"]
    assert "whale" in report.failures[0].reason
    assert [answer.id for answer in report.answers] == ["known"]
