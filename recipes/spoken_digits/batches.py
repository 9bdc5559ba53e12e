"""Strings of digits to batches for ``fit``: few shapes, short strings first."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from recipes.spoken_digits.architecture import Labels, encode
from recipes.spoken_digits.augmentation import Surroundings, change_speed, decibels, rms
from recipes.spoken_digits.corpus import Clip, by_speaker
from recipes.spoken_digits.open_speech import Reading, stretch
from recipes.spoken_digits.strings import LONGEST, DigitString, augmented_string
from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.audio.loading import SAMPLE_RATE

if TYPE_CHECKING:
    import tensorflow as tf

# Lengths round up to a multiple of this, so that a training step sees few shapes.
LENGTH_STEP = SAMPLE_RATE // 2
# A batch holds about this much sound, whatever the length of its strings, so that every step takes about as long. In the same time
# half of it and twice the steps taught digits better: 16 % errors of validation strings after 300 s, 30 % after 400 s.
BATCH_SECONDS = 24
MOST_ROWS = 32
BATCHES_AHEAD = 4

# How often the words of a string are said by which voices, of those that are there: parts of 1,200, 420 of them people's. With 780 of people's,
# synthetic voices were forgotten, and with them the strangers: of two, 13.2 and 21.3 % of the words were read wrongly in place of 9.7 and 17.4.
ESPEAK, FLITE, KOKORO, MIXED_SPEAKERS, ONE_SPEAKER = 195, 130, 455, 84, 336
# Shares of the strings without a digit, from where all else is learnt.
NO_SPEECH, OPEN_SPEECH = 0.06, 0.12
SILENT_SECONDS = (0.5, 4.0)

# What is faint stays faint in this model, and how loud the speech of a string of unit variance is depends on its pauses. So digits come
# up to so much louder and softer.
LEVEL_DB = 6.0

# How many strings are of clips that are cut tight, and how far below their loudest moment.
TIGHT, TIGHT_DB = 0.5, (8.0, 30.0)

# Of a training on phonemes two batches of three are readings, once strings of digits are written. After 180 steps of
# these alone the model stayed at blank to the end of 1,200; 450 were enough.
FIRST_READING = 0.19
# Where readings are written in phonemes and strings in digits, so many batches to one of readings.
STRINGS_TO_A_READING = 3

# A longer training has no longer curriculum: while words are single nothing is learnt but these.
CURRICULUM_STEPS = 3000


def longest_string(progress: float) -> int:
    """The curriculum: the most digits in a string at ``progress`` (0 to 1) of the training.

    CTC first learns to say nothing at all; single digits are the quickest way out.
    """
    if progress < 0.12:
        return 1
    return 3 if progress < 0.25 else LONGEST


def strength(progress: float) -> float:
    """How strong the surroundings are at ``progress`` (0 to 1): none until words are heard, all from a third on.

    With all of them from the start, the loss was 2.70 after 400 steps, on the blank plateau; so, it is 1.21 after 300.
    """
    return float(np.clip((progress - 0.12) / 0.2, 0.0, 1.0))


@dataclass(frozen=True)
class TrainingStrings:
    """An endless, seeded supply of batches; batch ``step`` is the same whenever it is asked for.

    ``espeak``, ``flite`` and ``kokoro`` are synthetic voices, and ``readings`` is open speech, in which no digit is to be heard. Without a
    ``curriculum`` every batch is as at the end of it. ``strongest`` (0 to 1) is how strong the surroundings become.
    """

    recordings: list[Clip]
    espeak: list[Clip]
    surroundings: Surroundings
    total_steps: int
    flite: list[Clip] = field(default_factory=list)
    kokoro: list[Clip] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    seed: int = 0
    curriculum: bool = True
    strongest: float = 1.0
    labels: Labels = "digits"
    batch_seconds: int = BATCH_SECONDS

    def __post_init__(self) -> None:
        kinds = (
            (ESPEAK, [self.espeak] if self.espeak else []),
            (FLITE, list(by_speaker(self.flite).values())),
            (KOKORO, list(by_speaker(self.kokoro).values())),
            (MIXED_SPEAKERS, [self.recordings] if self.recordings else []),
            (ONE_SPEAKER, list(by_speaker(self.recordings).values())),
        )
        object.__setattr__(self, "_kinds", kinds)

    def draw(self, step: int) -> list[DigitString]:
        """The strings of one batch, of about the same number of digits."""
        rng = np.random.default_rng([self.seed, step])
        progress = self._progress(step)
        surrounded = self.strongest * strength(progress)
        centre = int(rng.integers(1, longest_string(progress) + 1))
        strings: list[DigitString] = []
        longest = 0
        while len(strings) < MOST_ROWS:
            words = int(np.clip(centre + rng.integers(-1, 2), 1, longest_string(progress)))
            string = self._string(words, surrounded, rng)
            longest = max(longest, len(string.samples))
            if longest * (len(strings) + 1) > self.batch_seconds * SAMPLE_RATE:
                break
            strings.append(string)
        return strings

    def draw_readings(self, step: int) -> list[DigitString]:
        """Readings in place of digits, as far as a batch goes."""
        rng = np.random.default_rng([self.seed, step, 1])
        surrounded = self.strongest * strength(self._progress(step))
        strings: list[DigitString] = []
        longest = 0
        while True:
            reading = self.readings[int(rng.integers(len(self.readings)))]
            samples = change_speed(reading.samples, rng.uniform(0.85, 1.15))
            longest = max(longest, len(samples))
            if strings and longest * (len(strings) + 1) > self.batch_seconds * SAMPLE_RATE:
                return strings
            samples = self.surroundings.apply(samples, rms(samples), rng, surrounded)
            strings.append(DigitString(samples, reading.words, (reading.name,)))

    def batches(self, first_step: int = 0) -> Iterator[dict[str, np.ndarray]]:
        """Batches from ``first_step`` on, without end."""
        for step in itertools.count(first_step):
            batch = collate(self.draw_readings(step) if self._reads(step) else self.draw(step), self.labels)
            if self.labels != "phonemes":
                batch["input_values"] *= self._levels(step, len(batch["input_values"]))
            yield batch

    def dataset(self, first_step: int = 0) -> tf.data.Dataset:
        """:meth:`batches` for ``fit``, made in the background while the model trains."""
        import tensorflow as tf

        signature = {
            "input_values": tf.TensorSpec((None, None), tf.float32),
            "attention_mask": tf.TensorSpec((None, None), tf.int32),
            "labels": tf.TensorSpec((None, None), tf.int32),
        }
        made = tf.data.Dataset.from_generator(lambda: self.batches(first_step), output_signature=signature)
        return made.prefetch(BATCHES_AHEAD)

    def _reads(self, step: int) -> bool:
        """Whether a batch is of readings."""
        if not self.readings or self.labels == "digits":
            return False
        if self.labels == "phonemes":
            return self._progress(step) > FIRST_READING and step % 3 > 0
        return step % (STRINGS_TO_A_READING + 1) == STRINGS_TO_A_READING

    def _levels(self, step: int, rows: int) -> np.ndarray:
        """How much louder or softer each string (rows, 1) of a step is than at unit variance."""
        rng = np.random.default_rng([self.seed, step, 2])
        return decibels(rng.uniform(-LEVEL_DB, LEVEL_DB, (rows, 1)).astype(np.float32))

    def _progress(self, step: int) -> float:
        """How far the curriculum is, 0 to 1."""
        return min(step / min(self.total_steps, CURRICULUM_STEPS), 1.0) if self.curriculum else 1.0

    def _string(self, words: int, surrounded: float, rng: np.random.Generator) -> DigitString:
        """A string of so many words, or now and then one without."""
        kind = rng.random()
        # Where readings are written, a piece of one is not nothing.
        if kind < OPEN_SPEECH and self.labels == "digits" and self.readings and surrounded:
            samples = stretch(self.readings, rng.uniform(*SILENT_SECONDS), rng)
            return DigitString(self.surroundings.apply(samples, rms(samples), rng, surrounded), (), ())
        if OPEN_SPEECH <= kind < OPEN_SPEECH + NO_SPEECH:
            samples = self.surroundings.noise(round(rng.uniform(*SILENT_SECONDS) * SAMPLE_RATE), rng)
            return DigitString(self.surroundings.apply(samples, 1.0, rng, surrounded), (), ())
        clips = self._clips(rng)
        # The sounds that are written must be there.
        tight = rng.uniform(*TIGHT_DB) if self.labels != "phonemes" and rng.random() < TIGHT else None
        return augmented_string(clips, words, self.surroundings, rng, surrounded, tight)

    def _clips(self, rng: np.random.Generator) -> list[Clip]:
        """Whose clips a string is made of: many voices of eSpeak NG, one of Flite's or Kokoro's, all speakers, or one of them."""
        shares, kinds = zip(*((share, pools) for share, pools in self._kinds if pools), strict=True)
        pools = kinds[rng.choice(len(kinds), p=np.divide(shares, sum(shares)))]
        return pools[int(rng.integers(len(pools)))]


def collate(strings: list[DigitString], labels: Labels = "digits") -> dict[str, np.ndarray]:
    """What a training step reads.

    ``input_values`` (batch, samples) float32, each string of unit variance as the processor makes it, padded with zeros to a multiple of half
    a second, ``attention_mask`` of the same shape, ``labels`` (batch, labels) padded with -100.
    """
    longest = max(len(string.samples) for string in strings)
    shape = len(strings), -(-longest // LENGTH_STEP) * LENGTH_STEP
    texts = [encode(string.words, labels) for string in strings]
    batch = {
        "input_values": np.zeros(shape, np.float32),
        "attention_mask": np.zeros(shape, np.int32),
        "labels": np.full((len(strings), max(map(len, [*texts, [0]]))), -100, np.int32),
    }
    waveforms = Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm([string.samples for string in strings], None)
    for row, (string, waveform, text) in enumerate(zip(strings, waveforms, texts, strict=True)):
        batch["input_values"][row, : len(string.samples)] = waveform
        batch["attention_mask"][row, : len(string.samples)] = 1
        batch["labels"][row, : len(text)] = text
    return batch
