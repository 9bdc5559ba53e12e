"""What a training hears: recordings, synthetic voices, open speech, and the surroundings of all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from recipes.spoken_digits import espeak, flite, kokoro
from recipes.spoken_digits.architecture import Labels
from recipes.spoken_digits.augmentation import FOR_DIGITS, FOR_PHONEMES, Surroundings
from recipes.spoken_digits.batches import BATCH_SECONDS, TrainingStrings
from recipes.spoken_digits.corpus import Clip, by_speaker, read_recordings
from recipes.spoken_digits.open_speech import read_open_speech
from recipes.spoken_digits.phonemes import pronunciation
from recipes.spoken_digits.strings import DigitString, plain_strings
from recipes.spoken_digits.synthesizers import Utterance, render
from recipes.spoken_digits.tempo import draw_tempi

Part = Literal["espeak", "flite", "kokoro", "tempo", "surroundings", "open speech"]
PARTS: tuple[Part, ...] = get_args(Part)

ESPEAK_CLIPS, VALIDATION_CLIPS, FLITE_CLIPS = 3600, 400, 1600
KOKORO_PEOPLE = 400
VALIDATION_STRINGS_OF_A_LENGTH = 16  # in each of the validation sets


@dataclass(frozen=True)
class Material:
    """What a training reads.

    ``left_out`` is the stranger of a fold, of whom nothing is used. ``without`` leaves out parts, to see what each is worth. Without
    ``people`` none of those who say digits are heard, so that what is learnt serves every fold; without a ``curriculum`` strings
    are long and their surroundings strong from the start.
    """

    data: Path
    cache: Path
    steps: int
    seed: int = 0
    labels: Labels = "digits"
    left_out: str | None = None
    without: tuple[Part, ...] = ()
    strongest: float = 1.0
    people: bool = True
    curriculum: bool = True
    batch_seconds: int = BATCH_SECONDS

    def strings(self) -> TrainingStrings:
        """The strings to train on."""
        rng = np.random.default_rng(self.seed)
        teaching, _ = read_open_speech(self.data)
        recordings = read_recordings(self.data, self.left_out)["train"] if self.people else []
        recordings += self._rendered("tempo", lambda: draw_tempi(recordings, self.seed))
        formants = self._rendered(
            "espeak", lambda: espeak.draw_utterances(ESPEAK_CLIPS, espeak.VARIANTS, rng)
        )
        lent = self._rendered(
            "flite", lambda: flite.draw_utterances(FLITE_CLIPS, np.random.default_rng(self.seed))
        )
        neural = self._rendered(
            "kokoro", lambda: kokoro.draw_utterances(KOKORO_PEOPLE, np.random.default_rng(self.seed))
        )
        return TrainingStrings(
            recordings,
            formants,
            Surroundings.make(teaching, rng, FOR_PHONEMES if self.labels == "phonemes" else FOR_DIGITS),
            self.steps,
            lent,
            neural,
            [] if "open speech" in self.without else teaching,
            self.seed,
            self.curriculum,
            strongest=0.0 if "surroundings" in self.without else self.strongest,
            labels=self.labels,
            batch_seconds=self.batch_seconds,
        )

    def validation(self) -> dict[str, list[DigitString]]:
        """The sets that choose the checkpoint: voices that nothing else is trained on, and new clips of the people."""
        rng = np.random.default_rng(self.seed + 1)
        formants = self._rendered(
            "espeak", lambda: espeak.draw_utterances(VALIDATION_CLIPS, espeak.VALIDATION_VARIANTS, rng)
        )
        neural = self._rendered(
            "kokoro", lambda: kokoro.validation_utterances(np.random.default_rng(self.seed))
        )
        heard = read_recordings(self.data, self.left_out)["validation"] if self.people else []
        pools = {
            "espeak": [formants] if formants else [],
            "kokoro": list(by_speaker(neural).values()),
            "heard": list(by_speaker(heard).values()),
        }
        sets = {
            name: plain_strings(clips, VALIDATION_STRINGS_OF_A_LENGTH // len(clips), self.seed)
            for name, clips in pools.items()
            if clips
        }
        if self.labels == "phonemes":  # what the model writes is compared with what is said, word by word
            sets = {
                name: [replace(each, words=tuple(map(pronunciation, each.words))) for each in strings]
                for name, strings in sets.items()
            }
        return sets

    def _rendered(self, part: Part, draw: Callable[[], Sequence[Utterance]]) -> list[Clip]:
        """The clips of a part that has some of its own, or none where it is left out."""
        return [] if part in self.without else render(draw(), self.cache / "synthetic")
