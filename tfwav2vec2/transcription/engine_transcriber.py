"""From sound files to transcripts: load, run an engine, decode."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np

from tfwav2vec2.audio.loading import load_audio, source_name
from tfwav2vec2.serving.engines import Engine
from tfwav2vec2.transcription.transcript import Transcript


@dataclass(frozen=True)
class _Clip:
    file: str
    waveform: np.ndarray


class EngineTranscriber:
    """Transcribes recordings of any rate, format and channel count with any engine for speech recognition.

    Args:
        engine: what computes (see :mod:`tfwav2vec2.serving.engines`).
        batch_size: recordings that go through it together. On a CPU one at a time is fastest, since none is padded; on an
            accelerator more pay.
    """

    def __init__(self, engine: Engine, *, batch_size: int = 1) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number from 1 on; got {batch_size!r}")
        self.engine = engine
        self.batch_size = batch_size

    @property
    def max_seconds(self) -> float:
        """The longest recording in seconds whose attention fits the memory that is set aside for it."""
        return self.engine.max_seconds(self.batch_size)

    def transcribe(
        self,
        sources: Any,
        *,
        source_rate: int | None = None,
        errors: Literal["raise", "return"] = "raise",
    ) -> Iterator[Transcript]:
        """Transcribe recordings one after the other, in their order, each as soon as it is asked for.

        Args:
            sources: one source or an iterable of them, each whatever :func:`~tfwav2vec2.load_audio` takes.
            source_rate: the rate in Hz of sources that are arrays.
            errors: what becomes of a recording that cannot be transcribed: "raise" stops with the error, "return"
                yields a transcript with ``error`` set and goes on.

        Raises:
            OSError: where a file is missing or cannot be read, or a server does not answer.
            ValueError: where it is not audio, too short for one frame or too long for the memory, or gives no numbers;
                and where the tokenizer no longer fits the model.
            TypeError: where a source is of no known kind.
        """
        if errors not in ("raise", "return"):
            raise ValueError(f"errors must be 'raise' or 'return'; got {errors!r}")
        self._check()
        remaining = iter([sources] if _is_single(sources) else sources)
        while group := list(islice(remaining, self.batch_size)):
            results = [self._load(source, source_rate, errors) for source in group]
            texts = iter(
                self._transcribe_clips([clip for clip in results if isinstance(clip, _Clip)], errors)
            )
            for result in results:
                yield next(texts) if isinstance(result, _Clip) else result

    def _check(self) -> None:
        """Make sure that the parts still fit one another."""

    def _load(self, source: Any, source_rate: int | None, errors: str) -> _Clip | Transcript:
        """The clip, or the transcript that says why there is none."""
        name = source_name(source)
        rate = self.engine.sampling_rate
        waveform = np.zeros(0, np.float32)
        try:
            waveform = load_audio(
                source,
                sampling_rate=rate,
                source_rate=source_rate if name == "<array>" else None,
                max_seconds=self.max_seconds,
            )
            if len(waveform) < self.engine.shortest:
                raise ValueError(
                    f"{name} lasts {len(waveform) / rate:.4f} s, less than one frame of the model: give a longer recording"
                )
        except (OSError, ValueError, TypeError) as error:
            if errors == "raise":
                raise
            message = str(error) if name in str(error) else f"{name}: {error}"
            return Transcript(name, "", len(waveform) / rate, message)
        return _Clip(name, waveform)

    def _transcribe_clips(self, clips: list[_Clip], errors: str) -> Iterator[Transcript]:
        if not clips:
            return
        lengths = [len(clip.waveform) for clip in clips]
        waveform = np.zeros((len(clips), max(lengths)), np.float32)
        for row, clip in zip(waveform, clips, strict=True):
            row[: len(clip.waveform)] = clip.waveform
        try:
            texts = self.engine.texts(waveform, lengths)
        except ValueError as error:
            if errors == "raise":
                raise
            if len(clips) > 1:
                # Which of them is refused shows when each goes alone.
                for clip in clips:
                    yield from self._transcribe_clips([clip], errors)
                return
            seconds = lengths[0] / self.engine.sampling_rate
            yield Transcript(clips[0].file, "", seconds, f"{clips[0].file}: {error}")
            return
        for clip, text in zip(clips, texts, strict=True):
            seconds = len(clip.waveform) / self.engine.sampling_rate
            if text is not None:
                yield Transcript(clip.file, text, seconds)
                continue
            message = f"{clip.file} makes the model compute NaN or infinity: check the recording's level, and the model's weights"
            if errors == "raise":
                raise ValueError(message)
            yield Transcript(clip.file, "", seconds, message)


def _is_single(sources: Any) -> bool:
    """Whether ``sources`` is one recording rather than several."""
    single = isinstance(sources, (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray))
    return single or hasattr(sources, "read")
