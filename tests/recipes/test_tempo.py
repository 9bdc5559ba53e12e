from __future__ import annotations

import pytest

from recipes.spoken_digits import material
from recipes.spoken_digits.synthesizers import render
from recipes.spoken_digits.tempo import TEMPI, draw_tempi


def test_a_clip_comes_at_the_same_tempi_whoever_else_is_there(tones):
    hurried = draw_tempi(tones, seed=0)
    assert len(hurried) == TEMPI * len(tones)
    assert draw_tempi(tones[3:5], seed=0) == hurried[3 * TEMPI : 5 * TEMPI]
    assert draw_tempi(tones[3:5], seed=1) != hurried[3 * TEMPI : 5 * TEMPI]
    assert all(65 <= each.tempo <= 150 for each in hurried)
    assert len({each.tempo for each in hurried}) > 50
    assert draw_tempi([], seed=0) == []


def test_hurried_clips_are_as_much_shorter(tones, tmp_path):
    pytest.importorskip("pedalboard", reason="pedalboard is not installed")
    hurried = draw_tempi(tones[:3], seed=0)
    for utterance, clip in zip(hurried, render(hurried, tmp_path), strict=True):
        assert (clip.words, clip.speaker) == (utterance.clip.words, utterance.clip.speaker)
        assert len(utterance.clip.samples) / len(clip.samples) == pytest.approx(
            utterance.tempo / 100, rel=0.1
        )
    assert len(list(tmp_path.iterdir())) == len({each.name for each in hurried})


def test_people_are_heard_at_their_own_tempo_and_at_others(tones, tmp_path, monkeypatch):
    pytest.importorskip("pedalboard", reason="pedalboard is not installed")
    people = tones[:3]
    monkeypatch.setattr(material, "read_recordings", lambda *_: {"train": list(people)})
    monkeypatch.setattr(material, "read_open_speech", lambda _: (tones, []))
    synthetic = "espeak", "flite", "kokoro"
    heard = material.Material(tmp_path, tmp_path, 10, without=synthetic).strings().recordings
    assert all(clip is own for clip, own in zip(heard, people, strict=False))
    others = heard[len(people) :]
    assert len(others) == TEMPI * len(people)
    for place, clip in enumerate(people):
        lengths = [len(other.samples) for other in others[place * TEMPI : (place + 1) * TEMPI]]
        assert len(set(lengths)) == TEMPI
        assert all(0.6 < len(clip.samples) / length < 1.6 for length in lengths)
    assert (
        material.Material(tmp_path, tmp_path, 10, without=(*synthetic, "tempo")).strings().recordings
        == people
    )
