"""``tfwav2vec2 subtitles``: videos and sound files in, subtitles beside them out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tfwav2vec2.cli.opening import HOTWORD_HELP, LANGUAGE_HELP, MODEL_HELP, open_transcriber
from tfwav2vec2.cli.recordings import Recording, find_recordings
from tfwav2vec2.cli.spoken_text import read_spoken_text
from tfwav2vec2.cli.transcript_files import write_transcript
from tfwav2vec2.transcription.formats.options import FormatOptions
from tfwav2vec2.transcription.formats.table import FORMATS
from tfwav2vec2.transcription.subtitles import CHARACTERS_IN_A_LINE, LINES, SubtitleRules

if TYPE_CHECKING:
    from tfwav2vec2.transcription.engine_transcriber import EngineTranscriber
    from tfwav2vec2.transcription.transcript import Transcript

SUBTITLE_FORMATS = ("srt", "vtt")


@click.command(
    short_help="Write subtitles for videos.",
    epilog="Example:  tfwav2vec2 subtitles talk.mp4 --model facebook/wav2vec2-base-960h",
)
@click.argument(
    "inputs", metavar="VIDEO_OR_AUDIO...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@click.option("--model", metavar="MODEL", help=MODEL_HELP)
@click.option("--language", metavar="CODE", help=LANGUAGE_HELP)
@click.option(
    "--format",
    "layouts",
    type=click.Choice(SUBTITLE_FORMATS),
    multiple=True,
    default=["srt"],
    show_default="srt",
    help="May be repeated.",
)
@click.option(
    "--text",
    "text_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What is said in the one recording, word for word: it is timed in place of what the model hears, with its case and "
    "punctuation.",
)
@click.option("--hotword", "hotwords", metavar="WORDS", multiple=True, help=HOTWORD_HELP)
@click.option("--highlight-words", is_flag=True, help="Underline each word while it is said.")
@click.option(
    "--characters",
    type=click.IntRange(min=2),
    default=CHARACTERS_IN_A_LINE,
    show_default=True,
    help="In a line at most; wide ones count as two.",
)
@click.option(
    "--lines", type=click.IntRange(min=1), default=LINES, show_default=True, help="Of a subtitle at most."
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
@click.pass_context
def subtitles(
    context: click.Context,
    inputs: tuple[Path, ...],
    model: str | None,
    language: str | None,
    layouts: tuple[str, ...],
    text_file: Path | None,
    hotwords: tuple[str, ...],
    highlight_words: bool,
    characters: int,
    lines: int,
    force: bool,
) -> None:
    """Write subtitles beside videos and sound files: talk.srt beside talk.mp4, where players look for it.

    Words become subtitles of two lines that can be read in their time and change where the speaker pauses. The files' paths
    are printed. A file that is there already is left as it is, and the exit status is 1.
    """
    recordings, problems = find_recordings(inputs)
    layouts = tuple(dict.fromkeys(layouts))
    text = None if text_file is None else _text(text_file, len(recordings))
    targets = _targets(recordings, layouts)
    todo = []
    for recording in recordings:
        present = [path for path in targets[recording.path] if path.exists()]
        if present and not force:
            problems.append(f"{present[0]} is there already: move it away, or write over it with --force")
        else:
            todo.append(recording)
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    failed = len(problems)
    if todo:
        transcriber = open_transcriber(model, language)
        options = FormatOptions(
            highlight_words=highlight_words, rules=SubtitleRules(characters=characters, lines=lines)
        )
        for recording in todo:
            try:
                transcript = _heard(transcriber, recording.path, text, hotwords)
                contents = [FORMATS[layout].write(transcript, options) for layout in layouts]
            except (OSError, ValueError, TypeError, ImportError) as error:
                failed += 1
                click.echo(f"Error: {error}", err=True)
                continue
            for path, content in zip(targets[recording.path], contents, strict=True):
                write_transcript(path, content)
                click.echo(path)
    if failed:
        context.exit(1)


def _text(path: Path, recordings: int) -> str:
    if recordings != 1:
        raise click.UsageError(f"--text is what is said in one recording, and {recordings} are named")
    return read_spoken_text(path)


def _targets(recordings: Iterable[Recording], layouts: Iterable[str]) -> dict[Path, list[Path]]:
    """The files of each recording's subtitles, by its path.

    Raises:
        click.UsageError: where two recordings would be written to the same file.
    """
    owners: dict[Path, Path] = {}
    targets: dict[Path, list[Path]] = {}
    for recording in recordings:
        path = recording.path
        targets[path] = [path.with_suffix(FORMATS[layout].suffix) for layout in layouts]
        for target in targets[path]:
            owner = owners.setdefault(target.absolute(), path)
            if owner != path:
                raise click.UsageError(
                    f"The subtitles of {owner} and of {path} would both be {target}: name one of them"
                )
    return targets


def _heard(
    transcriber: EngineTranscriber, path: Path, text: str | None, hotwords: tuple[str, ...]
) -> Transcript:
    """What is said in a recording, with times: what the model hears, or else the text that is given."""
    if text is None:
        return next(iter(transcriber.transcribe(path, words=True, hotwords=hotwords or None)))
    from tfwav2vec2.transcription.aligner import Aligner

    return Aligner(transcriber.engine).align(path, text)
