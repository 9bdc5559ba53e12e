"""Files that libsndfile reads, decoded from start to end, with the checks that they are whole."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO

import numpy as np
import soundfile

# Samples (of all channels together) that are decoded at once: what a header claims is never allocated.
BLOCK_SAMPLES = 2**18

# A writer that cannot go back to correct the header, such as one that writes to a pipe, declares about 2 or 4 GiB.
STREAMED_BYTES = 0x7FFF_0000

# Careless writers count a header or a tag as audio; no word is lost in this many bytes.
NEGLIGIBLE_BYTES = 4096

REMEDY = "convert it to wav, flac, ogg or mp3"


class UnreadableError(ValueError):
    """libsndfile does not know what a file is; the message is its reason."""


class SoundFile(soundfile.SoundFile):
    """Reads from start to end: soundfile seeks after each block, which fails where a header's length is wrong."""

    def seekable(self) -> bool:
        """No."""
        return False


def open_sound_file(stream: IO[bytes], name: str) -> SoundFile:
    """Open a file from its start.

    Raises:
        UnreadableError: where libsndfile cannot.
    """
    stream.seek(0)
    try:
        return SoundFile(stream)
    except (soundfile.LibsndfileError, TypeError) as error:
        raise UnreadableError(_reason(error)) from None


def _reason(error: Exception) -> str:
    reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
    # What libsndfile says of a rate of zero, or one past 2^31.
    return "its header declares an impossible rate" if "SF_INFO struct incomplete" in reason else reason


def sound_file_blocks(decoder: SoundFile, stream: IO[bytes], name: str) -> Iterator[np.ndarray]:
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


def _check_complete(decoder: SoundFile, stream: IO[bytes], total: int, name: str) -> None:
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
