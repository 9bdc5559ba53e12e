"""A file, bytes or an array as blocks of mono samples, in memory that does not grow with the recording."""

from __future__ import annotations

import io
import numbers
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import soxr

from tfwav2vec2.audio import SAMPLE_RATE
from tfwav2vec2.audio.sound_file import UnreadableError, open_sound_file, sound_file_blocks

# Below and above lies no recording of speech, only a header that is wrong. The lower bound also limits how much
# memory resampling may ask for.
LOWEST_RATE, HIGHEST_RATE = 2_000, 768_000

# An array with more channels than this is one whose axes are swapped.
MOST_CHANNELS = 64

# Samples of an array that are handed on at once.
ARRAY_BLOCK = 2**18

# Integer samples as full scale 1.0: (offset, scale).
_INTEGER_SCALES = {"int16": (0.0, 2.0**15), "int32": (0.0, 2.0**31), "uint8": (128.0, 2.0**7)}


def stream_audio(
    source: Any,
    *,
    sampling_rate: int = SAMPLE_RATE,
    source_rate: int | None = None,
    max_seconds: float | None = None,
) -> Iterator[np.ndarray]:
    """The waveform of ``source`` in blocks, float32 (samples,): channels averaged, resampled by soxr at its high quality.

    The blocks one behind the other are what :func:`~tfwav2vec2.load_audio` gives, which is made of them. They are of any
    length from 1 on, at most some seconds of audio, and are decoded as they are asked for: an hour takes the memory of a
    block. What is wrong with the end of a file is found at its end.

    Args:
        source: a path, the bytes of a file, or an open binary file, read from its start (wav, flac, ogg, mp3 and
            whatever else libsndfile reads; videos and other audio with the extra ``media``); or an array (samples,) or
            (samples, channels). Floating-point arrays have full scale 1.0; int16, int32 and uint8 arrays are scaled to it.
        sampling_rate: the rate of the result in Hz.
        source_rate: the rate of an array in Hz; it is required for arrays and refused for files, whose header says it.
        max_seconds: the longest audio that is accepted; any by default.

    Raises:
        OSError: where the file does not exist or cannot be read.
        ValueError: where it is not audio, is empty, is cut short, declares an impossible rate, lasts longer than
            ``max_seconds``, or holds NaN or infinite samples. The message names the file and the remedy.
        TypeError: where ``source`` is none of these kinds, or an array whose integer type has no known scale.
        ImportError: where the file needs the extra ``media``, which is not installed.
    """
    name = source_name(source)
    check_rate(sampling_rate, "sampling_rate")
    if not _is_file_like(source):
        waveform = _checked_array(source, source_rate)
        blocks = (waveform[start : start + ARRAY_BLOCK] for start in range(0, len(waveform), ARRAY_BLOCK))
        return _resampled(blocks, source_rate, sampling_rate, max_seconds, name)
    if source_rate is not None:
        raise ValueError(
            f"source_rate is for arrays; the rate of {name} is read from its header: leave it out"
        )
    return _file_blocks(source, name, sampling_rate, max_seconds)


def source_name(source: Any) -> str:
    """What error messages and transcripts call ``source``: its path where it has one."""
    if isinstance(source, (str, os.PathLike)):
        return os.fsdecode(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return "<bytes>"
    if hasattr(source, "read"):
        name = getattr(source, "name", None)
        return name if isinstance(name, str) else "<file>"
    return "<array>"


def _is_file_like(source: Any) -> bool:
    return isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(source, "read")


def check_rate(rate: Any, where: str) -> None:
    """Make sure that a rate in Hz is one that recordings of speech have.

    Raises:
        TypeError: where it is no number.
        ValueError: where it is out of range.
    """
    if not isinstance(rate, numbers.Real) or isinstance(rate, bool):
        raise TypeError(f"{where} must be a number of samples a second; got {rate!r}")
    if not (LOWEST_RATE <= float(rate) <= HIGHEST_RATE):
        raise ValueError(
            f"{where} gives a rate of {rate} samples a second, which no recording of speech has "
            f"({LOWEST_RATE} to {HIGHEST_RATE}): correct the rate, or export the audio again"
        )


def _checked_array(source: Any, rate: int | None) -> np.ndarray:
    """An array as floating-point samples (samples,), with the mistakes caught that would be heard as noise."""
    array = np.asarray(source)
    if array.dtype.kind not in "fiu":
        raise TypeError(
            f"Audio must be a path, bytes, an open binary file or an array of numbers; got {type(source).__name__}"
        )
    if rate is None:
        raise ValueError("An array does not say its rate: pass source_rate, in samples a second")
    check_rate(rate, "source_rate")
    if array.ndim not in (1, 2):
        raise ValueError(f"An audio array is (samples,) or (samples, channels); got the shape {array.shape}")
    if array.ndim == 2 and (array.shape[1] > MOST_CHANNELS or array.shape[1] == 0):
        raise ValueError(
            f"An audio array is (samples, channels), and {array.shape[1]} channels are not plausible: "
            "transpose it if it is (channels, samples)"
        )
    if array.dtype.kind in "iu":
        if array.dtype.name not in _INTEGER_SCALES:
            raise TypeError(
                f"An array of {array.dtype.name} has no known full scale: pass floats within ±1, or int16, int32 or uint8"
            )
        offset, scale = _INTEGER_SCALES[array.dtype.name]
        array = (array.astype(np.float64) - offset) / scale
    return array.mean(axis=1) if array.ndim == 2 else array


@contextmanager
def _open_stream(source: Any) -> Iterator[IO[bytes]]:
    """``source`` as a binary file that can seek, closed afterwards if it was opened here."""
    if isinstance(source, (str, os.PathLike)):
        path = Path(os.fsdecode(source)).expanduser()
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder: name an audio file inside it")
        try:
            stream = path.open("rb")
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} does not exist: check the path") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise type(error)(f"{path} cannot be opened ({reason}): check that you may read it") from error
        with stream:
            yield _seekable(stream)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield io.BytesIO(source)
    else:
        if isinstance(source, io.TextIOBase):
            raise TypeError(f"{source_name(source)} is open as text: open it in binary mode ('rb')")
        yield _seekable(source)


def _seekable(stream: IO[bytes]) -> IO[bytes]:
    return stream if stream.seekable() else io.BytesIO(stream.read())


def _file_blocks(
    source: Any, name: str, sampling_rate: int, max_seconds: float | None
) -> Iterator[np.ndarray]:
    with _open_stream(source) as stream:
        stream.seek(0)
        if not stream.read(1):
            raise ValueError(f"{name} is empty: record or export it again")
        try:
            decoder = open_sound_file(stream, name)
        except UnreadableError as error:
            from tfwav2vec2.audio.media import media_blocks

            rate, blocks = media_blocks(stream, name, str(error))
            yield from _resampled(blocks, rate, sampling_rate, max_seconds, name)
            return
        with decoder:
            check_rate(decoder.samplerate, f"the header of {name}")
            blocks = sound_file_blocks(decoder, stream, name)
            yield from _resampled(blocks, decoder.samplerate, sampling_rate, max_seconds, name)


def _resampled(
    blocks: Iterable[np.ndarray], rate: Any, sampling_rate: int, max_seconds: float | None, name: str
) -> Iterator[np.ndarray]:
    """Check and resample blocks of mono samples."""
    resampler = None
    if rate != sampling_rate:
        resampler = soxr.ResampleStream(rate, sampling_rate, 1, dtype="float32", quality="HQ")
    total = given = 0
    for block in blocks:
        total += len(block)
        if max_seconds is not None and total > max_seconds * rate:
            raise ValueError(
                f"{name} lasts more than {max_seconds:g} s, the longest that is read in one piece: split it into shorter clips"
            )
        with np.errstate(over="ignore"):
            block = np.ascontiguousarray(block, dtype=np.float32)
        if not np.isfinite(block).all():
            at = (total - len(block) + int(np.argmin(np.isfinite(block)))) / rate
            raise ValueError(
                f"{name} holds NaN or infinite samples, the first at {at:.3f} s: repair or export it again"
            )
        block = resampler.resample_chunk(block) if resampler else block
        given += len(block)
        if len(block):
            yield block
    if not total:
        raise ValueError(f"{name} holds no audio samples: record or export it again")
    if resampler:
        block = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        given += len(block)
        if len(block):
            yield block
    if not given:
        raise ValueError(f"{name} is too short to resample ({total} samples): give a longer recording")
