"""How sequences of different lengths become one batch: how far to pad, and which framework's tensors come out."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from tfwav2vec2.outputs import TensorDict

Batch = TypeVar("Batch", bound=TensorDict)

# For each framework: its module, its function that makes tensors, and its integers (the dtype of an empty batch of ids).
_FRAMEWORKS = {
    "np": ("numpy", "asarray", "int64"),
    "tf": ("tensorflow", "constant", "int32"),
    "pt": ("torch", "tensor", "int64"),
    "jax": ("jax.numpy", "asarray", "int32"),
}
_KIND_BY_MODULE = {"numpy": "np", "tensorflow": "tf", "torch": "pt", "jax": "jax", "jaxlib": "jax"}


class Padding(StrEnum):
    """How far to pad (reference: ``PaddingStrategy``)."""

    LONGEST = "longest"
    MAX_LENGTH = "max_length"
    DO_NOT_PAD = "do_not_pad"

    @classmethod
    def of(cls, padding: bool | str) -> Padding:
        """Read the argument ``padding``: True means the longest of the batch, False none at all.

        Raises:
            ValueError: for anything else than a boolean or a strategy's name.
        """
        if isinstance(padding, bool):
            return cls.LONGEST if padding else cls.DO_NOT_PAD
        try:
            return cls(padding)
        except ValueError:
            raise ValueError(
                f"padding is {padding!r}; it must be True, False, {', '.join(repr(item.value) for item in cls)}"
            ) from None


def round_up(length: int, multiple: int | None) -> int:
    """The smallest multiple of ``multiple`` that is not below ``length``; ``length`` itself without one."""
    return -(-length // multiple) * multiple if multiple else length


def as_columns(features: Any) -> dict[str, Any]:
    """A list of examples as one dictionary of lists; a dictionary as it is (copied, so that callers keep theirs)."""
    if isinstance(features, (list, tuple)) and features and isinstance(features[0], Mapping):
        return {name: [example[name] for example in features] for name in features[0]}
    if not isinstance(features, Mapping):
        raise TypeError(
            f"Padding takes a dictionary of lists or a list of dictionaries; got {type(features).__name__}"
        )
    return dict(features)


def is_tensor(value: Any) -> bool:
    """Whether ``value`` is an array or tensor of any framework, rather than a Python list or number."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def to_numpy(value: Any) -> np.ndarray:
    """Any tensor, list or number as a numpy array."""
    if hasattr(value, "detach"):  # torch: off the gradient tape and off the device
        value = value.detach().cpu()
    return np.asarray(value)


def kind_of(value: Any) -> str | None:
    """The ``return_tensors`` name of the framework that ``value`` belongs to; None for lists and numbers."""
    if not is_tensor(value):
        return None
    return _KIND_BY_MODULE.get(type(value).__module__.partition(".")[0])


def to_tensors(batch: Batch, kind: str | None, *, add_batch_axis: bool = False) -> Batch:
    """Turn the fields of ``batch`` into tensors of one framework, in place.

    Args:
        batch: lists, numbers or arrays by name.
        kind: ``"np"``, ``"tf"``, ``"pt"`` or ``"jax"``; None leaves everything as it is.
        add_batch_axis: put an axis of length 1 in front of every field.

    Raises:
        ValueError: for an unknown kind, or rows of different lengths (numpy alone can hold them, as objects).
        ImportError: where the framework is not installed.
    """
    if kind is None:
        return batch
    kind = str(getattr(kind, "value", kind))
    make, integers = _load(kind)
    for name, value in batch.items():
        value = [value] if add_batch_axis else value
        if kind_of(value) == kind:
            continue
        if not _is_ragged(value):
            batch[name] = _tensor(value, make, integers)
        elif kind == "np":
            batch[name] = _objects(value)
        else:
            raise ValueError(
                f"The rows of {name} differ in length and cannot become one tensor; pass padding=True"
            )
    return batch


def _load(kind: str) -> tuple[Callable[..., Any], Any]:
    if kind not in _FRAMEWORKS:
        raise ValueError(f"return_tensors is {kind!r}; it must be one of {', '.join(map(repr, _FRAMEWORKS))}")
    module_name, make, integers = _FRAMEWORKS[kind]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ImportError(
            f"return_tensors={kind!r} needs {module_name.partition('.')[0]}, which is not installed; "
            "install it, or pass return_tensors='np'"
        ) from error
    return getattr(module, make), getattr(module, integers)


def _is_ragged(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype == object
    rows = value if isinstance(value, (list, tuple)) else ()
    return len({len(row) for row in rows if hasattr(row, "__len__")}) > 1


def _objects(rows: Any) -> np.ndarray:
    """An array of arrays: what numpy can make of rows of different lengths."""
    array = np.empty(len(rows), dtype=object)
    array[:] = [np.asarray(row) for row in rows]
    return array


def _tensor(value: Any, make: Callable[..., Any], integers: Any) -> Any:
    if isinstance(value, (list, tuple)) and value and is_tensor(value[0]):
        value = np.asarray([to_numpy(row) for row in value])
    elif is_tensor(value):
        value = to_numpy(value)
    elif np.size(value) == 0:
        return make(value, dtype=integers)
    return make(value)
