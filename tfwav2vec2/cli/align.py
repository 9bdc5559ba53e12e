"""``tfwav2vec2 align``: a sound file and what is said in it, to when each word is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from tfwav2vec2.cli.opening import DIGITS_ONLY, open_transcriber
from tfwav2vec2.cli.spoken_text import read_spoken_text
from tfwav2vec2.cli.transcript_files import letter_probabilities, write_transcript

if TYPE_CHECKING:
    from tfwav2vec2.transcription.aligner import AlignedTranscript, Aligner, Heard
    from tfwav2vec2.transcription.transcript import TimedWord

# As tfwav2vec2.transcription.formats.table names them; "text" has no times.
LAYOUTS = ("json", "srt", "vtt", "tsv", "ctm", "textgrid")

# Where lines are subtitles, any pause between them ends one.
_PAUSE_SECONDS = 0.001

__all__ = ["DIGITS_ONLY", "align"]


@click.command(
    short_help="Find out when each word of a text is said.",
    epilog="Example:  tfwav2vec2 align talk.wav talk.txt --model facebook/wav2vec2-base-960h --format textgrid "
    "--characters > talk.TextGrid",
)
@click.argument("audio", metavar="AUDIO", type=click.Path(path_type=Path))
@click.argument("text_file", metavar="[TEXT_FILE]", required=False, type=click.Path(path_type=Path))
@click.option("--text", help="What is said, in place of a file with it.")
@click.option(
    "--model",
    metavar="MODEL",
    help="A model on the hub or in a folder, or a .tflite file. Without it, the embedded model: digits only.",
)
@click.option(
    "--language",
    metavar="CODE",
    help="The language that is spoken, for a multilingual model such as facebook/mms-1b-all: eng, fra, ... (ISO 639-3).",
)
@click.option("--format", "layout", type=click.Choice(LAYOUTS), default="json", show_default=True)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the times to a file, in place of standard output.",
)
@click.option("--characters", is_flag=True, help="Times of characters too, in JSON and TextGrid.")
@click.option(
    "--lines",
    is_flag=True,
    help="Times of the text's lines in place of words; JSON has both. A line is a subtitle.",
)
@click.option(
    "--highlight-words", is_flag=True, help="In SRT and WebVTT, underline each word while it is said."
)
@click.option(
    "--unknown",
    type=click.Choice(["error", "wildcard"]),
    default="error",
    show_default=True,
    help="What becomes of letters and digits that the model lacks. wildcard: they stand for whatever is said there.",
)
@click.option(
    "--reach",
    type=click.FloatRange(min=0, max=1),
    help="Seconds that a letter reaches beyond the frames that the model marks it in, where nothing else is said.",
)
@click.option(
    "--plot",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the waveform, the letters' probabilities and the words into an image, such as talk.png.",
)
def align(
    audio: Path,
    text_file: Path | None,
    text: str | None,
    model: str | None,
    language: str | None,
    layout: str,
    output: Path | None,
    characters: bool,
    lines: bool,
    highlight_words: bool,
    unknown: str,
    reach: float | None,
    plot: Path | None,
) -> None:
    """Find out when each word of a text is said in a sound file of any rate, format and channel count.

    The text holds all that is said, in its order, in any case and with punctuation; words come out as they were written.
    """
    if lines and highlight_words:
        raise click.UsageError("--lines shows whole lines and --highlight-words single words: choose one")
    said = _text(text_file, text)
    try:
        aligner = _open(model, language, reach)
        # The text first: it is refused before the model has run.
        spelling = aligner.spell(said, cast(Literal["error", "wildcard"], unknown))
        heard = aligner.hear(audio, keep_waveform=plot is not None)
        found = aligner.align_heard(heard, spelling)
        content = _formatted(found, layout, characters, lines, highlight_words)
        if output is None:
            click.echo(content, nl=False)
        else:
            write_transcript(output, content)
        if plot is not None:
            _draw(plot, aligner, heard, found)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.ClickException(str(error)) from error
    sure = [word.confidence for word in found.words or () if word.confidence is not None]
    mean = f", mean confidence {sum(sure) / len(sure):.2f}" if sure else ""
    click.echo(f"{len(found.words or ())} words aligned in {found.seconds:.1f} s of audio{mean}", err=True)


def _text(path: Path | None, text: str | None) -> str:
    if (path is None) == (text is None):
        raise click.UsageError("Give what is said either in a file, TEXT_FILE, or with --text")
    if path is None:
        return cast(str, text)
    return read_spoken_text(path)


def _open(model: str | None, language: str | None, reach: float | None) -> Aligner:
    engine = open_transcriber(model, language, language_model=False).engine
    from tfwav2vec2.transcription.aligner import Aligner

    return Aligner(engine) if reach is None else Aligner(engine, reach=reach)


def _formatted(
    found: AlignedTranscript, layout: str, characters: bool, lines: bool, highlight_words: bool
) -> str:
    from tfwav2vec2.transcription.formats.table import format_transcript
    from tfwav2vec2.transcription.formats.timed_json import words_json
    from tfwav2vec2.transcription.subtitles import SubtitleRules

    words = found.words or ()
    if not characters:
        words = tuple(replace(word, characters=()) for word in words)
    if layout == "json":
        fields = json.loads(format_transcript(replace(found, words=words), "json", words=True))
        fields |= {"lines": words_json(found.lines), "score": round(found.score, 4)}
        return json.dumps(fields, ensure_ascii=False) + "\n"
    options: dict[str, object] = {"words": True, "highlight_words": highlight_words}
    if lines:
        words = _parted(found.lines)
        longest = max(2 * len(line.text) for line in words)  # wide characters count as two
        options["rules"] = SubtitleRules(characters=longest, lines=1, pause=_PAUSE_SECONDS)
    return format_transcript(replace(found, words=words), layout, **options)


def _parted(lines: tuple[TimedWord, ...]) -> tuple[TimedWord, ...]:
    """Lines with a pause between them, so short that nobody sees it, at which a subtitle ends."""
    latest = [following.start - 2 * _PAUSE_SECONDS for following in lines[1:]]
    return tuple(
        replace(line, end=max(line.start, min(line.end, end)))
        for line, end in zip(lines, [*latest, float("inf")], strict=True)
    )


def _draw(path: Path, aligner: Aligner, heard: Heard, found: AlignedTranscript) -> None:
    from tfwav2vec2.transcription.picture import plot_alignment

    start, end = plot_alignment(
        path,
        cast(Any, heard.waveform),
        aligner.engine.sampling_rate,
        found.words or (),
        letter_probabilities(aligner, heard),
        title=Path(heard.file).name,
    )
    click.echo(f"{path} shows {start:.1f} to {end:.1f} s", err=True)
