"""``tfwav2vec2 finetune`` and ``tfwav2vec2 pretrain``: recordings in, a model out."""

from __future__ import annotations

import dataclasses
import logging
import sys
from pathlib import Path
from typing import Any

import click

from tfwav2vec2.cli.quiet import import_models
from tfwav2vec2.cli.training_options import augmentation_of, fields_of, options_of, training_options


@click.command(
    short_help="Train a model on labelled recordings.",
    epilog="Example:  tfwav2vec2 finetune train.tsv --task ctc --model facebook/wav2vec2-base --output my-model "
    "--validation dev.tsv",
)
@click.option(
    "--task",
    type=click.Choice(["ctc", "classify", "frames", "speaker"]),
    required=True,
    help="ctc: speech to text. classify: a class for each clip. frames: a class for each frame. "
    "speaker: embeddings of voices (x-vector).",
)
@click.option("--model", "base", metavar="NAME_OR_FOLDER", required=True, help="The pretrained model.")
@click.option("--target", metavar="COLUMN", help="The manifest's column to learn.  [default: by its name]")
@click.option("--background", metavar="CLASS", help="For frames: the class of frames in no interval.")
@click.option("--new-letters", is_flag=True, help="For ctc: letters from the transcripts, not the model's.")
@click.option(
    "--freeze-feature-encoder/--train-feature-encoder",
    default=True,
    show_default=True,
    help="Whether the convolutions stay as they are.",
)
@click.option(
    "--freeze-steps",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Steps in which only the head learns.",
)
@click.option(
    "--layer-decay",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="How much lower each layer's learning rate is than that of the one above.",
)
@click.option("--adapters-only", is_flag=True, help="Train the language adapters and the head alone (MMS).")
@click.option(
    "--lora-rank", type=click.IntRange(min=1), help="Train thin matrices of this width and the head alone."
)
@click.option(
    "--spec-augment",
    type=click.Choice(["10min", "1h", "10h", "100h", "960h"]),
    help="Hide as much of the features as the paper does for so much labelled speech.",
)
@training_options
def finetune(task: str, base: str, **given: Any) -> None:
    """Fine-tune a pretrained model, or go on with a training that was cut off.

    MANIFEST is a .tsv, .csv or .jsonl file with a column of audio files and one of texts, labels or speakers, or a folder
    of audio: with metadata.csv, or with a folder for each class.
    """
    _train(task, base, **given)


@click.command(
    short_help="Train a backbone on recordings without labels.",
    epilog="Example:  tfwav2vec2 pretrain recordings/ --model facebook/wav2vec2-base --output my-backbone "
    "--crop-seconds 15.6",
)
@click.option(
    "--model",
    "base",
    metavar="NAME_OR_FOLDER",
    required=True,
    help="The model to go on from; with --from-scratch, the folder or name of its configuration.",
)
@click.option(
    "--crop-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Of longer clips use a piece of this length, another in each epoch.",
)
@click.option(
    "--temperature",
    metavar="FIRST LOWEST FACTOR",
    type=(float, float, float),
    default=(2.0, 0.5, 0.999995),
    show_default=True,
    help="Of the quantizer's choices, and what each step multiplies it by; let it fall faster in a short training.",
)
@training_options
def pretrain(base: str, **given: Any) -> None:
    """Pretrain a model on speech alone, or go on with a training that was cut off.

    MANIFEST is a .tsv, .csv or .jsonl file with a column of audio files, or a folder of audio.
    """
    _train("pretrain", base, **given)


def _train(
    task: str,
    base: str,
    *,
    manifest: Path,
    validation: Path | None,
    output: Path,
    from_scratch: bool,
    augment: list[str],
    fields: tuple[str, ...],
    dtype: str,
    strategy: str,
    target: str | None = None,
    background: str | None = None,
    new_letters: bool = False,
    spec_augment: str | None = None,
    lora_rank: int | None = None,
    **given: Any,
) -> None:
    chosen = fields_of(fields)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        import_models()
        import keras

        from tfwav2vec2.data.speech_data import SpeechData
        from tfwav2vec2.training.distribute import distribute
        from tfwav2vec2.training.fine_tuning import train
        from tfwav2vec2.training.lora import enable_lora
        from tfwav2vec2.training.spec_augment import spec_augment as spans
        from tfwav2vec2.training.starting_point import open_for_task

        cluster = distribute(strategy)
        options = options_of(given)
        examples = read_examples(manifest, task, target)
        # New weights are drawn from the seed too.
        keras.utils.set_random_seed(options.seed)
        with cluster.scope():
            model, processor = open_for_task(
                task,
                base,
                examples,
                from_scratch=from_scratch,
                new_letters=new_letters,
                background=background,
                dtype=dtype,
                **((spans(spec_augment) if spec_augment else {}) | chosen),
            )
            if lora_rank is not None:
                click.echo(str(enable_lora(model, lora_rank)), err=True)

        rate = getattr(processor, "feature_extractor", processor).sampling_rate

        def batches_of(examples: list[Any], **how: Any) -> SpeechData:
            data = SpeechData(
                examples,
                task,
                processor,
                model.config,
                background=background,
                divisible_by=cluster.replicas,
                crop_seconds=given.get("crop_seconds"),
                **{
                    name: given[name]
                    for name in ("batch_size", "batch_seconds", "min_seconds", "max_seconds")
                },
                **how,
            )
            return data.shard(*cluster.shard)

        history = train(
            model,
            processor,
            batches_of(examples, augment=augmentation_of(augment, rate), seed=options.seed),
            output,
            options,
            validation=validation and batches_of(read_examples(validation, task, target), shuffle=False),
            cluster=cluster,
            verbose="auto" if sys.stderr.isatty() else 2,
        )
    except (OSError, ValueError, TypeError, ArithmeticError, ImportError) as error:
        raise click.ClickException(" ".join(str(error).split("\n"))) from error
    click.echo(_summary(history, output))


def read_examples(manifest: Path, task: str, target: str | None) -> list[Any]:
    """The manifest's examples; for speakers the column of speakers is the target, unless another is named."""
    from tfwav2vec2.data.manifest import read_manifest

    examples = read_manifest(manifest, target=target)
    if task != "speaker" or target is not None:
        return examples
    return [
        dataclasses.replace(example, target=example.speaker) if example.speaker is not None else example
        for example in examples
    ]


def _summary(history: Any, output: Path) -> str:
    last = {name: values[-1] for name, values in history.history.items() if values}
    return "  ".join([f"{name} {value:.4g}" for name, value in last.items()] + [f"model in {output}"])
