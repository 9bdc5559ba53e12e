"""The options that ``finetune`` and ``pretrain`` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tfwav2vec2.training.fine_tuning import TrainingOptions

# Augmentations by the name that the command line has for them; the share of clips that each changes.
AUGMENTATIONS = ("speed", "gain", "noise", "room", "telephone")
_SHARE = 0.5

_EXISTING = click.Path(exists=True, path_type=Path)


def _augmentations(context: click.Context, parameter: click.Parameter, given: str) -> list[str]:
    """The names of a list with commas."""
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in AUGMENTATIONS:
            raise click.BadParameter(
                f"There is no augmentation {name!r}; choose from {', '.join(AUGMENTATIONS)}"
            )
    return names


_OPTIONS = (
    click.argument("manifest", type=_EXISTING),
    click.option(
        "--output", metavar="DIR", required=True, type=click.Path(file_okay=False, path_type=Path),
        help="Where the model goes. The same command goes on with a training that was cut off.",
    ),
    click.option("--validation", metavar="MANIFEST", type=_EXISTING, help="Clips to choose the best model by."),
    click.option("--from-scratch", is_flag=True, help="Take the model's configuration alone and draw new weights."),
    click.option("--epochs", type=click.IntRange(min=1), default=10, show_default=True),
    click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=1e-4, show_default=True, help="The highest."),
    click.option(
        "--schedule", type=click.Choice(["tri-stage", "linear", "cosine", "constant"]), default="tri-stage",
        show_default=True, help="How the learning rate rises and falls.",
    ),
    click.option(
        "--warmup", type=click.FloatRange(0, 1, max_open=True), default=0.1, show_default=True,
        help="The share of the steps in which it rises.",
    ),
    click.option("--weight-decay", type=click.FloatRange(min=0), default=0.0, show_default=True),
    click.option(
        "--clip-norm", type=click.FloatRange(min=0, min_open=True), help="Cut the norm of the gradients to this."
    ),
    click.option("--batch-size", type=click.IntRange(min=1), help="Clips in a batch.  [default: 8]"),
    click.option(
        "--batch-seconds", type=click.FloatRange(min=0, min_open=True),
        help="In place of --batch-size: seconds of sound in a batch, padding included.",
    ),
    click.option(
        "--accumulate", "gradient_accumulation", type=click.IntRange(min=1), default=1, show_default=True,
        help="Batches that make one update.",
    ),
    click.option(
        "--gradient-checkpointing", is_flag=True,
        help="Compute layers again for their gradients: less memory, more time.",
    ),
    click.option("--min-seconds", type=click.FloatRange(min=0), help="Leave shorter clips out."),
    click.option("--max-seconds", type=click.FloatRange(min=0), help="Leave longer clips out."),
    click.option(
        "--augment", metavar="NAMES", default="", callback=_augmentations,
        help=f"Change the sound of half of the clips: any of {', '.join(AUGMENTATIONS)}, with commas.",
    ),
    click.option(
        "--set", "fields", metavar="FIELD=VALUE", multiple=True,
        help="Set a field of the model's configuration, such as mask_time_prob=0.05.",
    ),
    click.option(
        "--dtype", default="float32", show_default=True, metavar="POLICY",
        help="Keras's policy: float32, mixed_bfloat16, mixed_float16.",
    ),
    click.option(
        "--every", metavar="STEPS", type=click.IntRange(min=1), default=500, show_default=True,
        help="Steps after which a state to go on from is written.",
    ),
    click.option(
        "--strategy", type=click.Choice(["none", "mirrored", "multiworker", "data_parallel", "model_parallel"]),
        default="none", show_default=True,
        help="Several devices: mirrored and multiworker on TensorFlow, data_parallel and model_parallel on JAX.",
    ),
    click.option("--patience", metavar="EPOCHS", type=click.IntRange(min=1), help="Stop after so many without a better model."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True),
)  # fmt: skip


def training_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a training."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def options_of(given: dict[str, Any]) -> TrainingOptions:
    """What of a command's options belongs to :class:`TrainingOptions`."""
    from tfwav2vec2.training.fine_tuning import TrainingOptions

    names = {field.name for field in dataclasses.fields(TrainingOptions)}
    return TrainingOptions(**{name: value for name, value in given.items() if name in names})


def fields_of(given: tuple[str, ...]) -> dict[str, Any]:
    """The configuration's fields of ``--set``; values are JSON where they can be, else text.

    Raises:
        click.BadParameter: for one without a value.
    """
    import json

    fields: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"--set takes FIELD=VALUE; got {text!r}")
        try:
            fields[name] = json.loads(value)
        except ValueError:
            fields[name] = value
    return fields


def augmentation_of(names: list[str], sampling_rate: int) -> Any:
    """What ``--augment`` asks for, for clips of a rate in Hz; None for nothing."""
    if not names:
        return None
    from tfwav2vec2.data import augmentation

    kinds = (
        augmentation.SpeedPerturbation(),
        augmentation.Gain(),
        augmentation.AdditiveNoise(),
        augmentation.Reverberation(sampling_rate=sampling_rate),
        augmentation.TelephoneBand(sampling_rate=sampling_rate),
    )
    by_name = dict(zip(AUGMENTATIONS, kinds, strict=True))
    return augmentation.Chain([augmentation.Sometimes(by_name[name], _SHARE) for name in names])
