"""The command ``tfwav2vec2``: what its subcommands share."""

from __future__ import annotations

import io
import sys

import click

from tfwav2vec2 import __version__
from tfwav2vec2.cli.align import align
from tfwav2vec2.cli.batch import batch
from tfwav2vec2.cli.convert import convert
from tfwav2vec2.cli.evaluate import evaluate
from tfwav2vec2.cli.export import export
from tfwav2vec2.cli.finetune import finetune, pretrain
from tfwav2vec2.cli.info import info
from tfwav2vec2.cli.listen import listen
from tfwav2vec2.cli.lm import lm
from tfwav2vec2.cli.serve import serve
from tfwav2vec2.cli.subtitles import subtitles
from tfwav2vec2.cli.transcribe import transcribe

# What a shell reports for a program that Ctrl-C ended.
INTERRUPTED = 130


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:  tfwav2vec2 transcribe clip.wav --model facebook/wav2vec2-base-960h",
)
@click.version_option(__version__, prog_name="tfwav2vec2", message="%(prog)s %(version)s")
def cli() -> None:
    """Speech to text with wav2vec 2.0 models."""


cli.add_command(transcribe)
cli.add_command(align)
cli.add_command(subtitles)
cli.add_command(listen)
cli.add_command(info)
cli.add_command(convert)
cli.add_command(export)
cli.add_command(finetune)
cli.add_command(pretrain)
cli.add_command(evaluate)
cli.add_command(serve)
cli.add_command(batch)
cli.add_command(lm)


def main() -> None:
    """Run the command line and end the process with its status: 0, 1 where something failed, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name need not be text: it is printed with the bytes that it has.
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")
    try:
        status = cli.main(prog_name="tfwav2vec2", standalone_mode=False)
    except click.Abort:
        status = INTERRUPTED
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    sys.exit(status)
