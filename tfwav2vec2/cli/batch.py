"""``tfwav2vec2 batch``: thousands of recordings to transcripts, over any number of interruptions."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

import click

from tfwav2vec2.beam.watch import WorkerDiedError
from tfwav2vec2.cli.quiet import quiet_imports
from tfwav2vec2.cli.transcribe import DIGITS_ONLY

if TYPE_CHECKING:
    from tfwav2vec2.beam.batch import Report

# More failures than these are left to their file.
FAILURES_SHOWN = 20
# What a shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130
GOES_ON = "what was done is kept, and the same command goes on from there"


@click.command(
    short_help="Transcribe thousands of recordings; interrupted, it goes on where it was.",
    epilog="""\b
Examples:
  tfwav2vec2 batch calls/ transcripts/ --model facebook/wav2vec2-base-960h
  tfwav2vec2 batch calls.tsv transcripts/ --runner multi-process --workers 4
  tfwav2vec2 batch calls/ transcripts/ --runner FlinkRunner -- --flink_master=localhost:8081""",
)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path))
@click.argument("beam_options", metavar="[-- BEAM_OPTIONS...]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--runner",
    metavar="NAME",
    default="in-memory",
    show_default=True,
    help="in-memory: this process. multi-process: several on this machine. Or another runner of Apache Beam's, such as "
    "FlinkRunner, whose workers have this package and see the same files; its options stand behind --.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="Processes of multi-process, each with the model in its memory; by default one for each processor.",
)
@click.option(
    "--model",
    metavar="MODEL",
    help="As for transcribe: on the hub, in a folder, a .tflite file, a SavedModel or a server's address. Without it, the "
    "embedded model: English digits only.",
)
@click.option(
    "--language",
    metavar="CODE",
    help="The language that is spoken, for a multilingual model such as facebook/mms-1b-all: eng, fra, ... (ISO 639-3).",
)
@click.option(
    "--batch-seconds",
    type=click.FloatRange(0, min_open=True),
    default=16.0,
    show_default=True,
    help="Seconds of audio that go through the model together, padding included; some hundreds pay on a GPU.",
)
@click.pass_context
def batch(
    context: click.Context,
    source: Path,
    output: Path,
    beam_options: tuple[str, ...],
    runner: str,
    workers: int | None,
    model: str | None,
    language: str | None,
    batch_seconds: float,
) -> None:
    """Transcribe the recordings of IN, a folder, a list of paths or a manifest (.tsv, .csv, .jsonl), into the folder OUT.

    OUT gets the transcripts as JSON lines (transcripts-00000.jsonl and on, in the order of IN), failures.jsonl with what
    could not be transcribed and why, and summary.json. The same command again, after a crash or with new recordings in IN,
    does only what is left to do, and tries again what failed. The exit status is 1 where something failed.
    """
    if beam_options and not beam_options[0].startswith("-"):
        raise click.UsageError(f"Got unexpected extra argument ({beam_options[0]})")
    with _one_error():
        with quiet_imports():
            from tfwav2vec2.beam import require_packages

            require_packages()
            from tfwav2vec2.beam.batch import run_batch
            from tfwav2vec2.beam.recordings import find_batch

        recordings, problems = find_batch(source)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if not recordings:
        context.exit(1)
    if model is None:
        click.echo(DIGITS_ONLY, err=True)
    with _one_error():
        report = run_batch(
            source,
            recordings,
            output,
            model=model,
            language=language,
            batch_seconds=batch_seconds,
            runner=runner,
            workers=workers,
            beam_options=beam_options,
            progress=_bar,
        )
    _tell(report, output)
    if report.failures or problems:
        context.exit(1)


@contextmanager
def _one_error() -> Iterator[None]:
    """What can go wrong, in one sentence; where the runner cannot be stopped, this process ends with it."""
    try:
        yield
    except WorkerDiedError as error:
        click.echo(f"Error: A worker was killed, perhaps for want of memory ({error}): {GOES_ON}", err=True)
        _end_now(1)
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {GOES_ON}", err=True)
        _end_now(INTERRUPTED)
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def _bar(stream: TextIO, total: int, before: int) -> Iterator[Callable[[int], object]]:
    from tqdm import tqdm

    with tqdm(total=total, initial=before, unit="file", leave=False, disable=None, file=stream) as bar:
        yield bar.update


def _tell(report: Report, output: Path) -> None:
    for failure in report.failures[:FAILURES_SHOWN]:
        click.echo(f"Error: {failure}", err=True)
    if len(report.failures) > FAILURES_SHOWN:
        more = len(report.failures) - FAILURES_SHOWN
        click.echo(f"Error: {more} more failed: {output / 'failures.jsonl'} says why", err=True)
    summary, tally = report.summary, report.tally
    count = "1 recording" if summary.recordings == 1 else f"{summary.recordings} recordings"
    line = f"{summary.transcribed} of {count} transcribed"
    if report.before:
        line += f", {report.before} of them before"
    if tally.clips:
        seconds = tally.milliseconds / 1000
        line += (
            f": {seconds:.1f} s of audio in {report.seconds:.1f} s (real-time factor {report.seconds / seconds:.3f}, "
            f"{tally.padded_share:.0%} padding)"
        )
    click.echo(line, err=True)


def _end_now(status: int) -> NoReturn:
    """End without waiting for the runner, whose threads wait for ever."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
