"""``tfwav2vec2 evaluate``: how well a model does on labelled recordings, and where it fails."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tfwav2vec2.cli.quiet import import_models

if TYPE_CHECKING:
    from tfwav2vec2.metrics.evaluation import ClassReport, SpeechReport

# How many errors of each kind are listed.
_LISTED = 10

# What a manifest's targets are for each head; a checkpoint that names none is taken for a recogniser.
_TASKS = {
    "": "ctc",
    "Wav2Vec2ForCTC": "ctc",
    "Wav2Vec2ForSequenceClassification": "classify",
    "Wav2Vec2ForAudioFrameClassification": "frames",
    "Wav2Vec2ForXVector": "speaker",
}


@click.command(
    short_help="Measure a model on labelled recordings.",
    epilog="Example:  tfwav2vec2 evaluate facebook/wav2vec2-base-960h test.tsv --output report",
)
@click.argument("model", metavar="NAME_OR_FOLDER")
@click.argument("manifest", type=click.Path(exists=True, path_type=Path))
@click.option("--target", metavar="COLUMN", help="The manifest's column of targets.  [default: by its name]")
@click.option("--background", metavar="CLASS", help="For classes of frames: that of frames in no interval.")
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write answers.tsv, report.json and, for classes, confusion.png into this folder.",
)
@click.option(
    "--format",
    "layout",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="What is printed.",
)
@click.pass_context
def evaluate(
    context: click.Context,
    model: str,
    manifest: Path,
    target: str | None,
    background: str | None,
    output: Path | None,
    layout: str,
) -> None:
    """Measure a model on the recordings of MANIFEST, a file or folder as for finetune.

    For speech recognition: word and character error rates, a table of speakers, and what was taken for what, left out
    and made up. For classifiers of clips or frames: accuracy, the confusion matrix and a table of speakers; for models
    of voices also the equal error rate. Clips that cannot be read are named on standard error, and the exit status is 1.
    """
    try:
        import_models()
        from tfwav2vec2.cli.finetune import read_examples

        report = _measure(model, read_examples, manifest, target, background)
        if output is not None:
            _write(report, output)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.ClickException(" ".join(str(error).split("\n"))) from error
    click.echo(
        json.dumps(summary(report), ensure_ascii=False) if layout == "json" else "\n".join(described(report))
    )
    for failure in report.failures:
        click.echo(f"Error: {failure.id}: {failure.reason}", err=True)
    if report.failures:
        context.exit(1)


def _measure(
    model: str, read_examples: Any, manifest: Path, target: str | None, background: str | None
) -> SpeechReport | ClassReport:
    from tqdm import tqdm

    from tfwav2vec2.auto import AutoFeatureExtractor
    from tfwav2vec2.config import Wav2Vec2Config
    from tfwav2vec2.metrics.evaluation import evaluate_classes, evaluate_frames, evaluate_transcripts
    from tfwav2vec2.transcription.transcriber import Transcriber
    from tfwav2vec2.weights.architecture import model_class

    def progress(examples: list[Any]) -> Iterable[Any]:
        return tqdm(examples, unit="clip", leave=False, disable=None)

    declared = (Wav2Vec2Config.from_pretrained(model).architectures or [""])[0].removeprefix("TF")
    task = _TASKS.get(declared)
    if task is None:
        raise ValueError(
            f"{model} is a {declared}; evaluate measures models with a head for CTC, for classes of clips or frames, or "
            "for voices"
        )
    if background is not None and task != "frames":
        raise ValueError(f"--background is for classes of frames; {model} is a {declared}")
    examples = read_examples(manifest, task, target)
    if task == "ctc":
        return evaluate_transcripts(Transcriber.from_pretrained(model), examples, progress)
    opened = model_class(declared).from_pretrained(model)
    extractor = AutoFeatureExtractor.from_pretrained(model)
    if task == "frames":
        return evaluate_frames(opened, extractor, examples, background, progress)
    return evaluate_classes(opened, extractor, examples, progress)


def summary(report: SpeechReport | ClassReport) -> dict[str, Any]:
    """The figures of a report as plain data."""
    figures: dict[str, Any] = {"clips": len(report.answers), "failures": len(report.failures)}
    if hasattr(report, "words"):
        words = report.words
        return figures | {
            "wer": words.rate,
            "cer": report.characters.rate,
            "words": words.units,
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
            "correct_transcripts": words.correct_transcripts,
            "substituted": [[said, found, count] for (said, found), count in words.substituted.most_common()],
            "deleted": words.deleted.most_common(),
            "inserted": words.inserted.most_common(),
            "speakers": {
                name: {"wer": rate.rate, "words": rate.units} for name, rate in report.by_speaker.items()
            },
        }
    figures |= {
        "accuracy": report.accuracy,
        "classes": report.classes,
        "confusion": report.confusion.tolist(),
        "speakers": {
            name: {"accuracy": right / total if total else None, report.counted: total}
            for name, (right, total) in report.by_speaker.items()
        },
    }
    return figures if report.equal_error_rate is None else figures | {"eer": report.equal_error_rate}


def described(report: SpeechReport | ClassReport) -> Iterator[str]:
    """The lines of a report."""
    return _of_speech(report) if hasattr(report, "words") else _of_classes(report)


def _of_speech(report: SpeechReport) -> Iterator[str]:
    words, characters = report.words, report.characters
    yield (
        f"word error rate       {words.rate:7.2%}  ({words.errors} of {words.units} words: {words.substitutions} "
        f"substituted, {words.deletions} left out, {words.insertions} made up)"
    )
    yield f"character error rate  {characters.rate:7.2%}  ({characters.errors} of {characters.units})"
    yield f"without any error     {words.correct_transcripts} of {words.transcripts} transcripts"
    if len(report.by_speaker) > 1:
        rows = [
            (name, f"{rate.rate:.2%}", f"{rate.errors} of {rate.units} words")
            for name, rate in sorted(report.by_speaker.items(), key=lambda item: -item[1].rate)
        ]
        yield from _table("speaker", rows)
    kinds = {
        "taken for another": [
            (f"{said} -> {found}", count) for (said, found), count in words.substituted.most_common(_LISTED)
        ],
        "left out": words.deleted.most_common(_LISTED),
        "made up": words.inserted.most_common(_LISTED),
    }
    for kind, counts in kinds.items():
        if counts:
            yield from _table(kind, [(str(what), f"{count}", "") for what, count in counts])


def _of_classes(report: ClassReport) -> Iterator[str]:
    right, total = int(report.confusion.trace()), int(report.confusion.sum())
    yield f"accuracy          {report.accuracy:7.2%}  ({right} of {total} {report.counted})"
    if report.equal_error_rate is not None:
        yield f"equal error rate  {report.equal_error_rate:7.2%}  (over all pairs of clips)"
    width = max(map(len, report.classes))
    counts = [[str(count) for count in row] for row in report.confusion]
    columns = [
        max(len(name), *map(len, column))
        for name, column in zip(report.classes, zip(*counts, strict=True), strict=True)
    ]
    yield ""
    yield f"{'said / found':<{max(width, 12)}}  " + "  ".join(
        f"{name:>{size}}" for name, size in zip(report.classes, columns, strict=True)
    )
    for name, row in zip(report.classes, counts, strict=True):
        yield f"{name:<{max(width, 12)}}  " + "  ".join(
            f"{count:>{size}}" for count, size in zip(row, columns, strict=True)
        )
    if len(report.by_speaker) > 1:
        yield from _table(
            "speaker",
            [
                (name, f"{right / total:.2%}", f"{right} of {total} {report.counted}")
                for name, (right, total) in sorted(report.by_speaker.items())
                if total
            ],
        )


def _table(title: str, rows: list[tuple[str, str, str]]) -> Iterator[str]:
    width = max(len(title), *(len(name) for name, _, _ in rows))
    yield ""
    yield title
    for name, value, note in rows:
        yield f"  {name:<{width}}  {value:>8}  {note}".rstrip()


def _write(report: SpeechReport | ClassReport, folder: Path) -> None:
    from tfwav2vec2.weights.files import write_atomically, write_json

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "report.json", summary(report))
    with (
        write_atomically(folder / "answers.tsv") as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n")
        table.writerow(("id", "speaker", "said", "found"))
        table.writerows(
            (answer.id, answer.speaker or "", answer.said, answer.found) for answer in report.answers
        )
    if not hasattr(report, "words"):
        from tfwav2vec2.training.pictures import draw_confusion

        draw_confusion(report.confusion, report.classes, folder / "confusion.png")
