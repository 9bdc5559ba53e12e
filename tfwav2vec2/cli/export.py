"""``tfwav2vec2 export``: a model as a program that runs without this package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from tfwav2vec2.cli.quiet import import_models, quiet_imports
from tfwav2vec2.cli.recordings import find_recordings
from tfwav2vec2.serving.precision import LEAST_AGREEMENT, MOST_WORDS_CHANGED, Precision

if TYPE_CHECKING:
    from tfwav2vec2.serving.litert import LiteRTExport

FORMATS = ("savedmodel", "litert")
# What only one of the formats has.
SAVED_MODEL_OPTIONS = ("name", "in_graph_batching")
LITERT_OPTIONS = ("precision", "seconds", "clips", "for_gpu", "least_agreement", "most_words_changed")


@click.command(
    short_help="Write a model as a program for TensorFlow Serving or for LiteRT.",
    epilog="""\b
Examples:
  tfwav2vec2 export facebook/wav2vec2-base-960h served/1
  tfwav2vec2 export my-emotion-model emotion.tflite --to litert
  tfwav2vec2 export my-model small.tflite --to litert --precision int8 --clips recordings/""",
)
@click.argument("model", metavar="MODEL")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(FORMATS), default="savedmodel", show_default=True)
@click.option("--revision", metavar="NAME", help="A branch, tag or commit of MODEL on the hub.")
@click.option(
    "--language",
    metavar="CODE",
    help="The language of a multilingual model, such as fra for facebook/mms-1b-all; by default the one that MODEL is in.",
)
@click.option(
    "--name", help="savedmodel: what the server calls the model; by default the name of its folder."
)
@click.option(
    "--in-graph-batching",
    is_flag=True,
    help="savedmodel: put concurrent requests together inside the graph, in whatever server it runs.",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="litert: of the weights. int8 is tried on --clips.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    help="litert: a signature for recordings of so many seconds at most, besides the one for any length; may be repeated.",
)
@click.option(
    "--clips",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="litert: recordings, or folders of them, to try the file with; int8 needs some.",
)
@click.option(
    "--least-agreement",
    type=click.FloatRange(0, 1),
    default=LEAST_AGREEMENT,
    show_default=True,
    help="litert: how far int8 must agree with float32: the share of equal labels, of embeddings the mean cosine.",
)
@click.option(
    "--most-words-changed",
    type=click.FloatRange(min=0),
    default=MOST_WORDS_CHANGED,
    show_default=True,
    help="litert: the word error rate of int8 against float32 that is let pass.",
)
@click.option(
    "--for-gpu",
    is_flag=True,
    help="litert: a file for the GPUs of phones, of fixed lengths alone (--seconds).",
)
@click.pass_context
def export(
    context: click.Context,
    model: str,
    destination: Path,
    to: str,
    revision: str | None,
    language: str | None,
    **options: Any,
) -> None:
    """Write MODEL, a folder or a name on the hub, to DEST as a program with all processing inside.

    savedmodel: a new folder, a TensorFlow SavedModel. Samples, or the bytes of WAV files, go in; transcripts, classes or
    embeddings come out. TensorFlow Serving wants DEST to be named by a version's number.

    litert: a new .tflite file for phones, browsers, and machines without TensorFlow. Samples go in, logits come out.

    What was written is run and compared with the model before it appears.
    """
    own = {"savedmodel": SAVED_MODEL_OPTIONS, "litert": LITERT_OPTIONS}
    for other in set(FORMATS) - {to}:
        for name in own[other]:
            if context.get_parameter_source(name).name != "DEFAULT":
                raise click.UsageError(f"--{name.replace('_', '-')} goes with --to {other} alone")
    chosen = {name: options[name] for name in own[to]}
    try:
        import_models()
        opened = _opened(model, language, {} if revision is None else {"revision": revision})
        if to == "litert":
            _export_litert(*opened, destination, **chosen)
        else:
            _export_saved_model(*opened, destination, **chosen)
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.ClickException(" ".join(str(error).split("\n"))) from error


def _export_saved_model(model: Any, processor: Any, destination: Path, **options: Any) -> None:
    from tfwav2vec2.serving.model_server import EXTRA, INSTRUCTIONS
    from tfwav2vec2.serving.saved_model import export_saved_model, signatures_of

    path = export_saved_model(model, processor, destination, **options)
    for name, (inputs, outputs) in signatures_of(path).items():
        click.echo(f"{name}: {', '.join(inputs)} -> {', '.join(outputs)}")
    click.echo(f"How to serve it: {path / EXTRA / INSTRUCTIONS}")


def _export_litert(
    model: Any,
    processor: Any,
    destination: Path,
    *,
    seconds: tuple[float, ...],
    clips: tuple[Path, ...],
    **options: Any,
) -> None:
    from tfwav2vec2.audio.loading import load_audio
    from tfwav2vec2.serving.litert import export_litert

    rate = getattr(processor, "feature_extractor", processor).sampling_rate
    recordings, problems = find_recordings(clips) if clips else ([], [])
    if problems:
        raise ValueError(problems[0])
    waveforms = [load_audio(recording.path, sampling_rate=rate) for recording in recordings]
    with quiet_imports():
        written = export_litert(
            model,
            processor,
            destination,
            lengths=[round(length * rate) for length in seconds],
            clips=waveforms or None,
            **options,
        )
    _report(written, len(waveforms))


def _report(written: LiteRTExport, clips: int) -> None:
    share = written.bytes / written.float32_bytes
    click.echo(f"{written.path}: {written.bytes / 1e6:.1f} MB, {share:.0%} of float32")
    if written.agreement is None:
        return
    click.echo(f"in integers: {written.integer_layers}")
    click.echo(f"on {clips} recordings, beside float32: {written.agreement:.2%} agreement")
    if written.words_changed is not None:
        click.echo(f"word error rate against its transcripts: {written.words_changed:.2%}")
    click.echo(f"time: {written.time_ratio:.2f} of float32's")


def _opened(name: str, language: str | None, hub: dict[str, Any]) -> tuple[Any, Any]:
    """The model of the class that its configuration names, and what prepares its input."""
    from tfwav2vec2.auto import AutoFeatureExtractor
    from tfwav2vec2.config import Wav2Vec2Config
    from tfwav2vec2.processor import Wav2Vec2Processor
    from tfwav2vec2.weights.architecture import model_class

    declared = (Wav2Vec2Config.from_pretrained(name, **hub).architectures or ["Wav2Vec2Model"])[0]
    chosen = model_class(declared.removeprefix("TF"))
    speaks = chosen.__name__ == "TFWav2Vec2ForCTC"
    if language is not None and not speaks:
        raise ValueError(f"{name} does not write text, and so is in no language: leave --language out")
    spoken = {} if language is None else {"target_lang": language}
    # What is wrong with the vocabulary shows before the weights are read.
    preparing = Wav2Vec2Processor if speaks else AutoFeatureExtractor
    processor = preparing.from_pretrained(name, **spoken, **hub)
    return chosen.from_pretrained(name, **spoken, **hub), processor
