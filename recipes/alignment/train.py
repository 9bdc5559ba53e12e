"""Train a small model of letters on English readings, to align other recordings with.

The model hears a quarter of a second on either side of a frame and no more. With attention over whole clips it knows a sentence
that comes often by heart, and then writes its letters anywhere. Its front end is that of the embedded model of spoken digits, and
stays as it is: so an hour of speech is gone through in half a minute.
"""

from __future__ import annotations

from pathlib import Path

import keras

from recipes.alignment.corpus import TEACHING, read_examples
from tfwav2vec2 import SpeechData, TFWav2Vec2ForCTC, TrainingOptions, open_for_task, train
from tfwav2vec2.embedded import embedded_model

# Frames that one frame's letter is told from.
CONTEXT_FRAMES = 24
EPOCHS, LEARNING_RATE, BATCH_SECONDS = 6, 3e-3, 36.0

_KEPT = ("feature_extractor", "feature_projection")


def train_aligner(data: Path, output: Path, *, epochs: int = EPOCHS, seed: int = 0) -> Path:
    """Train on English readings, of which none is aligned later; the folder of the model.

    Args:
        data: holds ``manifest.tsv`` and the recordings.
        output: the folder.
        epochs: how often all of them are heard.
        seed: of the weights, the order and of what is random in the training.
    """
    examples = read_examples(data, *TEACHING)
    keras.utils.set_random_seed(seed)
    start = embedded_model()
    model, processor = open_for_task(
        "ctc",
        start,
        examples,
        from_scratch=True,
        new_letters=True,
        ctc_loss_reduction="mean",
        num_hidden_layers=0,
        num_conv_pos_embeddings=CONTEXT_FRAMES,
        num_conv_pos_embedding_groups=1,
    )
    digits = TFWav2Vec2ForCTC.from_pretrained(start)
    for part in _KEPT:
        getattr(model.wav2vec2, part).set_weights(getattr(digits.wav2vec2, part).get_weights())
    batches = SpeechData(
        examples,
        "ctc",
        processor,
        model.config,
        batch_seconds=BATCH_SECONDS,
        buckets=6,
        seed=seed,
    )
    options = TrainingOptions(
        epochs=epochs, learning_rate=LEARNING_RATE, clip_norm=1.0, weight_decay=0.01, seed=seed
    )
    train(model, processor, batches, output, options, verbose=2)
    return output
