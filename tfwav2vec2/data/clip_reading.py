"""The waveform of an example, and how long it is without decoding it."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import soundfile

from tfwav2vec2.audio.loading import LONGEST_SECONDS, load_audio
from tfwav2vec2.data.examples import Example


def read_clip(example: Example, sampling_rate: int) -> np.ndarray:
    """The waveform of an example (samples,), float32 at ``sampling_rate`` Hz. Of a part, only that is decoded.

    Raises:
        OSError, ValueError, TypeError: as :func:`tfwav2vec2.load_audio` does; the message names the example.
    """
    with _named(example):
        return _read(example, sampling_rate)


def count_samples(example: Example, sampling_rate: int, check: str = "header") -> int:
    """How many samples :func:`read_clip` will return, or a few more: what rounding may add.

    Args:
        example: the clip.
        sampling_rate: of the result, in Hz.
        check: how far to look: ``"decode"`` decodes the clip; ``"header"`` believes the file's header, where it says a
            plausible length; ``"manifest"`` believes ``example.seconds`` where it is given.

    Raises:
        OSError, ValueError, TypeError: where the clip cannot be read.
    """
    with _named(example):
        if check == "manifest" and example.seconds is not None:
            return math.ceil(example.seconds * sampling_rate)
        frames = None
        if check != "decode":
            frames, rate = _header(*_audio_of(example))
        if frames is None:
            return len(_read(example, sampling_rate))
        first, last = _limits(example, frames, rate)
        return math.ceil((last - first) * sampling_rate / rate)


@contextmanager
def _named(example: Example) -> Iterator[None]:
    """Errors inside name the example."""
    try:
        yield
    except (OSError, ValueError, TypeError) as error:
        raise type(error)(f"Example {example.id}: {error}") from error


def _read(example: Example, sampling_rate: int) -> np.ndarray:
    audio, rate = _audio_of(example)
    if example.is_part:
        audio, rate = _part(audio, rate, example)
    return load_audio(audio, sampling_rate=sampling_rate, source_rate=rate)


def _audio_of(example: Example) -> tuple[Any, int | None]:
    """What is to be decoded, and its rate where it is an array."""
    if not callable(example.audio):
        return example.audio, example.sampling_rate
    audio = example.audio()
    return audio if isinstance(audio, tuple) else (audio, example.sampling_rate)


def _is_file(audio: Any) -> bool:
    return isinstance(audio, (str, os.PathLike, bytes, bytearray, memoryview))


def _open(audio: Any) -> soundfile.SoundFile:
    in_memory = isinstance(audio, (bytes, bytearray, memoryview))
    return soundfile.SoundFile(io.BytesIO(audio) if in_memory else audio)


def _header(audio: Any, rate: int | None) -> tuple[int | None, int]:
    """The number of samples in each channel, None where only decoding tells, and their rate."""
    if not _is_file(audio):
        if rate is None:
            raise ValueError("an array does not say its rate; give sampling_rate, in Hz")
        return len(audio), rate
    try:
        with _open(audio) as file:
            frames, rate = file.frames, file.samplerate
    except soundfile.LibsndfileError:
        return None, 0  # The loader says what is wrong with it.
    plausible = 0 < frames < LONGEST_SECONDS * rate
    return (frames if plausible else None), rate


def _limits(example: Example, frames: int, rate: int) -> tuple[int, int]:
    """The first sample of the clip and the one behind its last."""
    if not example.is_part:
        return 0, frames
    first = round(example.start * rate)
    last = frames if example.end is None else min(round(example.end * rate), frames)
    if first >= last:
        raise ValueError(
            f"the part from {example.start:g} s to {'the end' if example.end is None else f'{example.end:g} s'} lies "
            f"outside its audio of {frames / rate:.2f} s; correct its start and end"
        )
    return first, last


def _part(audio: Any, rate: int | None, example: Example) -> tuple[np.ndarray, int]:
    if not _is_file(audio):
        first, last = _limits(example, *_header(audio, rate))
        return audio[first:last], rate
    frames, file_rate = _header(audio, rate)
    if frames is None:
        # Only a decoded file knows its length; that of an odd file is not worth more than this.
        with _open(audio) as file:
            file_rate = file.samplerate
        waveform = load_audio(audio, sampling_rate=file_rate)
        first, last = _limits(example, len(waveform), file_rate)
        return waveform[first:last], file_rate
    first, last = _limits(example, frames, file_rate)
    with _open(audio) as file:
        file.seek(first)
        return file.read(last - first, dtype="float32", always_2d=True), file_rate
