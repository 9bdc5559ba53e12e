"""Train a model of letters on the recordings that it is to align.

As the Montreal Forced Aligner does: what is heard need not be understood anywhere else, so there is nothing to hold out. The times
are not among what it learns from. It starts from the embedded model of spoken digits, whose front end stays as it is: from
nothing, an hour of sentences is not enough to find the letters in a quarter of an hour of computing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from recipes.alignment.corpus import read_examples
from tfwav2vec2 import SpeechData, TrainingOptions, open_for_task, train
from tfwav2vec2.embedded import embedded_model


@dataclass(frozen=True)
class Language:
    """What a language's model is trained on.

    Attributes:
        folders: of the recordings.
        epochs: how often all of them are heard.
        batch_seconds: of one batch.
    """

    folders: tuple[str, ...]
    epochs: int
    batch_seconds: float


LANGUAGES = {
    "de": Language(("emodb", "kerstin_subset"), 60, 24.0),
    "en": Language(("librispeech_251spk", "librispeech_3spk", "ljspeech32", "pocketsphinx"), 12, 48.0),
}
LEARNING_RATE = 1.5e-3
# Longer readings are aligned, but not learned from.
MAX_SECONDS = 17.5


def train_aligner(
    data: Path, language: str, output: Path, *, seed: int = 0, epochs: int | None = None
) -> Path:
    """Train on a language's recordings; the folder of the model.

    Args:
        data: holds ``manifest.tsv`` and the recordings.
        language: one of :data:`LANGUAGES`.
        output: the folder.
        seed: of the order and of what is random in the training.
        epochs: in place of the language's own.
    """
    settings = LANGUAGES[language]
    examples = read_examples(data, *settings.folders)
    keras.utils.set_random_seed(seed)
    model, processor = open_for_task(
        "ctc", embedded_model(), examples, new_letters=True, ctc_loss_reduction="mean"
    )
    batches = SpeechData(
        examples, "ctc", processor, model.config, batch_seconds=settings.batch_seconds, buckets=6,
        max_seconds=MAX_SECONDS, seed=seed,
    )  # fmt: skip
    options = TrainingOptions(
        epochs=epochs or settings.epochs,
        learning_rate=LEARNING_RATE,
        clip_norm=1.0,
        weight_decay=0.01,
        seed=seed,
    )
    train(model, processor, batches, output, options, verbose=2)
    return output
