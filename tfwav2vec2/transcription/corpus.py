"""Many recordings through one engine: read in threads, run in batches of like length, written down while the next one runs."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np

from tfwav2vec2.audio.length_batches import length_batches
from tfwav2vec2.audio.streams import source_name, stream_audio

# So many batches' worth of recordings is read before the first of them runs: enough for clips of like length to meet.
READ_AHEAD = 8

# Recordings that are being read at the same time. Reading is a hundred times faster than a model.
READERS = 2


@dataclass(frozen=True)
class Clip:
    """A recording that goes through the model in one piece.

    ``place`` is that of the recording among all, ``waveform`` its samples (n,).
    """

    place: int
    name: str
    waveform: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class LongRecording:
    """A recording that has to be cut: its samples in blocks, which are read as they are asked for."""

    place: int
    name: str
    audio: Iterator[np.ndarray] = field(repr=False)


@dataclass(frozen=True)
class Failure:
    """A recording that cannot be transcribed, and why; ``seconds`` of it were read."""

    place: int
    name: str
    seconds: float
    error: Exception


Read = Clip | LongRecording | Failure


class Reader:
    """Reads recordings, as far as one piece goes.

    Args:
        rate: of the samples that come out, in Hz.
        longest: samples of a piece; a recording of more is a long one.
        shortest: the fewest samples that make an answer.
        source_rate: the rate in Hz of sources that are arrays.
    """

    def __init__(self, rate: int, longest: int, shortest: int, source_rate: int | None) -> None:
        self._rate, self._longest, self._shortest = rate, longest, shortest
        self._source_rate = source_rate

    def read(self, place: int, source: Any) -> Read:
        """A recording, or why there is none."""
        name = source_name(source)
        held: list[np.ndarray] = []
        samples = 0
        try:
            blocks = stream_audio(
                source,
                sampling_rate=self._rate,
                source_rate=self._source_rate if name == "<array>" else None,
            )
            for block in blocks:
                held.append(block)
                samples += len(block)
                if samples > self._longest:
                    return LongRecording(place, name, chain(held, blocks))
            if samples < self._shortest:
                raise ValueError(
                    f"{name} lasts {samples / self._rate:.4f} s, less than one frame of the model: give a longer recording"
                )
        except (OSError, ValueError, TypeError, ImportError) as error:
            return Failure(place, name, samples / self._rate, error)
        return Clip(place, name, np.concatenate(held))


def read_ahead(sources: Iterable[Any], read: Callable[[int, Any], Read], ahead: int) -> Iterator[Read]:
    """Each source read, in their order.

    Args:
        sources: whatever ``read`` takes, behind its place.
        read: reads one.
        ahead: how many are read in threads before they are asked for. With 0 a source is asked for once the one before it has
            been taken, and read at once.
    """
    if not ahead:
        for place, source in enumerate(sources):
            yield read(place, source)
        return
    turn = threading.Semaphore(READERS)
    waiting: deque[Future[Read]] = deque()
    try:
        for place, source in enumerate(sources):
            job = _begin(read, place, source, turn)
            if hasattr(source, "read"):
                job.result()  # whoever opened a file may close it when the next source is asked for
            waiting.append(job)
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for job in waiting:
            job.cancel()


def _begin(
    read: Callable[[int, Any], Read], place: int, source: Any, turn: threading.Semaphore
) -> Future[Read]:
    """Read a source in a thread of its own, when it has its turn.

    Nobody waits for the thread at the end of the process, as for those of an executor: it may hang in a pipe that nobody
    writes to.
    """
    job: Future[Read] = Future()

    def work() -> None:
        with turn:
            if not job.set_running_or_notify_cancel():
                return
            try:
                job.set_result(read(place, source))
            except BaseException as error:
                job.set_exception(error)

    threading.Thread(target=work, name="read", daemon=True).start()
    return job


@dataclass(frozen=True)
class Batching:
    """Which clips go through the engine together.

    Attributes:
        rows: at most so many; None for any number.
        samples: at most so many samples with their padding, for all of them; None for no limit.
        fits: whether so many rows of so many samples fit the memory; one row always may be tried.
    """

    rows: int | None
    samples: float | None
    fits: Callable[[int, int], bool]

    @property
    def alone(self) -> bool:
        """Whether every clip goes alone."""
        return self.rows == 1 and self.samples is None

    def groups(self, recordings: Iterable[Read]) -> Iterator[list[Read]]:
        """The recordings in groups, within each of which clips of like length may meet."""
        group: list[Read] = []
        held = 0
        for recording in recordings:
            group.append(recording)
            held += len(recording.waveform) if isinstance(recording, Clip) else 0
            if self.samples is None:
                full = len(group) >= READ_AHEAD * (self.rows or 1)
            else:
                full = held >= READ_AHEAD * self.samples
            if self.alone or full or isinstance(recording, LongRecording):
                yield group
                group, held = [], 0
        if group:
            yield group

    def batches(self, clips: list[Clip]) -> list[list[Clip]]:
        """Clips of like length together, the longest first; a clip that goes alone keeps its place."""
        if self.alone:
            return [[clip] for clip in clips]
        lengths = [len(clip.waveform) for clip in clips]
        budget = float("inf") if self.samples is None else self.samples
        most = float("inf") if self.rows is None else self.rows
        places = length_batches(
            lengths, budget, lambda rows, samples: rows <= most and self.fits(rows, samples)
        )
        return [[clips[place] for place in sorted(batch)] for batch in places]
