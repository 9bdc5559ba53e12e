"""``tfwav2vec2 transcribe``: sound files in, text out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfwav2vec2.cli.opening import DIGITS_ONLY, HOTWORD_HELP, LANGUAGE_HELP, MODEL_HELP, open_transcriber
from tfwav2vec2.cli.recordings import Recording, find_recordings, output_paths
from tfwav2vec2.cli.transcript_files import draw_transcript, write_transcript
from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.table import FORMATS

if TYPE_CHECKING:
    from tfwav2vec2.transcription.transcript import Transcript

__all__ = ["DIGITS_ONLY", "transcribe"]


@click.command(
    short_help="Write down what is said in sound files.",
    epilog="Example:  tfwav2vec2 transcribe talks/ --model facebook/wav2vec2-base-960h --format json > talks.jsonl",
)
@click.argument(
    "inputs", metavar="FILES_OR_FOLDERS...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--model", metavar="MODEL", help=MODEL_HELP)
@click.option("--language", metavar="CODE", help=LANGUAGE_HELP)
@click.option(
    "--format",
    "layouts",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    default=["text"],
    show_default="text",
    help="json: one object a line, with file, text and seconds. May be repeated where --output is given.",
)
@click.option(
    "--words",
    is_flag=True,
    help="In JSON, the words with their times; in TSV, a row for each word in place of each subtitle.",
)
@click.option(
    "--highlight-words", is_flag=True, help="In SRT and WebVTT, underline each word while it is said."
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
@click.option("--hotword", "hotwords", metavar="WORDS", multiple=True, help=HOTWORD_HELP)
@click.option(
    "--beam-width",
    type=click.IntRange(min=1),
    help="How many texts a search with a language model follows (100).",
)
@click.option(
    "--batch-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Seconds of audio that go through the model together, in place of --batch-size: for many recordings.",
)
@click.option(
    "--chunk-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="Longer recordings are cut into pieces of at most so many seconds, in pauses.",
)
@click.option(
    "--no-language-model",
    is_flag=True,
    help="Do not search with the language model that lies beside the model.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the waveform of a single recording, the letters' probabilities and the words into an image, such as talk.png.",
)
@click.pass_context
def transcribe(
    context: click.Context,
    inputs: tuple[Path, ...],
    model: str | None,
    language: str | None,
    layouts: tuple[str, ...],
    words: bool,
    highlight_words: bool,
    output: Path | None,
    batch_size: int,
    batch_seconds: float | None,
    chunk_seconds: float,
    no_language_model: bool,
    hotwords: tuple[str, ...],
    beam_width: int | None,
    plot: Path | None,
) -> None:
    """Write down what is said in sound files of any rate, format and channel count.

    Folders are searched for sound files at every depth. The text of a single file is printed alone; otherwise each line
    is the file, a tab and the text. What cannot be read is named on standard error, the rest still runs, and the
    exit status is 1.
    """
    recordings, problems = find_recordings(inputs)
    layouts = tuple(dict.fromkeys(layouts))
    targets = _targets(recordings, output, layouts)
    if plot is not None and len(recordings) > 1:
        raise click.UsageError(f"--plot draws one recording, and {len(recordings)} are named")
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    if not recordings:
        context.exit(1)
    bare = output is not None or (len(inputs) == 1 and not inputs[0].is_dir())
    options = FormatOptions(highlight_words=highlight_words, words=words)
    timed = words or plot is not None or any(FORMATS[layout].needs_words for layout in layouts)
    started = time.perf_counter()
    if batch_seconds is not None and batch_size > 1:
        raise click.UsageError(
            "--batch-size and --batch-seconds both say what goes together: give one of them"
        )
    from tfwav2vec2.transcription.longform import LongformOptions

    transcriber = open_transcriber(
        model,
        language,
        batch_size,
        language_model=False if no_language_model else None,
        batch_seconds=batch_seconds,
        longform=LongformOptions(chunk_seconds),
    )
    opened = time.perf_counter()
    failed, seconds = len(problems), 0.0
    transcripts = transcriber.transcribe(
        [recording.path for recording in recordings],
        errors="return",
        words=timed,
        hotwords=hotwords or None,
        beam_width=beam_width,
    )
    for recording, transcript in _with_progress(transcripts, recordings):
        try:
            if transcript.error is not None:
                raise ValueError(transcript.error)
            contents = {layout: _content(transcript, layout, options, bare) for layout in layouts}
        except ValueError as error:
            failed += 1
            click.echo(f"Error: {error}", err=True)
            continue
        seconds += transcript.seconds
        for layout, content in contents.items():
            if output is None:
                click.echo(content, nl=False)
            else:
                write_transcript(targets[layout][recording.path], content)
        if plot is not None:
            draw_transcript(plot, transcriber.engine, recording.path, transcript.words or ())
    _summarise(
        len(recordings) + len(problems), failed, seconds, opened - started, time.perf_counter() - opened
    )
    if failed:
        context.exit(1)


def _targets(
    recordings: Sequence[Recording], output: Path | None, layouts: Sequence[str]
) -> dict[str, dict[Path, Path]]:
    """Where each recording's transcript goes in each format; nowhere where standard output takes it.

    Raises:
        click.UsageError: where standard output cannot hold so many, or a file would be written twice.
    """
    if output is None:
        if len(layouts) > 1:
            raise click.UsageError("Several formats need a folder to be written to: --output DIR")
        if len(recordings) > 1 and not FORMATS[layouts[0]].joins:
            raise click.UsageError(
                f"The {layouts[0]} of {len(recordings)} recordings does not fit into one file: --output DIR writes one for each"
            )
        return {}
    try:
        return {layout: output_paths(recordings, output, FORMATS[layout].suffix) for layout in layouts}
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _with_progress(
    transcripts: Iterable[Transcript], recordings: list[Recording]
) -> Iterator[tuple[Recording, Transcript]]:
    """Each recording with its transcript, under a progress bar where standard error is a terminal."""
    from tqdm import tqdm

    try:
        with tqdm(total=len(recordings), unit="file", leave=False, disable=None) as bar:
            for recording, transcript in zip(recordings, transcripts, strict=True):
                with bar.external_write_mode():
                    yield recording, transcript
                bar.update()
    except (OSError, ValueError) as error:
        # No recording is to blame: a server that does not answer, a model that gives no text.
        raise click.ClickException(str(error)) from error


def _content(transcript: Transcript, layout: str, options: FormatOptions, bare: bool) -> str:
    content = FORMATS[layout].write(transcript, options)
    return content if bare or layout != "text" else f"{transcript.file}\t{content}"


def _summarise(files: int, failed: int, seconds: float, opening: float, running: float) -> None:
    count = "1 file" if files == 1 else f"{files} files"
    report = f"{files - failed} of {count} transcribed: {seconds:.1f} s of audio in {running:.1f} s"
    if seconds:
        report += f" (real-time factor {running / seconds:.3f})"
    click.echo(f"{report}, after {opening:.1f} s to open the model", err=True)
