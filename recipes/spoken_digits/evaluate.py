"""Measure a model on clips that it was not trained on: ``python -m recipes.spoken_digits.evaluate --data DATA``.

The word error rate on new clips of the speakers in training and on the speaker who was left out, of whole strings and of strings as
they arrive; and how often digits are heard where there are none. The strings are drawn with a fixed seed, so the figures can be
had again.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import starmap
from pathlib import Path

import click

from recipes.spoken_digits.corpus import SPEAKERS, by_speaker, read_recordings, spoken
from recipes.spoken_digits.silence import clips_without_digits, false_alarms
from recipes.spoken_digits.strings import LONGEST, DigitString, plain_strings
from recipes.spoken_digits.word_errors import WordErrors, word_errors
from tfwav2vec2.audio.loading import SAMPLE_RATE
from tfwav2vec2.embedded import embedded_model
from tfwav2vec2.transcription.streaming import StreamingTranscriber
from tfwav2vec2.transcription.transcriber import Transcriber
from tfwav2vec2.web.graph_engine import GraphEngine

SEED = 2024
STRINGS_OF_A_LENGTH = 40  # in each of the two sets


def read_strings(
    transcriber: Transcriber, strings: Sequence[DigitString]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What was said and what was found in each string, in the order of their lengths."""
    # Neighbours of about the same length share a batch, which then holds little padding.
    ordered = sorted(strings, key=lambda string: len(string.samples))
    found = transcriber.transcribe((string.samples for string in ordered), source_rate=SAMPLE_RATE)
    for string, transcript in zip(ordered, found, strict=True):
        yield string.words, spoken(transcript.text)


def stream_strings(
    transcriber: Transcriber, strings: Sequence[DigitString]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """What was said and what was written of each string as its sound arrived, with the package's own windows."""
    stream = StreamingTranscriber(
        GraphEngine(transcriber.model, transcriber.processor), processor=transcriber.processor
    )
    for string in strings:
        stream.reset()
        yield string.words, spoken(stream.push(string.samples).new + stream.finish().new)


def measure(transcriber: Transcriber, strings: Sequence[DigitString]) -> dict[int, WordErrors]:
    """Transcribe the strings and count the errors, for each number of digits said."""
    by_length: dict[int, WordErrors] = defaultdict(WordErrors)
    for said, found in read_strings(transcriber, strings):
        by_length[len(said)] += word_errors(said, found)
    return dict(sorted(by_length.items()))


def total(by_length: dict[int, WordErrors]) -> WordErrors:
    """The errors of all lengths together."""
    return sum(by_length.values(), WordErrors())


def row(name: str, errors: WordErrors) -> str:
    """One line of the report."""
    counts = f"{errors.words:6}{errors.substitutions:6}{errors.deletions:6}{errors.insertions:6}"
    return f"{name:>6}{errors.rate:9.2%}{counts}{errors.sentences:9}{errors.accuracy:9.1%}"


def report(title: str, by_length: dict[int, WordErrors]) -> str:
    """The figures of one set of strings as a table."""
    header = (
        f"{'digits':>6}{'WER':>9}{'words':>6}{'sub':>6}{'del':>6}{'ins':>6}{'strings':>9}{'all right':>10}"
    )
    lines = [row(str(length), errors) for length, errors in by_length.items()]
    return "\n".join([title, header, *lines, row("all", total(by_length)), ""])


@click.command()
@click.option(
    "--model", type=click.Path(path_type=Path), help="Folder of the model; the embedded one by default."
)
@click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder that holds fsdd/recordings."
)
@click.option(
    "--left-out",
    type=click.Choice(SPEAKERS),
    help="The speaker of whom the model has heard nothing, if there is one.",
)
def main(model: Path | None, data: Path, left_out: str | None) -> None:
    """Print the word error rates of a spoken-digits model on heard and unheard speakers, and what it hears in other sounds."""
    transcriber = Transcriber.from_pretrained(model or embedded_model())
    # Every string has another length: compiling for each bucket would be most of the time measured.
    transcriber.model.configure_call(jit_compile=False)
    splits = read_recordings(data, left_out)
    heard = list(by_speaker(splits["heard"]).values())
    titles = {f"Heard speakers, new clips ({len(splits['heard'])} clips of {len(heard)} speakers)": heard}
    if left_out:
        titles[f"Unheard speaker, {left_out} ({len(splits['unheard'])} clips)"] = [splits["unheard"]]
    for title, pools in titles.items():
        strings = plain_strings(pools, STRINGS_OF_A_LENGTH // len(pools), SEED)
        started = time.perf_counter()
        click.echo(report(title, measure(transcriber, strings)))
        elapsed = time.perf_counter() - started
        seconds = sum(len(string.samples) for string in strings) / SAMPLE_RATE
        click.echo(f"{seconds:.0f} s of sound in {elapsed:.1f} s: real-time factor {elapsed / seconds:.4f}")
        streamed = sum(starmap(word_errors, stream_strings(transcriber, strings)), WordErrors())
        click.echo(f"The same as the sound arrives: WER {streamed.rate:.2%}\n")
    click.echo(f"1 to {LONGEST} digits a string, seed {SEED}\n")
    for kind, clips in clips_without_digits(data, SEED).items():
        found = false_alarms(transcriber, clips)
        click.echo(f"{kind:12} digits heard in {found.rate:6.1%} of {found.clips} clips without any")


if __name__ == "__main__":
    main()
