"""The sound of videos, and of audio that libsndfile does not read (m4a, aac, wma, ...), decoded by FFmpeg through PyAV.

Videos are never decoded: their packets are passed over. One track is read, the one that players take.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from tfwav2vec2.audio.sound_file import REMEDY

MEDIA_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".m4a", ".mov", ".mkv", ".mka", ".webm", ".avi", ".mpg", ".mpeg", ".3gp"}
    | {".aac", ".wma", ".wmv", ".asf", ".flv", ".amr", ".ac3", ".ape", ".wv", ".weba"}
)
"""The endings, in lower case, of files that need the extra ``media``; not .ts, which is rather a program's."""

# What FFmpeg may take a file for, by its own names: not for a playlist, which would have it open other files and addresses, and
# not for a format that libsndfile has judged already.
_FORMATS = (
    *(
        "mov",
        "mp4",
        "m4a",
        "3gp",
        "3g2",
        "mj2",
        "matroska",
        "webm",
        "asf",
        "avi",
        "flv",
        "mpegts",
        "mpeg",
        "ogg",
    ),
    *("aac", "amr", "ac3", "eac3", "ape", "wv", "tta", "dts"),
)

# What FFmpeg calls the formats whose headers say how long they last; others guess from the bit rate.
_DECLARING = ("mov", "matroska", "asf", "avi", "flv")

# Streams of a file end at slightly different times, and the last packets' length is often unknown.
_TOLERATED_SECONDS = 1.0

# A hole in the sound of less than this is rounding; a longer one is silence, so that times stay those of the video.
_GAP_SECONDS = 0.05

# Silence that is handed on at once.
_BLOCK_SECONDS = 10


def media_blocks(stream: IO[bytes], name: str, reason: str) -> tuple[int, Iterator[np.ndarray]]:
    """The rate of the sound in ``stream``, and its samples in blocks, channels averaged.

    Args:
        stream: a file that can seek.
        name: what messages call it.
        reason: why libsndfile does not read it.

    Raises:
        ImportError: where PyAV is not installed and the file looks like one that needs it.
        ValueError: where it is no audio or video either, has no sound, or is damaged.
    """
    try:
        import av
    except ImportError as error:
        stream.seek(0)
        if _looks_like_media(stream.read(64)):
            raise ImportError(
                f"Reading {name} needs the package av, which is not installed: pip install 'tfwav2vec2[media]'; or {REMEDY}"
            ) from error
        raise ValueError(_unreadable(name, reason)) from None
    stream.seek(0)
    try:
        options = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "none"}
        container = av.open(stream, mode="r", metadata_errors="ignore", container_options=options)
    except (av.error.FFmpegError, ValueError, OSError):
        raise ValueError(_unreadable(name, reason)) from None
    track = container.streams.best("audio")
    if track is None:
        kinds = sorted({each.type for each in container.streams})
        container.close()
        if not kinds:
            raise ValueError(_unreadable(name, reason))
        raise ValueError(f"{name} has no sound track ({', '.join(kinds)} only): name a file with sound")
    if not track.rate or not track.channels:
        container.close()
        raise ValueError(f"{name} does not declare the rate and channels of its sound: {REMEDY}")
    return int(track.rate), _blocks(av, container, track, name)


def _unreadable(name: str, reason: str) -> str:
    return f"{name} cannot be read as audio ({reason}): if it is audio, {REMEDY}"


def _looks_like_media(head: bytes) -> bool:
    """Whether a file begins as MP4, Matroska and WebM, ASF (WMA), AVI, FLV, MPEG streams, or AAC and AMR do."""
    return (
        head[4:8] == b"ftyp"
        or head.startswith((b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75", b"FLV", b"#!AMR", b"\x00\x00\x01\xba"))
        or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")
        or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0)
    )


def _blocks(av: Any, container: Any, track: Any, name: str) -> Iterator[np.ndarray]:
    rate = int(track.rate)
    # Float samples side by side, with the track's own channels and rate, whatever changes on the way.
    convert = av.AudioResampler(format="fltp", layout=track.layout, rate=rate)
    beginning = (container.start_time or 0) / av.time_base
    total, end = 0, 0.0
    with container:
        try:
            for packet in container.demux():
                if packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != track.index:
                    continue
                for frame in packet.decode():
                    if frame.time is not None:
                        missing = round((frame.time - beginning) * rate) - total
                        if missing > _GAP_SECONDS * rate:
                            total += missing
                            yield from _silence(missing, rate)
                    for piece in convert.resample(frame):
                        block = piece.to_ndarray().mean(axis=0)
                        total += len(block)
                        yield block
            for piece in convert.resample(None):
                yield piece.to_ndarray().mean(axis=0)
        except (av.error.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(
                f"{name} is damaged after {total / rate:.1f} s ({reason}): copy, download or export it again"
            ) from None
        declared = container.duration / av.time_base if container.duration else 0.0
        if container.format.name.startswith(_DECLARING) and declared - end + beginning > _TOLERATED_SECONDS:
            raise ValueError(
                f"{name} is cut short: it ends after {total / rate:.1f} s, before its header says; copy, download or export "
                "it again"
            )


def _silence(samples: int, rate: int) -> Iterator[np.ndarray]:
    while samples > 0:
        count = min(samples, _BLOCK_SECONDS * rate)
        yield np.zeros(count, np.float32)
        samples -= count
