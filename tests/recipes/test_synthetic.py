from __future__ import annotations

import shutil

import numpy as np
import pytest

from recipes.spoken_digits import espeak, synthetic
from recipes.spoken_digits.corpus import WORDS
from recipes.spoken_digits.synthetic import Utterance, draw_utterances, render, trim

NEEDS_ESPEAK = pytest.mark.skipif(
    shutil.which("espeak-ng") is None, reason="needs eSpeak NG (apt-get install espeak-ng)"
)


def test_utterances_are_reproducible_and_never_the_plain_voice():
    utterances = draw_utterances(2000, synthetic.VARIANTS, np.random.default_rng(1))
    assert utterances == draw_utterances(2000, synthetic.VARIANTS, np.random.default_rng(1))
    assert {word for utterance in utterances for word in utterance.words} == set(WORDS)
    assert {len(utterance.words) for utterance in utterances} == set(range(1, synthetic.LONGEST_PHRASE + 1))
    plain = synthetic.DEFAULT_RATE, synthetic.DEFAULT_PITCH
    assert plain not in {(utterance.rate, utterance.pitch) for utterance in utterances}


def test_the_voices_that_choose_the_checkpoint_are_not_trained_on():
    assert not set(synthetic.VARIANTS) & set(synthetic.VALIDATION_VARIANTS)


def test_trim_cuts_silence_alone():
    speech = np.concatenate([np.zeros(5000), np.ones(3000), np.full(4000, 0.001)]).astype(np.float32)
    assert len(trim(speech)) == pytest.approx(3000 + 320, abs=2)
    assert not trim(np.zeros(100, np.float32)).any()


def test_a_missing_synthesizer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(espeak.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt-get install espeak-ng"):
        render([], tmp_path)


@NEEDS_ESPEAK
def test_rendering_speaks_once_and_then_reads(tmp_path):
    utterances = [Utterance(("SEVEN",), "en-us+Andy", 150, 40), Utterance(("ONE", "TWO"), "en-gb", 150, 60)]
    first = render(utterances, tmp_path)
    assert [clip.words for clip in first] == [("SEVEN",), ("ONE", "TWO")]
    assert all(0.2 < len(clip.samples) / 16_000 < 1.5 for clip in first)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 2
    again = render(utterances, tmp_path)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    np.testing.assert_array_equal(first[0].samples, again[0].samples)


@NEEDS_ESPEAK
@pytest.mark.parametrize(
    ("voice", "named"), [("no-such", "no-such"), ("en-us+no-such", "no-such"), ("en-us+female2", "female2")]
)
def test_a_missing_voice_is_named(tmp_path, voice, named):
    with pytest.raises(OSError, match=f"lacks the voices {named};"):
        render([Utterance(("ONE",), voice, 150, 50)], tmp_path)


@NEEDS_ESPEAK
def test_every_voice_is_another(tmp_path):
    voices = [f"en-us+{variant}" for variant in (*synthetic.VARIANTS[1:], *synthetic.VALIDATION_VARIANTS)]
    clips = render([Utterance(("SIX",), voice, 150, 50) for voice in (*synthetic.ACCENTS, *voices)], tmp_path)
    assert len({clip.samples.tobytes() for clip in clips}) > 0.9 * len(clips)
