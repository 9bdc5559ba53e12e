"""``tfwav2vec2 transcribe``: sound files in, text out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfwav2vec2.cli.quiet import import_models, quiet_imports
from tfwav2vec2.cli.recordings import Recording, find_recordings, output_paths

if TYPE_CHECKING:
    from tfwav2vec2.transcription.engine_transcriber import EngineTranscriber
    from tfwav2vec2.transcription.transcript import Transcript

DIGITS_ONLY = (
    "Using the embedded model, which knows strings of English digits only. "
    "For open speech name a model: --model facebook/wav2vec2-base-960h"
)


@click.command(
    short_help="Write down what is said in sound files.",
    epilog="Example:  tfwav2vec2 transcribe talks/ --model facebook/wav2vec2-base-960h --format json > talks.jsonl",
)
@click.argument(
    "inputs", metavar="FILES_OR_FOLDERS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option(
    "--model",
    metavar="MODEL",
    help="A model on the hub or in a folder, a .tflite file, the folder of a SavedModel, or an address of TensorFlow "
    "Serving, such as http://localhost:8501/v1/models/NAME or grpc://localhost:8500/NAME. Without it, the embedded model: "
    "English digits only.",
)
@click.option(
    "--language",
    metavar="CODE",
    help="The language that is spoken, for a multilingual model such as facebook/mms-1b-all: eng, fra, ... (ISO 639-3).",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: one object a line, with file, text and seconds.",
)
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write one file for each recording, such as DIR/clip.wav.txt, in place of standard output. "
    "The subfolders of a folder are kept.",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Recordings that go through the model together: more than one pays on a GPU.",
)
@click.pass_context
def transcribe(
    context: click.Context,
    inputs: tuple[Path, ...],
    model: str | None,
    language: str | None,
    layout: str,
    output: Path | None,
    batch_size: int,
) -> None:
    """Write down what is said in sound files of any rate, format and channel count.

    Folders are searched for sound files at every depth. The text of a single file is printed alone; otherwise each line
    is the file, a tab and the text. What cannot be read is named on standard error, the rest still runs, and the
    exit status is 1.
    """
    recordings, problems = find_recordings(inputs)
    targets = _targets(recordings, output, layout)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if not recordings:
        context.exit(1)
    bare = layout == "text" and (output is not None or (len(inputs) == 1 and not inputs[0].is_dir()))
    started = time.perf_counter()
    transcriber = _open(model, language, batch_size)
    opened = time.perf_counter()
    failed, seconds = len(problems), 0.0
    for recording, transcript in _with_progress(transcriber, recordings):
        if transcript.error is not None:
            failed += 1
            click.echo(f"Error: {transcript.error}", err=True)
            continue
        seconds += transcript.seconds
        line = _line(transcript, layout, bare)
        if output is None:
            click.echo(line)
        else:
            _write(targets[recording.path], line)
    _summarise(
        len(recordings) + len(problems), failed, seconds, opened - started, time.perf_counter() - opened
    )
    if failed:
        context.exit(1)


def _targets(recordings: Iterable[Recording], output: Path | None, layout: str) -> dict[Path, Path]:
    if output is None:
        return {}
    try:
        return output_paths(recordings, output, {"text": ".txt", "json": ".json"}[layout])
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _open(model: str | None, language: str | None, batch_size: int) -> EngineTranscriber:
    from tfwav2vec2.serving.engines import is_engine

    if model is not None and is_engine(model):
        return _open_engine(model, language, batch_size)
    if model is None and language is not None:
        raise click.UsageError("The embedded model has no languages: name a multilingual one with --model")
    if model is None:
        click.echo(DIGITS_ONLY, err=True)
    try:
        import_models()
        from tfwav2vec2.transcription.transcriber import Transcriber

        return Transcriber.from_pretrained(model, batch_size=batch_size, language=language)
    except (OSError, ValueError, TypeError, ImportError) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name in ("tensorflow", "keras")
        advice = (
            f": pip install {error.name}; a .tflite file runs without it, --model FILE.tflite"
            if missing
            else ""
        )
        raise click.ClickException(f"{error}{advice}") from error


def _open_engine(model: str, language: str | None, batch_size: int) -> EngineTranscriber:
    """What runs an exported model; TensorFlow is imported only for what needs it."""
    if language is not None:
        raise click.UsageError(f"{model} is an exported model, whose language is fixed: leave --language out")
    from tfwav2vec2.serving.engines import open_engine
    from tfwav2vec2.transcription.engine_transcriber import EngineTranscriber

    try:
        with quiet_imports():
            engine = open_engine(model)
        return EngineTranscriber(engine, batch_size=batch_size)
    except (OSError, ValueError, ImportError) as error:
        raise click.ClickException(str(error)) from error


def _with_progress(
    transcriber: EngineTranscriber, recordings: list[Recording]
) -> Iterator[tuple[Recording, Transcript]]:
    """Each recording with its transcript, under a progress bar where standard error is a terminal."""
    from tqdm import tqdm

    transcripts = transcriber.transcribe([recording.path for recording in recordings], errors="return")
    try:
        with tqdm(total=len(recordings), unit="file", leave=False, disable=None) as bar:
            for recording, transcript in zip(recordings, transcripts, strict=True):
                with bar.external_write_mode():
                    yield recording, transcript
                bar.update()
    except (OSError, ValueError) as error:
        # No recording is to blame: a server that does not answer, a model that gives no text.
        raise click.ClickException(str(error)) from error


def _line(transcript: Transcript, layout: str, bare: bool) -> str:
    if layout == "json":
        fields = {"file": transcript.file, "text": transcript.text, "seconds": round(transcript.seconds, 3)}
        return json.dumps(fields, ensure_ascii=False)
    return transcript.text if bare else f"{transcript.file}\t{transcript.text}"


def _write(path: Path, line: str) -> None:
    from tfwav2vec2.weights.files import write_atomically

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as temporary:
            temporary.write_text(line + "\n", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise click.ClickException(
            f"{path} cannot be written ({error.strerror or error}): check the folder and the space that is left"
        ) from error


def _summarise(files: int, failed: int, seconds: float, opening: float, running: float) -> None:
    count = "1 file" if files == 1 else f"{files} files"
    report = f"{files - failed} of {count} transcribed: {seconds:.1f} s of audio in {running:.1f} s"
    if seconds:
        report += f" (real-time factor {running / seconds:.3f})"
    click.echo(f"{report}, after {opening:.1f} s to open the model", err=True)
