"""How torch's pickles describe tensors: the words they use, and the checks that every description has to pass."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from tfwav2vec2.weights.checkpoint import Shape

_MAX_AXES = 16
_MAX_SIZE = 2**62

_DTYPES: dict[str, Any] = {
    "float64": np.float64,
    "float32": np.float32,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
    "int64": np.int64,
    "int32": np.int32,
    "int16": np.int16,
    "int8": np.int8,
    "uint64": np.uint64,
    "uint32": np.uint32,
    "uint16": np.uint16,
    "uint8": np.uint8,
    "bool": np.bool_,
}
_STORAGE_DTYPES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    # Counted in bytes; the dtype stands beside it in the tensor's own description.
    "torch.storage.UntypedStorage": "uint8",
}
# Torch's words for dtypes and storages, those that numpy has no counterpart for among them.
DTYPE_WORD = re.compile(r"torch\.(storage\.)?(\w+Storage|q?u?int\d\w*|b?float\d\w*|complex\d+|bool)")


@dataclass(frozen=True)
class Global:
    """A name that the pickle refers to. It stays a name: it is never looked up in any module."""

    name: str


@dataclass(frozen=True)
class Storage:
    """A run of numbers in the file: its name there, its dtype, and where a view of it begins."""

    key: str
    dtype: np.dtype
    offset: int = 0


@dataclass(frozen=True)
class StoredTensor:
    """A tensor as the pickle describes it; offset and strides count elements."""

    storage: Storage
    dtype: np.dtype
    offset: int
    shape: Shape
    strides: Shape

    @property
    def elements(self) -> int:
        """How many numbers the tensor holds."""
        return math.prod(self.shape)

    @property
    def extent(self) -> int:
        """How many elements of its storage lie between the tensor's first and last, both included."""
        if not self.elements:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


def dimensions(values: Any) -> Shape:
    """Sizes, strides or an offset, once they have been checked.

    Raises:
        ValueError: for what is not a short tuple of numbers that are not negative.
    """
    valid = isinstance(values, tuple) and len(values) <= _MAX_AXES
    if not valid or any(type(value) is not int or not 0 <= value < _MAX_SIZE for value in values):
        raise ValueError("a tensor's sizes and strides must be a few numbers that are not negative")
    return values


def _dtype(word: str) -> np.dtype:
    """What a storage's class or a dtype of torch means."""
    name = _STORAGE_DTYPES.get(word) or word.removeprefix("torch.")
    if name not in _DTYPES:
        raise ValueError(
            f"numbers of the kind {word[:100]} are not supported, float32, float16 and bfloat16 are"
        )
    return np.dtype(_DTYPES[name])


def _tensor(
    storage: Storage, offset: Any, size: Any, stride: Any, dtype: np.dtype | None = None
) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor must refer to a storage")
    (offset,), shape, strides = dimensions((offset,)), dimensions(size), dimensions(stride)
    if len(shape) != len(strides):
        raise ValueError("a tensor must have one stride for each of its sizes")
    tensor = StoredTensor(storage, dtype or storage.dtype, storage.offset + offset, shape, strides)
    if tensor.elements > tensor.extent:
        raise ValueError("a tensor claims more elements than its storage holds")
    return tensor


def rebuild(storage: Storage, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor:
    """``_rebuild_tensor``, or ``_rebuild_tensor_v2``: requires_grad, hooks and perhaps flags follow."""
    if len(rest) == 3 and rest[2]:
        raise ValueError("conjugated and negated views are not supported")
    return _tensor(storage, offset, size, stride)


def rebuild_typed(
    storage: Storage, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *rest: Any
) -> Any:
    """``_rebuild_tensor_v3``: the storage is plain bytes and the dtype is given apart."""
    if not isinstance(dtype, Global) or any(rest):
        raise ValueError("a tensor over plain bytes must name its dtype")
    if storage.offset:
        raise ValueError("views of plain bytes are not supported")
    return _tensor(storage, offset, size, stride, _dtype(dtype.name))


def storage_of(identity: Any) -> Storage:
    """What a persistent id stands for: ("storage", type, key, device, elements[, view])."""
    match identity:
        case ("storage", Global(name=kind), str(key), str(), int()):
            return Storage(key, _dtype(kind))
        case ("storage", Global(name=kind), str(key), str(), int(), None):
            return Storage(key, _dtype(kind))
        case ("storage", Global(name=kind), str(key), str(), int(), (str(), int(offset), int())):
            return Storage(key, _dtype(kind), dimensions((offset,))[0])
    raise ValueError("a persistent id does not describe a storage")
