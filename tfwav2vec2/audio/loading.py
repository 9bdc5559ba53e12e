"""From a file, bytes or an array to the waveform that a model reads: mono float32 at 16 kHz."""

from __future__ import annotations

import io
import numbers
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import soundfile
import soxr

from tfwav2vec2.audio import SAMPLE_RATE

"""The rate, in Hz, of the audio that wav2vec 2.0 models were trained on."""

AUDIO_SUFFIXES = frozenset(
    {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64", ".rf64"}
)
"""The endings, in lower case, by which audio files are found in a folder."""

# Below and above lies no recording of speech, only a header that is wrong. The lower bound also limits how much
# memory resampling may ask for.
LOWEST_RATE, HIGHEST_RATE = 2_000, 768_000

# An array with more channels than this is one whose axes are swapped.
MOST_CHANNELS = 64

# Longer recordings would not fit a model anyway; a few kilobytes of compressed silence can claim days.
LONGEST_SECONDS = 6 * 3600.0

# Samples (of all channels together) that are decoded at once: what a header claims is never allocated.
BLOCK_SAMPLES = 2**18

# A writer that cannot go back to correct the header, such as one that writes to a pipe, declares about 2 or 4 GiB.
STREAMED_BYTES = 0x7FFF_0000

# Careless writers count a header or a tag as audio; no word is lost in this many bytes.
NEGLIGIBLE_BYTES = 4096

# Integer samples as full scale 1.0: (offset, scale).
_INTEGER_SCALES = {"int16": (0.0, 2.0**15), "int32": (0.0, 2.0**31), "uint8": (128.0, 2.0**7)}

REMEDY = "convert it to wav, flac, ogg or mp3"


def load_audio(
    source: Any,
    *,
    sampling_rate: int = SAMPLE_RATE,
    source_rate: int | None = None,
    max_seconds: float = LONGEST_SECONDS,
) -> np.ndarray:
    """The waveform of ``source`` as float32 (samples,): channels averaged, resampled by soxr at its high quality.

    Args:
        source: a path, the bytes of a file, or an open binary file, read from its start (wav, flac, ogg, mp3 and
            whatever else libsndfile reads); or an array (samples,) or (samples, channels). Floating-point arrays have
            full scale 1.0; int16, int32 and uint8 arrays are scaled to it.
        sampling_rate: the rate of the result in Hz.
        source_rate: the rate of an array in Hz; it is required for arrays and refused for files, whose header says it.
        max_seconds: the longest audio that is accepted.

    Raises:
        OSError: where the file does not exist or cannot be read.
        ValueError: where it is not audio, is empty, is cut short, declares an impossible rate, lasts longer than
            ``max_seconds``, or holds NaN or infinite samples. The message names the file and the remedy.
        TypeError: where ``source`` is none of these kinds, or an array whose integer type has no known scale.
    """
    name = source_name(source)
    _check_rate(sampling_rate, "sampling_rate")
    if not _is_file_like(source):
        waveform, rate = _checked_array(source, source_rate), source_rate
        blocks: Iterable[np.ndarray] = [waveform]
        return _collect(blocks, rate, sampling_rate, max_seconds, name)
    if source_rate is not None:
        raise ValueError(
            f"source_rate is for arrays; the rate of {name} is read from its header: leave it out"
        )
    with _open_stream(source) as stream, _open_decoder(stream, name) as decoder:
        _check_rate(decoder.samplerate, f"the header of {name}")
        return _collect(_decode(decoder, stream, name), decoder.samplerate, sampling_rate, max_seconds, name)


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


def _check_rate(rate: Any, where: str) -> None:
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
    _check_rate(rate, "source_rate")
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


class _Decoder(soundfile.SoundFile):
    """Reads from start to end: soundfile seeks after each block, which fails where a header's length is wrong."""

    def seekable(self) -> bool:
        return False


def _open_decoder(stream: IO[bytes], name: str) -> _Decoder:
    stream.seek(0)
    if not stream.read(1):
        raise ValueError(f"{name} is empty: record or export it again")
    stream.seek(0)
    try:
        return _Decoder(stream)
    except (soundfile.LibsndfileError, TypeError) as error:
        raise ValueError(
            f"{name} cannot be read as audio ({_reason(error)}): if it is audio, {REMEDY}"
        ) from None


def _reason(error: Exception) -> str:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    # What libsndfile says of a rate of zero, or one past 2^31.
    return "its header declares an impossible rate" if "SF_INFO struct incomplete" in reason else reason


def _decode(decoder: _Decoder, stream: IO[bytes], name: str) -> Iterator[np.ndarray]:
    """The file's blocks of samples, channels averaged; an error at the end if that was not all of it."""
    total = 0
    frames = max(1, BLOCK_SAMPLES // decoder.channels)
    while True:
        try:
            block = decoder.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ValueError(
                f"{name} is damaged after {total / decoder.samplerate:.1f} s ({_reason(error)}): "
                "copy, download or export it again"
            ) from None
        if not len(block):
            break
        total += len(block)
        yield block.mean(axis=1)
    _check_complete(decoder, stream, total, name)


def _check_complete(decoder: _Decoder, stream: IO[bytes], total: int, name: str) -> None:
    """Catch files that end before their header says, and headers that end before the file does."""
    seconds = f"{total / decoder.samplerate:.1f} s"
    cut_short = f"{name} is cut short: it ends after {seconds}, before its header says; copy, download or export it again"
    # libsndfile corrects the length of an uncompressed file and says so in its log alone.
    declared = re.search(
        r"^\s*(?:data|SSND|Data Size|riff) *: (\d+) \(should be (\d+)\)", decoder.extra_info, re.MULTILINE
    )
    if declared:
        claimed, held = int(declared[1]), int(declared[2])
        if claimed < STREAMED_BYTES and claimed - held > NEGLIGIBLE_BYTES:
            raise ValueError(cut_short)
    # A streamed FLAC file does not know its length.
    known = decoder.frames < 2**36 - 1
    if known and decoder.frames - total > decoder.samplerate // 10:
        raise ValueError(cut_short)
    if decoder.format in ("MP3", "OGG"):
        # libsndfile stops at the length it expected, which is too short for MP3 of variable bit rate without a header.
        position = stream.tell()
        unread = stream.seek(0, io.SEEK_END) - position
        if unread > max(NEGLIGIBLE_BYTES, position // 20):
            raise ValueError(
                f"{name} goes on after the {seconds} that can be decoded: convert it to wav or flac"
            )


def _collect(
    blocks: Iterable[np.ndarray], rate: Any, sampling_rate: int, max_seconds: float, name: str
) -> np.ndarray:
    """Check, resample and join blocks of mono samples."""
    resampler = None
    if rate != sampling_rate:
        resampler = soxr.ResampleStream(rate, sampling_rate, 1, dtype="float32", quality="HQ")
    pieces: list[np.ndarray] = []
    total = 0
    for block in blocks:
        total += len(block)
        if total > max_seconds * rate:
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
        pieces.append(resampler.resample_chunk(block) if resampler else block)
    if not total:
        raise ValueError(f"{name} holds no audio samples: record or export it again")
    if resampler:
        pieces.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    waveform = np.concatenate(pieces)
    if not len(waveform):
        raise ValueError(f"{name} is too short to resample ({total} samples): give a longer recording")
    return waveform
