from __future__ import annotations

import sys

import numpy as np
import pytest

from recipes.spoken_digits import espeak, flite, kokoro, synthesizers
from recipes.spoken_digits.corpus import WORDS
from recipes.spoken_digits.espeak import EspeakUtterance
from recipes.spoken_digits.flite import FliteUtterance
from recipes.spoken_digits.kokoro import KokoroUtterance
from recipes.spoken_digits.synthesizers import render, trim


def test_utterances_are_reproducible_and_never_the_plain_voice():
    utterances = espeak.draw_utterances(2000, espeak.VARIANTS, np.random.default_rng(1))
    assert utterances == espeak.draw_utterances(2000, espeak.VARIANTS, np.random.default_rng(1))
    assert {word for utterance in utterances for word in utterance.words} == set(WORDS)
    assert {len(utterance.words) for utterance in utterances} == set(
        range(1, synthesizers.LONGEST_PHRASE + 1)
    )
    plain = espeak.DEFAULT_RATE, espeak.DEFAULT_PITCH
    assert plain not in {(utterance.rate, utterance.pitch) for utterance in utterances}


def test_the_voices_that_choose_the_checkpoint_are_not_trained_on():
    assert not set(espeak.VARIANTS) & set(espeak.VALIDATION_VARIANTS)


def test_trim_cuts_silence_alone():
    speech = np.concatenate([np.zeros(5000), np.ones(3000), np.full(4000, 0.001)]).astype(np.float32)
    assert len(trim(speech)) == pytest.approx(3000 + 320, abs=2)
    assert not trim(np.zeros(100, np.float32)).any()


def test_a_missing_synthesizer_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(synthesizers.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="apt-get install flite"):
        render([FliteUtterance(("ONE",), "slt", 186, 100)], tmp_path)


@pytest.mark.usefixtures("espeak_ng")
def test_rendering_speaks_once_and_then_reads(tmp_path):
    utterances = [
        EspeakUtterance(("SEVEN",), "en-us+Andy", 150, 40),
        EspeakUtterance(("ONE", "TWO"), "en-gb", 150, 60),
    ]
    first = render(utterances, tmp_path)
    assert [clip.words for clip in first] == [("SEVEN",), ("ONE", "TWO")]
    assert all(0.2 < len(clip.samples) / 16_000 < 1.5 for clip in first)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 2
    again = render(utterances, tmp_path)
    assert files == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    np.testing.assert_array_equal(first[0].samples, again[0].samples)


@pytest.mark.usefixtures("espeak_ng")
@pytest.mark.parametrize(
    ("voice", "named"), [("no-such", "no-such"), ("en-us+no-such", "no-such"), ("en-us+female2", "female2")]
)
def test_a_missing_voice_is_named(tmp_path, voice, named):
    with pytest.raises(OSError, match=f"lacks the voice {named};"):
        render([EspeakUtterance(("ONE",), voice, 150, 50)], tmp_path)


@pytest.mark.usefixtures("espeak_ng")
def test_every_voice_is_another(tmp_path):
    voices = [f"en-us+{variant}" for variant in (*espeak.VARIANTS[1:], *espeak.VALIDATION_VARIANTS)]
    clips = render(
        [EspeakUtterance(("SIX",), voice, 150, 50) for voice in (*espeak.ACCENTS, *voices)], tmp_path
    )
    assert len({clip.samples.tobytes() for clip in clips}) > 0.9 * len(clips)


def test_flites_voices_say_as_much_each():
    utterances = flite.draw_utterances(80, np.random.default_rng(1))
    assert utterances == flite.draw_utterances(80, np.random.default_rng(1))
    for voice in flite.VOICES:
        own = [len(each.words) for each in utterances if each.voice == voice]
        assert len(own) == 20
        assert own.count(1) == 10


def test_flite_speaks_with_the_voice_and_at_the_pace_that_are_asked_for(tmp_path, needs):
    needs("flite")
    asked = [
        FliteUtterance(("SEVEN", "TWO"), "slt", 186, 100),
        FliteUtterance(("SEVEN", "TWO"), "rms", 98, 100),
    ]
    slow = FliteUtterance(("SEVEN", "TWO"), "slt", 186, 140)
    woman, man, slowly = (len(clip.samples) for clip in render([*asked, slow], tmp_path))
    assert woman != man
    assert 1.2 * woman < slowly < 1.6 * woman
    with pytest.raises(OSError, match="lacks the voice nobody;"):
        render([FliteUtterance(("ONE",), "nobody", 100, 100)], tmp_path)


def test_each_of_kokoros_people_says_every_digit_once():
    utterances = kokoro.draw_utterances(200, np.random.default_rng(1))
    assert utterances == kokoro.draw_utterances(200, np.random.default_rng(1))
    pieces = len(kokoro.PIECES)
    for start in range(0, len(utterances), pieces):
        own = utterances[start : start + pieces]
        assert len({each.voice for each in own}) == 1
        assert sorted(word for each in own for word in each.words) == sorted(WORDS)
        assert len({each.way for each in own if {"ZERO", "THREE"} & set(each.words)}) == 1
        assert not any(each.way for each in own if not {"ZERO", "THREE"} & set(each.words))
    assert {each.way for each in utterances} == set(range(8))
    assert all(len(set(ways)) == 8 for ways in kokoro.WAYS.values())
    drawn = {name for each in utterances for name in each.voice.split("+")[::2]}
    assert drawn == {*kokoro.AMERICAN, *kokoro.BRITISH, *kokoro.FOREIGN}
    choosing = kokoro.validation_utterances(np.random.default_rng(1))
    assert {each.voice for each in choosing} == {*kokoro.VALIDATION_VOICES}
    assert drawn.isdisjoint(kokoro.VALIDATION_VOICES)
    assert (
        len(choosing)
        == len(set(choosing))
        == kokoro.VALIDATION_PACES * len(kokoro.VALIDATION_VOICES) * pieces
    )


def test_kokoro_speaks_with_the_voices_that_are_asked_for(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    voices = ("af_bella", "am_adam", "af_bella+50+am_adam")
    try:
        kokoro._file(kokoro.MODEL)
    except OSError as error:
        pytest.skip(f"Kokoro's weights are not in the hub's cache: {type(error).__name__}")
    clips = render([KokoroUtterance(("SEVEN", "TWO"), voice, 100, ".") for voice in voices], tmp_path)
    slow = render([KokoroUtterance(("SEVEN", "TWO"), "af_bella", 75, ".")], tmp_path)[0]
    zeros = [KokoroUtterance(("ZERO",), "af_bella", 100, ".", way) for way in range(8)]
    assert len({clip.samples.tobytes() for clip in render(zeros, tmp_path)}) == len(zeros)
    assert len({clip.samples.tobytes() for clip in clips}) == len(voices)
    assert all(0.5 < len(clip.samples) / 16_000 < 1.5 for clip in clips)
    assert 1.1 < len(slow.samples) / len(clips[0].samples) < 1.6
    pytest.importorskip("pedalboard", reason="pedalboard is not installed")
    quick = render([KokoroUtterance(("SEVEN", "TWO"), "af_bella", 200, ".")], tmp_path)[0]
    assert 0.4 < len(quick.samples) / len(clips[0].samples) < 0.65


def test_without_onnxruntime_kokoro_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    kokoro._session.cache_clear()
    with pytest.raises(ImportError, match="pip install onnxruntime"):
        kokoro._session()
