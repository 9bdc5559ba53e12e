"""Write the programs that lie beside the embedded model's weights: ``python -m recipes.spoken_digits.export``.

``saved_model/`` is for TensorFlow Serving and ``model.tflite`` for LiteRT. The tests hold both to the weights.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from tfwav2vec2 import StreamingOptions, TFWav2Vec2ForCTC, Wav2Vec2Processor
from tfwav2vec2.embedded import embedded_model
from tfwav2vec2.serving.litert import export_litert
from tfwav2vec2.serving.saved_model import export_saved_model

SAVED_MODEL, LITERT = "saved_model", "model.tflite"
NAME = "spoken-digits"


def write_exports(source: Path, folder: Path) -> None:
    """Export the model in ``source`` into ``folder``, in place of what an earlier export left there."""
    model, processor = TFWav2Vec2ForCTC.from_pretrained(source), Wav2Vec2Processor.from_pretrained(source)
    shutil.rmtree(folder / SAVED_MODEL, ignore_errors=True)
    (folder / LITERT).unlink(missing_ok=True)
    export_saved_model(model, processor, folder / SAVED_MODEL, name=NAME)
    # With the signature that a browser runs, so that nobody who opens the page waits for an export.
    window = StreamingOptions().windows(model.config, processor.feature_extractor.sampling_rate).window
    export_litert(model, processor, folder / LITERT, lengths=[window])


@click.command(epilog="Example:  python -m recipes.spoken_digits.export")
def main() -> None:
    """Write both programs into the embedded model's folder."""
    folder = Path(embedded_model())
    write_exports(folder, folder)
    for path in sorted([*(folder / SAVED_MODEL).rglob("*"), folder / LITERT]):
        if path.is_file():
            click.echo(f"{path.relative_to(folder)}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
