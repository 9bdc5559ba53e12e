"""Everything that a training needs to go on, in one file: weights, optimizer, seeds, running metrics, and the position."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfwav2vec2.weights.checkpoint import CheckpointError, LazyTensor
from tfwav2vec2.weights.formats.safetensors_reader import SafetensorsCheckpoint
from tfwav2vec2.weights.formats.safetensors_writer import write_safetensors

# The key of the file's metadata under which the position stands, as JSON.
_POSITION = "training_position"


class NotFiniteError(ArithmeticError):
    """A training whose weights or loss are no longer numbers."""


@dataclass
class Position:
    """How far a training has come.

    Attributes:
        epoch: the epoch to go on with, counted from 0.
        step: how many steps of that epoch are done.
        total_steps: how many steps are done in all.
        history: what ``History`` holds, a list of values for each quantity.
        history_epochs: the epochs that ``history`` tells of.
        callbacks: for each callback that is kept, the attributes in which it has changed since it was made.
        finished_epochs: the number of epochs that the training was to have, where it has ended.
    """

    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    history: dict[str, list[Any]] = field(default_factory=dict)
    history_epochs: list[int] = field(default_factory=list)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    finished_epochs: int | None = None


def write_state(path: Path, model: keras.Model, position: Position, arrays: dict[str, np.ndarray]) -> None:
    """Write the state of a model in training; the file is whole or not there at all.

    Args:
        path: the file to write.
        model: compiled.
        position: how far it has come.
        arrays: what callbacks hold besides plain values.

    Raises:
        NotFiniteError: where a weight or a moment of the optimizer is NaN or infinite. Nothing is written.
        OSError: where the file cannot be written, as on a full disk.
    """
    if keras.backend.backend() == "jax":
        # fit keeps the newest values to itself between the steps.
        model.jax_state_sync()
    tensors = {
        _key(part, index): LazyTensor(
            tuple(variable.shape),
            np.dtype(keras.backend.standardize_dtype(variable.dtype)),
            partial(_finite_values, variable) if part != "metrics" else partial(_values, variable),
        )
        for part, variables in _parts(model).items()
        for index, variable in enumerate(variables)
    }
    for name, array in arrays.items():
        tensors[name] = LazyTensor(array.shape, array.dtype, partial(np.asarray, array))
    write_safetensors(path, tensors, metadata={_POSITION: json.dumps(asdict(position))})


def read_state(path: Path, model: keras.Model) -> tuple[Position, dict[str, np.ndarray]]:
    """Give a model the state in a file: weights, optimizer and seeds.

    Returns:
        How far the training had come, and the arrays that are not the model's own: those of callbacks, and the running
        metrics, for :func:`restore_metrics` (``fit`` resets metrics before each epoch).

    Raises:
        CheckpointError: where the file is not a training's state, or that of another model or optimizer. The model
            is then as it was.
    """
    with SafetensorsCheckpoint(path) as checkpoint:
        position = _position_of(checkpoint)
        variables = {
            _key(part, index): variable
            for part in ("model", "optimizer")
            for index, variable in enumerate(_parts(model)[part])
        }
        others = {key for key in checkpoint.shapes if key.startswith(("metrics/", "callbacks/"))}
        for key in sorted(variables.keys() | checkpoint.shapes.keys() - others):
            here = tuple(variables[key].shape) if key in variables else "nothing"
            there = checkpoint.shapes.get(key, "nothing")
            if here != there:
                raise CheckpointError(
                    f"{path} is the state of another training: it holds {there} for {key}, where this one has {here}. "
                    "Start with the same model and optimizer, or in another folder"
                )
        for key, variable in variables.items():
            variable.assign(checkpoint.read(key))
        return position, {key: checkpoint.read(key) for key in others}


def restore_metrics(model: keras.Model, arrays: dict[str, np.ndarray]) -> bool:
    """Give the running metrics the values that :func:`read_state` found; False where a model has other metrics by now."""
    variables = {_key("metrics", index): value for index, value in enumerate(_parts(model)["metrics"])}
    saved = {key: array for key, array in arrays.items() if key.startswith("metrics/")}
    if {key: tuple(value.shape) for key, value in variables.items()} != {
        key: array.shape for key, array in saved.items()
    }:
        return False
    for key, variable in variables.items():
        variable.assign(saved[key])
    return True


def _parts(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """The variables by what they belong to. Their names differ between runs (Keras counts layers), their order does not."""
    if not model.optimizer.built:
        # Keras makes its variables in the first step.
        model.optimizer.build(model.trainable_variables)
    return {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }


def _key(part: str, index: int) -> str:
    return f"{part}/{index:05d}"


def _values(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)


def _finite_values(variable: keras.Variable) -> np.ndarray:
    values = _values(variable)
    # Moments in bfloat16 and the like are no kind of number to numpy.
    if "float" in values.dtype.name and not np.isfinite(values.astype(np.float32, copy=False)).all():
        raise NotFiniteError(f"{variable.path} holds NaN or infinite values")
    return values


def _position_of(checkpoint: SafetensorsCheckpoint) -> Position:
    text = checkpoint.metadata.get(_POSITION)
    try:
        return Position(**json.loads(text))
    except (TypeError, ValueError):
        raise CheckpointError(
            f"{checkpoint.path} is not the state of a training; give a folder that this package wrote"
        ) from None
