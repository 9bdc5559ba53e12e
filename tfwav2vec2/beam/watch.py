"""A runner at work: with its chatter in a file, and with an end even where one of its processes is killed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO, TypeVar

Result = TypeVar("Result")

STDERR = 2
TICK = 0.2


class WorkerDiedError(RuntimeError):
    """A process of the runner ended before its work did."""


@contextmanager
def chatter_to(path: Path) -> Iterator[TextIO]:
    """Send to a file what this process and those that it starts write to standard error, past Python too.

    Gives the standard error of before, for what is to be seen all the same.
    """
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with path.open("ab") as log:
            os.dup2(log.fileno(), STDERR)
        with os.fdopen(os.dup(kept), "w", encoding="utf-8", errors="surrogateescape") as terminal:
            yield terminal
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        os.close(kept)


def run_watched(work: Callable[[], Result], tick: Callable[[], Any]) -> Result:
    """Run ``work`` in a thread, and ``tick`` again and again meanwhile in this one.

    Raises:
        WorkerDiedError: where a process of Apache Beam's died, for which ``work`` would wait for ever. It waits still: end this
            process by ``os._exit``, and the runner's other processes follow.
        BaseException: what ``work`` raises.
    """
    results: list[Result] = []
    errors: list[BaseException] = []
    dead: list[threading.ExceptHookArgs] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    def note_death(trouble: threading.ExceptHookArgs) -> None:
        # The thread that waits for a process is the only one that learns of its death, and has no way to tell.
        dead.append(trouble)
        before(trouble)

    before, threading.excepthook = threading.excepthook, note_death
    thread = threading.Thread(target=run, name="pipeline", daemon=True)
    try:
        thread.start()
        while thread.is_alive():
            thread.join(TICK)
            tick()
            deaths = [trouble for trouble in dead if "Worker subprocess exited" in str(trouble.exc_value)]
            if deaths and thread.is_alive():
                raise WorkerDiedError(str(deaths[0].exc_value))
    finally:
        threading.excepthook = before
    if errors:
        raise errors[0]
    return results[0]
