"""A large batch from its beginning to its results, or from wherever it was interrupted."""

from __future__ import annotations

import builtins
import re
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tfwav2vec2.beam.job import describe_job, open_job
from tfwav2vec2.beam.journal import Journal
from tfwav2vec2.beam.model_handler import BATCH_SECONDS
from tfwav2vec2.beam.pipeline import ShardModelHandler, run_shards
from tfwav2vec2.beam.recordings import BatchRecording
from tfwav2vec2.beam.results import Summary, write_results
from tfwav2vec2.beam.runners import open_runner
from tfwav2vec2.beam.shards import Shard, cut_shards
from tfwav2vec2.beam.transcription import Tally
from tfwav2vec2.beam.watch import WorkerDiedError, chatter_to, run_watched

LOG = "log.txt"

# Shows how far a batch is: from a stream for it, how many recordings there are, and how many were done before, it makes
# a context whose value is called with how many more are done.
Progress = Callable[[TextIO, int, int], AbstractContextManager[Callable[[int], Any]]]


@dataclass(frozen=True)
class Report:
    """What a run of a batch came to.

    Attributes:
        summary: of the whole batch.
        before: how many recordings earlier runs have transcribed.
        tally: what went through the model in this run, as far as the runner tells.
        seconds: that this run took, opening the model included.
        failures: why recordings could not be transcribed.
    """

    summary: Summary
    before: int
    tally: Tally
    seconds: float
    failures: tuple[str, ...]


def run_batch(
    source: Path,
    recordings: Sequence[BatchRecording],
    output: Path,
    *,
    model: str | None = None,
    language: str | None = None,
    batch_seconds: float = BATCH_SECONDS,
    runner: str = "in-memory",
    workers: int | None = None,
    beam_options: Sequence[str] = (),
    progress: Progress,
) -> Report:
    """Transcribe the recordings that ``output`` does not hold yet, and write the results of all.

    Args:
        source: what names the recordings, to tell one batch from another.
        recordings: all of them.
        output: the folder of the results; an empty or a new one, or that of an interrupted run of the same batch.
        model, language, batch_seconds: as for :class:`~tfwav2vec2.beam.model_handler.TranscriptionModelHandler`.
        runner, workers, beam_options: as for :func:`~tfwav2vec2.beam.runners.open_runner`.
        progress: shows how far the batch is.

    Raises:
        OSError: where the model cannot be opened or its server stops answering, or ``output`` cannot be written.
        ValueError: where ``output`` belongs to another batch, or an option is wrong.
        ImportError: where the model or the runner needs a package that is not installed.
        RuntimeError: where the runner fails; ``log.txt`` in ``output`` has what it said.
        WorkerDiedError: where a process of the runner was killed; see :func:`~tfwav2vec2.beam.watch.run_watched`.
    """
    opened, options, count, threads = open_runner(runner, workers, beam_options)
    job = describe_job(source, model, language)
    started = time.perf_counter()
    with open_job(output.absolute(), job) as journal:
        outcomes = journal.outcomes_of(recordings)
        done = {name for name, outcome in outcomes.items() if outcome.error is None}
        waiting = [recording for recording in recordings if recording.id not in done]
        tally = Tally()
        if waiting:
            shards = cut_shards(waiting, journal.next_run(), count)
            revision = {"revision": job.fingerprint} if job.on_hub else {}
            handler = ShardModelHandler(
                model, language=language, batch_seconds=batch_seconds, threads=threads, **revision
            )
            log = output / LOG
            try:
                with chatter_to(log) as terminal, progress(terminal, len(recordings), len(done)) as advance:
                    tally = run_watched(
                        lambda: run_shards(shards, journal, handler, opened, options),
                        _Written(journal, shards, advance),
                    )
            except WorkerDiedError:
                raise
            except Exception as error:
                raise _told_shortly(error, log) from error
            outcomes = journal.outcomes_of(recordings)
            lost = sum(recording.id not in outcomes for recording in recordings)
            if lost:
                raise RuntimeError(
                    f"The runner ended without a word on {lost} recordings: its workers must see {output.absolute()} as this "
                    "machine does"
                )
        summary = write_results(output, recordings, outcomes)
    failures = (outcomes[recording.id].error for recording in recordings)
    return Report(
        summary,
        len(done),
        tally,
        time.perf_counter() - started,
        tuple(error for error in failures if error is not None),
    )


class _Written:
    """Tells how many recordings more are in the journal, whenever it is called."""

    def __init__(self, journal: Journal, shards: Sequence[Shard], advance: Callable[[int], Any]) -> None:
        self._journal, self._advance = journal, advance
        self._missing = {shard.name: len(shard.recordings) for shard in shards}

    def __call__(self) -> None:
        written = self._missing.keys() & self._journal.shards()
        self._advance(sum(self._missing.pop(name) for name in written))


# The last line of a traceback, and what Beam adds to it.
_LAST_LINE = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception|Interrupt|Exit)): (.*)$", re.MULTILINE)
_BEAMS_NOTE = re.compile(r" \[while running .*$", re.DOTALL)


def _told_shortly(error: Exception, log: Path) -> Exception:
    """The error that a runner wraps in tracebacks, in one sentence."""
    text = str(error)
    if "Traceback (most recent call last)" not in text:
        message = _BEAMS_NOTE.sub("", text)
        kind = type(error).__name__
    else:
        *_, (kind, message) = _LAST_LINE.findall(text) or [("RuntimeError", "the runner failed")]
        message = _BEAMS_NOTE.sub("", message)
    told = getattr(builtins, kind, None)
    if isinstance(told, type) and issubclass(told, (OSError, ValueError, ImportError)) and message:
        return RuntimeError(message)
    return RuntimeError(
        f"The runner failed ({kind}: {message}): {log} has all that it said; what was done is kept"
    )
