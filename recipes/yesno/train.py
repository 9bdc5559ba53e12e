"""Train on yes and no from nothing: ``python -m recipes.yesno.train --data DATA --output FOLDER``.

First on single words and pairs, which have few places where a word can be: from whole clips alone some seeds never learn where
the words are. Then on runs of words and on whole clips. Silence around them keeps the model from writing at a clip's edges. A
quarter of the clips, drawn at random, is held out and measured at the end.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import keras
import numpy as np

from recipes.yesno.silence import SilenceAround
from recipes.yesno.spans import spans
from tfwav2vec2 import SpeechData, TrainingOptions, Transcriber, open_for_task, train
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.augmentation import AdditiveNoise, Chain, Gain, Sometimes, SpeedPerturbation
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.manifest import read_manifest
from tfwav2vec2.metrics.evaluation import evaluate_transcripts

HELD_OUT = 15
SHORT, SHORT_EPOCHS, SHORT_RATE = {1: 1, 2: 1}, 30, 1.5e-3
# Many long runs, and clips as they will be heard: with short runs alone the model reads whole clips less well.
RUNS, WHOLE, RUNS_EPOCHS, RUNS_RATE = {1: 2, 2: 2, 3: 2, 4: 1, 6: 1}, 3, 20, 1e-3
# How long the silence around a clip is at most, in lengths of the clip.
SHORT_SILENCE, RUNS_SILENCE = 1.0, 0.3


def make_config() -> Wav2Vec2Config:
    """A small model: a thin front end, two layers; its positions are told by half a second around each."""
    return Wav2Vec2Config(
        hidden_size=96, num_hidden_layers=2, num_attention_heads=2, intermediate_size=288,
        conv_dim=[16, 32, 48, 64, 96], conv_kernel=[10, 8, 8, 4, 4], conv_stride=[5, 4, 4, 2, 2],
        feat_extract_norm="layer", do_stable_layer_norm=True, initializer_range=0.1,
        num_conv_pos_embeddings=48, num_conv_pos_embedding_groups=8,
        hidden_dropout=0.1, attention_dropout=0.1, feat_proj_dropout=0.0, final_dropout=0.1, layerdrop=0.0,
        mask_time_prob=0.1, mask_time_length=5, mask_time_min_masks=0, mask_feature_prob=0.1, mask_feature_length=8,
        ctc_loss_reduction="mean", ctc_zero_infinity=True,
    )  # fmt: skip


@click.command(epilog="Example:  python -m recipes.yesno.train --data ../shared/data --output /tmp/yesno")
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), required=True, help="Folder with manifest.tsv."
)
@click.option("--output", type=click.Path(path_type=Path), required=True, help="Where the model goes.")
@click.option("--seed", default=0, show_default=True, help="Of the split, the weights and the order.")
def main(data: Path, output: Path, seed: int) -> None:
    """Train on three quarters of the clips and measure on the rest."""
    started = time.perf_counter()
    clips = [example for example in read_manifest(data / "manifest.tsv") if example.id.startswith("yesno/")]
    # The names tell the words, and are in order.
    clips = [clips[index] for index in np.random.default_rng(seed).permutation(len(clips))]
    held_out, training = clips[:HELD_OUT], clips[HELD_OUT:]
    output.mkdir(parents=True, exist_ok=True)
    make_config().save_pretrained(output / "start")
    keras.utils.set_random_seed(seed)
    model, processor = open_for_task("ctc", output / "start", training, from_scratch=True)

    def learn(
        examples: list[Example], folder: Path, epochs: int, rate: float, silence: float, **batching: float
    ) -> None:
        parts = (SilenceAround(silence), SpeedPerturbation(), Gain(), AdditiveNoise())
        augment = Chain([Sometimes(part, 0.5) for part in parts])
        batches = SpeechData(examples, "ctc", processor, model.config, augment=augment, seed=seed, **batching)
        options = TrainingOptions(
            epochs=epochs, learning_rate=rate, clip_norm=1.0, weight_decay=0.01,
            freeze_feature_encoder=False, seed=seed,
        )  # fmt: skip
        train(model, processor, batches, folder, options, verbose=2)

    short, runs = list(spans(training, SHORT)), list(spans(training, RUNS, WHOLE))
    learn(short, output / "short", SHORT_EPOCHS, SHORT_RATE, SHORT_SILENCE, batch_seconds=16, buckets=3)
    learn(runs, output, RUNS_EPOCHS, RUNS_RATE, RUNS_SILENCE, batch_seconds=40, buckets=6)
    report = evaluate_transcripts(Transcriber(model, processor), held_out)
    figures = {
        "seed": seed,
        "wer": report.words.rate,
        "words": report.words.units,
        "minutes": round((time.perf_counter() - started) / 60, 1),
    }
    click.echo(json.dumps(figures))


if __name__ == "__main__":
    main()
