"""Open speech and other sounds without digits: who is heard when, and what a model makes of them."""

from __future__ import annotations

import numpy as np

from recipes.spoken_digits.architecture import vocabulary
from recipes.spoken_digits.batches import TrainingStrings, collate
from recipes.spoken_digits.open_speech import Reading, read_open_speech, stretch
from recipes.spoken_digits.silence import FalseAlarms, clips_without_digits, false_alarms
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.transcription.transcript import Transcript


def reading(name: str, text: str, seconds: float = 3.0) -> Reading:
    samples = 0.1 * np.random.default_rng(len(text)).normal(size=round(seconds * SAMPLE_RATE))
    return Reading(samples.astype(np.float32), tuple(text.split()), name)


def test_a_stretch_is_of_a_reading_without_digits() -> None:
    readings = [reading("a", "HE SAID SEVEN"), reading("b", "HE SAID NOTHING"), reading("c", "ONE OF THEM")]
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = stretch(readings, 1.0, rng)
        assert len(found) == SAMPLE_RATE
        starts = np.flatnonzero(readings[1].samples == found[0])
        assert any(np.array_equal(readings[1].samples[at : at + len(found)], found) for at in starts)
    assert len(stretch(readings, 99.0, rng)) == 3 * SAMPLE_RATE


def test_readers_who_are_measured_teach_nothing(shared_data) -> None:
    teaching, others = read_open_speech(shared_data)
    people = [
        {each.name.rsplit("/", 1)[-1].split("-")[0] for each in readings} for readings in (teaching, others)
    ]
    assert people[0].isdisjoint(people[1])
    assert len(teaching) > 290
    assert len(others) >= 50
    assert sum(each.has_digits for each in teaching) > 20
    letters = {letter for each in teaching for word in each.words for letter in word}
    assert letters <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ'")


def test_open_speech_is_trained_on_as_nothing_and_read_where_phonemes_are_learnt(
    tones, surroundings, needs
) -> None:
    readings = [reading("a", "HE SAID IT'S NOTHING"), reading("b", "THEY WENT")]
    kinds = {"flite": tones, "readings": readings}
    supply = TrainingStrings(tones, tones[:30], surroundings, 40, **kinds, curriculum=False)
    silent = [string for step in range(20) for string in supply.draw(step) if not string.words]
    said = [string for step in range(20) for string in supply.draw(step) if string.words]
    assert 0.05 < len(silent) / (len(silent) + len(said)) < 0.25
    sounds = TrainingStrings([], tones[:30], surroundings, 40, **kinds, curriculum=False, labels="phonemes")
    found = sounds.draw_readings(1)
    assert {string.words for string in found} <= {each.words for each in readings}
    needs("espeak-ng")
    assert collate(found, "phonemes")["labels"].max() >= 5
    digits, read = (next(sounds.batches(step))["labels"] for step in (0, 1))
    assert digits.shape != read.shape or (digits != read).any()


def test_where_phonemes_and_digits_are_written_every_fourth_batch_is_of_readings(
    tones, surroundings, needs
) -> None:
    needs("espeak-ng")
    readings = [reading("a", "HE SAID IT'S NOTHING"), reading("b", "THEY WENT")]
    kinds = {"curriculum": False, "labels": "both"}
    supply = TrainingStrings(tones, tones[:30], surroundings, 40, readings=readings, **kinds)
    phonemes = [
        bool((next(supply.batches(step))["labels"] >= len(vocabulary("digits"))).any()) for step in range(8)
    ]
    assert phonemes == [False, False, False, True] * 2
    alone = TrainingStrings(tones, tones[:30], surroundings, 40, **kinds)
    assert (next(alone.batches(3))["labels"] < len(vocabulary("digits"))).all()
    heard = [string for step in range(20) for string in supply.draw(step)]
    nothing = sum(not string.words for string in heard) / len(heard)
    assert nothing < 0.12  # noise alone


def test_false_alarms_are_counted() -> None:
    class Hears:
        def transcribe(self, sources, *, source_rate):
            for text, _ in zip(["", "12", "", "7"], sources, strict=True):
                yield Transcript("<array>", text, 1.0)

    found = false_alarms(Hears(), [np.zeros(1600, np.float32)] * 4)
    assert found == FalseAlarms(4, 2, 3)
    assert found.rate == 0.5


def test_the_clips_without_digits_are_of_three_kinds(shared_data) -> None:
    kinds = clips_without_digits(shared_data, seed=0)
    assert set(kinds) == {"open speech", "noise", "music"}
    for clips in kinds.values():
        assert len(clips) == 100
        for clip in clips:
            assert clip.dtype == np.float32
            assert 0.01 < np.sqrt(np.mean(clip**2)) < 0.1
