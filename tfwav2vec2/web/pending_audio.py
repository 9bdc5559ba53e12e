"""How much sound has been decoded and not been answered yet, in all requests together.

A request of a few kilobytes can hold minutes of silence, so that the bytes which come in say little about memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PendingAudioError(Exception):
    """So much sound waits already that more would have to wait too long."""


class PendingAudio:
    """An allowance of samples that requests share.

    Args:
        most: samples of all requests together.
    """

    def __init__(self, most: int) -> None:
        self.samples = 0
        self._most = most
        self._lock = threading.Lock()

    @contextmanager
    def share(self) -> Iterator[Share]:
        """One request's part, given back at the end."""
        share = Share(self)
        try:
            yield share
        finally:
            self.move(-share.samples)

    def move(self, samples: int) -> None:
        """Take so many more, or give them back.

        Raises:
            PendingAudioError: where there are not as many left.
        """
        with self._lock:
            if samples > 0 and self.samples + samples > self._most:
                raise PendingAudioError(
                    "Too much sound is waiting to be transcribed: try again in a few seconds"
                )
            self.samples += samples


class Share:
    """What one request has taken."""

    def __init__(self, pending: PendingAudio) -> None:
        self.samples = 0
        self._pending = pending

    def add(self, samples: int) -> None:
        """Take so many more; may be called from any thread.

        Raises:
            PendingAudioError: where there are not as many left.
        """
        self._pending.move(samples)
        self.samples += samples
