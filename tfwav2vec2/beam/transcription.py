"""Many recordings through an engine: read, batched by length, tried again one by one where a batch fails.

Nothing here knows of Apache Beam. A recording that cannot be transcribed never stops the others: it comes back with the
reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np

from tfwav2vec2.audio.length_batches import length_batches
from tfwav2vec2.audio.loading import load_audio, source_name
from tfwav2vec2.data.clip_reading import read_clip
from tfwav2vec2.data.examples import Example
from tfwav2vec2.serving.engines import Engine, first_line
from tfwav2vec2.transcription.transcript import Transcript

# A file's path or bytes; or an example, which may be a part of a file, or samples with their rate.
Source = str | os.PathLike[str] | bytes | Example

# So many batches' worth of audio is read before the first of them runs: enough for clips of like length to meet.
READ_AHEAD = 8

# How many seconds to wait, again and again, for a server that does not answer: long enough for it to be restarted.
PATIENCE = (0.1, 1.0, 5.0, 15.0, 30.0)


@dataclass
class Tally:
    """What went through an engine.

    ``clips`` were transcribed and ``failures`` were not; ``milliseconds`` is the audio of the clips. ``samples`` and
    ``padded_samples`` count what the engine was given, without and with padding; ``retries`` the clips that were tried
    again alone.
    """

    clips: int = 0
    failures: int = 0
    retries: int = 0
    milliseconds: int = 0
    samples: int = 0
    padded_samples: int = 0

    def counts(self) -> dict[str, int]:
        """The numbers by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def padded_share(self) -> float:
        """The share of what the engine was given that was padding, from 0 to 1."""
        return 1 - self.samples / self.padded_samples if self.padded_samples else 0.0


@dataclass(frozen=True)
class _Clip:
    place: int
    name: str
    waveform: np.ndarray


class BatchTranscriber:
    """Transcribes whatever it is given, each recording or the reason why not.

    Args:
        engine: what computes.
        batch_seconds: how many seconds of audio go through it together, padding included; a longer clip goes alone.

    Attributes:
        tally: what went through so far.
    """

    def __init__(self, engine: Engine, batch_seconds: float) -> None:
        self.engine = engine
        self.tally = Tally()
        self._most_samples = batch_seconds * engine.sampling_rate

    def transcribe(self, sources: Iterable[Source]) -> list[Transcript]:
        """The transcripts in the order of the sources; where there is none, ``error`` says why.

        Raises:
            OSError: where the engine's server stopped answering, for which no recording is to blame.
        """
        found: dict[int, Transcript] = {}
        waiting: list[_Clip] = []
        held = place = 0
        for place, source in enumerate(sources, start=1):
            name = _name_of(source)
            try:
                waveform = self._read(source, name)
            except Exception as error:
                # Whatever one file does to its decoder, the others are still transcribed.
                found[place] = self._failure(name, 0.0, error)
                continue
            waiting.append(_Clip(place, name, waveform))
            held += len(waveform)
            if held >= READ_AHEAD * self._most_samples:
                self._run(waiting, found)
                waiting, held = [], 0
        self._run(waiting, found)
        return [found[index] for index in range(1, place + 1)]

    def _read(self, source: Source, name: str) -> np.ndarray:
        rate, longest = self.engine.sampling_rate, self.engine.max_seconds(1)
        if isinstance(source, Example):
            waveform = read_clip(source, rate)
        else:
            waveform = load_audio(source, sampling_rate=rate, max_seconds=longest)
        if len(waveform) > longest * rate:
            raise ValueError(
                f"{name} lasts {len(waveform) / rate:.1f} s, more than the {longest:.0f} s for which the model has the "
                "memory: split it into shorter clips"
            )
        if len(waveform) < self.engine.shortest:
            raise ValueError(
                f"{name} lasts {len(waveform) / rate:.4f} s, less than one frame of the model: give a longer recording"
            )
        return waveform

    def _run(self, clips: list[_Clip], found: dict[int, Transcript]) -> None:
        rate = self.engine.sampling_rate
        batches = length_batches(
            [len(clip.waveform) for clip in clips],
            self._most_samples,
            lambda rows, samples: samples <= self.engine.max_seconds(rows) * rate,
        )
        for places in batches:
            batch = [clips[place] for place in places]
            for clip, outcome in zip(batch, self._outcomes(batch), strict=True):
                found[clip.place] = self._transcript(clip, outcome)

    def _outcomes(self, batch: list[_Clip]) -> list[str | Exception | None]:
        """The texts of a batch; where it fails, those of its clips one by one, or what is wrong with each."""
        try:
            return list(self._texts(batch))
        except OSError as error:
            # A server that restarts has not judged the clips. One that stays away is no fault of theirs.
            await_answer(self.engine, error)
        except Exception as error:
            if len(batch) == 1:
                return [error]
        self.tally.retries += len(batch)
        outcomes: list[str | Exception | None] = []
        for clip in batch:
            try:
                outcomes += self._texts([clip])
            except OSError as error:
                await_answer(self.engine, error)
                outcomes.append(error)
            except Exception as error:
                outcomes.append(error)
        return outcomes

    def _texts(self, clips: list[_Clip]) -> list[str | None]:
        lengths = [len(clip.waveform) for clip in clips]
        waveform = np.zeros((len(clips), max(lengths)), np.float32)
        for row, clip in zip(waveform, clips, strict=True):
            row[: len(clip.waveform)] = clip.waveform
        texts = self.engine.texts(waveform, lengths)
        self.tally.samples += sum(lengths)
        self.tally.padded_samples += waveform.size
        return texts

    def _transcript(self, clip: _Clip, outcome: str | Exception | None) -> Transcript:
        seconds = len(clip.waveform) / self.engine.sampling_rate
        if outcome is None:
            outcome = ValueError(
                f"{clip.name} makes the model compute NaN or infinity: check the recording's level, and the model's weights"
            )
        if isinstance(outcome, Exception):
            return self._failure(clip.name, seconds, outcome)
        self.tally.clips += 1
        self.tally.milliseconds += round(1000 * seconds)
        return Transcript(clip.name, outcome, seconds)

    def _failure(self, name: str, seconds: float, error: Exception) -> Transcript:
        self.tally.failures += 1
        reason = first_line(error)
        return Transcript(name, "", seconds, reason if name in reason else f"{name}: {reason}")


def try_out(engine: Engine) -> None:
    """Let an engine transcribe silence, so that what is wrong with it is not blamed on every recording.

    Raises:
        OSError: where its server does not answer.
        ValueError: where it gives no text.
    """
    samples = max(engine.shortest, engine.sampling_rate // 10)
    engine.texts(np.zeros((1, samples), np.float32), [samples])


def await_answer(engine: Engine, error: OSError) -> None:
    """Wait until an engine that failed with ``error`` answers again; raise the error where it does not."""
    for seconds in PATIENCE:
        time.sleep(seconds)
        try:
            return try_out(engine)
        except OSError:
            continue
    raise error


def _name_of(source: Source) -> str:
    if not isinstance(source, Example):
        return source_name(source)
    audio = source.audio
    return source.id if callable(audio) or not isinstance(audio, (str, os.PathLike)) else os.fsdecode(audio)
