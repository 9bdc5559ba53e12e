"""Between a model's variables and the tensors of a checkpoint."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from tfwav2vec2.backbone.low_rank import low_rank_layers
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.checkpoint import Checkpoint, LazyTensor, Shape
from tfwav2vec2.weights.key_map import BACKBONE, is_optional, is_transposed, match, torch_keys

logger = logging.getLogger(__name__)

# Which variables, by name, another file fills after this one.
_filled_elsewhere: ContextVar[Callable[[str], bool]] = ContextVar("filled_elsewhere", default=lambda _: False)

# True, or False for a warning; "backbone" is strict about the backbone and lets the head be another's, or nobody's.
Strictness = bool | Literal["backbone"]

_PACKAGE = __name__.partition(".")[0]
_LENIENT = (
    'pass strict="backbone" to put a new head on the file\'s backbone, or strict=False to initialise whatever is missing '
    "and leave out what is not expected"
)


@dataclass(frozen=True)
class _Problem:
    """Keys that do not fit, how bad that is (a level of ``logging``), and what lets them pass."""

    kind: str
    keys: list[str]
    level: int
    remedy: str


@contextmanager
def filled_elsewhere(chosen: Callable[[str], bool]) -> Iterator[None]:
    """Inside, :func:`fill` leaves some variables alone, whatever a checkpoint holds of them or lacks.

    Whoever uses it has to fill them. ``chosen`` tells, for the name of a variable and for the key of a tensor, whether
    it is one of them.
    """
    token = _filled_elsewhere.set(chosen)
    try:
        yield
    finally:
        _filled_elsewhere.reset(token)


def fill(model: Any, checkpoint: Checkpoint, strict: Strictness, ignore_mismatched_sizes: bool) -> list[str]:
    """Assign to a model's variables what a checkpoint holds, once everything has been checked.

    Returns:
        The names of the variables that were left as they were, without those that are :func:`filled_elsewhere`.

    Raises:
        ValueError: for tensors that are missing, not expected (unless ``strict`` is False) or of another shape (unless
            ``ignore_mismatched_sizes``), for ``strict="backbone"`` in the backbone alone; the message lists them all and
            no variable has changed.
        CheckpointError: where the file turns out to be damaged.
    """
    elsewhere = _filled_elsewhere.get()
    variables = {name: variable for name, variable in named_variables(model).items() if not elsewhere(name)}
    shapes = {key: shape for key, shape in checkpoint.shapes.items() if not elsewhere(key)}
    found = match(variables, shapes)
    mismatched = {
        name: key for name, key in found.pairs.items() if torch_shape(name, variables[name]) != shapes[key]
    }
    of_head = _head_keys(variables, shapes) if strict == "backbone" else frozenset()
    missing = [key for key in found.missing if key not in of_head]
    unexpected = [key for key in found.unexpected if key not in of_head]
    resized = [
        f"{key} (file {shapes[key]}, model {torch_shape(name, variables[name])})"
        for name, key in mismatched.items()
        if key not in of_head
    ]
    another_head = [
        key for key in (*found.missing, *found.unexpected, *mismatched.values()) if key in of_head
    ]
    problems = [
        _Problem("missing", missing, _level(missing, strict), _LENIENT),
        _Problem("not expected", unexpected, _level(unexpected, strict), _LENIENT),
        _Problem(
            "of another shape",
            resized,
            logging.WARNING if ignore_mismatched_sizes else logging.ERROR,
            "pass ignore_mismatched_sizes=True to initialise what has another shape",
        ),
        _Problem("of another head", another_head, logging.INFO, _LENIENT),
    ]
    _report(checkpoint.path, type(model).__name__, [problem for problem in problems if problem.keys])
    for name, key in found.pairs.items():
        if name not in mismatched:
            assign(name, variables[name], checkpoint.read(key))
    return [name for name in variables if name not in found.pairs or name in mismatched]


def _level(keys: Iterable[str], strict: Strictness) -> int:
    """How bad it is that keys are missing, or too many: a model that is not masked has no embedding for that."""
    if all(map(is_optional, keys)):
        return logging.INFO
    return logging.ERROR if strict else logging.WARNING


def _head_keys(variables: Iterable[str], keys: Iterable[str]) -> frozenset[str]:
    """The torch keys of a model's head and of a file's."""
    ours = {key for name in variables if not name.startswith(BACKBONE) for key in torch_keys(name)}
    theirs = set(keys)
    if any(key.startswith(BACKBONE) for key in theirs):
        return frozenset(ours | {key for key in theirs if not key.startswith(BACKBONE)})
    return frozenset(ours - theirs)


def _report(path: Path, model: str, problems: list[_Problem]) -> None:
    """Raise, warn or note, as the worst of the problems asks for."""
    lines = [f"  {problem.kind}: {', '.join(problem.keys)}" for problem in problems]
    partly = "\n".join(
        [f"{path} fills {model} in part; the rest of the model is as it was initialised", *lines]
    )
    match max((problem.level for problem in problems), default=logging.NOTSET):
        case logging.ERROR:
            asked = dict.fromkeys(problem.remedy for problem in problems if problem.level == logging.ERROR)
            advice = ", or ".join(
                ["Check that the file, its config.json and the class belong together", *asked]
            )
            raise ValueError(
                "\n".join([f"The tensors of {path} are not those of {model}", *lines, f"{advice}."])
            )
        case logging.WARNING:
            warnings.warn(partly, stacklevel=_level_of_the_caller())
        case logging.INFO:
            logger.info(partly)


def _level_of_the_caller() -> int:
    """How far above the function that asks the first line outside this package lies: the one that a warning is for."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(f"{_PACKAGE}."):
        frame, level = frame.f_back, level + 1
    return level


def torch_shape(name: str, variable: keras.Variable) -> Shape:
    """The shape that a variable has in torch."""
    shape = tuple(variable.shape)
    return shape[::-1] if is_transposed(name) else shape


def assign(name: str, variable: keras.Variable, tensor: np.ndarray) -> None:
    """Give a variable the value of a tensor that is laid out as torch has it."""
    value = keras.ops.convert_to_tensor(tensor.astype(variable.dtype, copy=False))
    # The backend turns matrices round several times faster than numpy does.
    variable.assign(keras.ops.transpose(value) if is_transposed(name) else value)


def tensors(model: Any) -> dict[str, LazyTensor]:
    """A model's variables as torch has them, by torch key; what low-rank matrices learnt is added to their kernels."""
    merged = {id(layer.kernel): layer.merged_kernel for layer in low_rank_layers(model)}
    return {
        torch_keys(name)[0]: LazyTensor(
            torch_shape(name, variable),
            np.dtype(variable.dtype),
            partial(_to_torch, name, merged.get(id(variable), lambda variable=variable: variable.value)),
        )
        for name, variable in named_variables(model).items()
    }


def _to_torch(name: str, read: Callable[[], Any]) -> np.ndarray:
    value = keras.ops.convert_to_numpy(read())
    return value.T if is_transposed(name) else value
