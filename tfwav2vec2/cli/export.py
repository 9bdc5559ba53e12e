"""``tfwav2vec2 export``: a model as a program that runs without this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tfwav2vec2.cli.quiet import import_models

FORMATS = ("savedmodel",)


@click.command(
    short_help="Write a model as a program for TensorFlow Serving.",
    epilog="""\b
Examples:
  tfwav2vec2 export facebook/wav2vec2-base-960h served/1
  tfwav2vec2 export my-emotion-model served/1 --to savedmodel""",
)
@click.argument("model", metavar="MODEL")
@click.argument("destination", metavar="DEST", type=click.Path(path_type=Path))
@click.option("--to", type=click.Choice(FORMATS), default="savedmodel", show_default=True)
@click.option("--revision", metavar="NAME", help="A branch, tag or commit of MODEL on the hub.")
def export(model: str, destination: Path, to: str, revision: str | None) -> None:
    """Write MODEL, a folder or a name on the hub, to the new folder DEST as a TensorFlow SavedModel.

    Samples, or the bytes of WAV files, go in; transcripts, classes or embeddings come out: all processing is inside. What
    was written is loaded in a TensorFlow session and compared with the model before it appears. TensorFlow Serving wants
    DEST to be named by a version's number.
    """
    try:
        import_models()
        from tfwav2vec2.serving.saved_model import export_saved_model, signatures_of

        hub = {} if revision is None else {"revision": revision}
        path = export_saved_model(*_opened(model, hub), destination)
        for name, (inputs, outputs) in signatures_of(path).items():
            click.echo(f"{name}: {', '.join(inputs)} -> {', '.join(outputs)}")
    except (OSError, ValueError, TypeError, ImportError) as error:
        raise click.ClickException(" ".join(str(error).split("\n"))) from error


def _opened(name: str, hub: dict[str, Any]) -> tuple[Any, Any]:
    """The model of the class that its configuration names, and what prepares its input."""
    from tfwav2vec2.auto import AutoFeatureExtractor
    from tfwav2vec2.config import Wav2Vec2Config
    from tfwav2vec2.processor import Wav2Vec2Processor
    from tfwav2vec2.weights.architecture import model_class

    declared = (Wav2Vec2Config.from_pretrained(name, **hub).architectures or ["Wav2Vec2Model"])[0]
    chosen = model_class(declared.removeprefix("TF"))
    # What is wrong with the vocabulary shows before the weights are read.
    preparing = Wav2Vec2Processor if chosen.__name__ == "TFWav2Vec2ForCTC" else AutoFeatureExtractor
    processor = preparing.from_pretrained(name, **hub)
    return chosen.from_pretrained(name, **hub), processor
