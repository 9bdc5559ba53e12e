"""The pickle inside a torch checkpoint, read as data: nothing in it is ever called, imported or looked up.

A pickle is a program for a small stack machine. Python's own machine runs whatever the program names; this one knows
the few instructions that describe names, numbers and tensors, and refuses every global but torch's words for them.
"""

from __future__ import annotations

import math
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

from tfwav2vec2.weights.checkpoint import CheckpointError, Shape

# The dictionary of a model with forty thousand tensors; published models have about four hundred.
MAX_PICKLE_BYTES = 4 * 2**20
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


class UnsafePickleError(CheckpointError):
    """A pickle that asks for more than tensors: it may be hostile, and none of it was run."""


class _ForbiddenError(Exception):
    """An instruction or a global that has no place among tensors."""


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


@dataclass(frozen=True)
class _Global:
    """A name that the pickle refers to. It stays a name: what it stands for is in the tables below."""

    name: str


class _Mark:
    """The stack's place marker."""


def _sizes(values: Any) -> Shape:
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


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, dtype: np.dtype | None = None) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor must refer to a storage")
    (offset,), shape, strides = _sizes((offset,)), _sizes(size), _sizes(stride)
    if len(shape) != len(strides):
        raise ValueError("a tensor must have one stride for each of its sizes")
    tensor = StoredTensor(storage, dtype or storage.dtype, storage.offset + offset, shape, strides)
    if tensor.elements > tensor.extent:
        raise ValueError("a tensor claims more elements than its storage holds")
    return tensor


def _rebuild(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> StoredTensor:
    """``_rebuild_tensor``, or ``_rebuild_tensor_v2``: requires_grad, hooks and perhaps flags follow."""
    if len(rest) == 3 and rest[2]:
        raise ValueError("conjugated and negated views are not supported")
    return _tensor(storage, offset, size, stride)


def _rebuild_typed(
    storage: Any, offset: Any, size: Any, stride: Any, _: Any, __: Any, dtype: Any, *rest: Any
) -> Any:
    """``_rebuild_tensor_v3``: the storage is plain bytes and the dtype is given apart."""
    if not isinstance(dtype, _Global) or any(rest):
        raise ValueError("a tensor over plain bytes must name its dtype")
    return _tensor(storage, offset, size, stride, _dtype(dtype.name))


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key, value in items:
        _set_item(result, key, value)
    return result


def _set_item(target: Any, key: Any, value: Any) -> None:
    # Hashing a tuple that repeats itself a few dozen levels deep would never end.
    if not isinstance(target, dict) or not isinstance(key, (str, int)):
        raise ValueError("only dictionaries with names or numbers for keys are supported")
    target[key] = value


# What may be "called", each with this module's own description in place of torch's code.
_CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _ordered_dict,
    "torch.Size": lambda sizes: _sizes(tuple(sizes)),
    "torch._utils._rebuild_tensor": _rebuild,
    "torch._utils._rebuild_tensor_v2": _rebuild,
    "torch._utils._rebuild_tensor_v3": _rebuild_typed,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
}
# Torch's words for dtypes and storages, those that numpy has no counterpart for among them.
_DTYPE_WORD = re.compile(r"torch\.(storage\.)?(\w+Storage|q?u?int\d\w*|b?float\d\w*|complex\d+|bool)")

# Instructions whose argument is itself the value.
_VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *(
            "STRING",
            "BINSTRING",
            "SHORT_BINSTRING",
            "UNICODE",
            "SHORT_BINUNICODE",
            "BINUNICODE",
            "BINUNICODE8",
        ),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    )
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": _Mark,
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The stack machine: one method an instruction, found by its name in ``pickletools``."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: BinaryIO) -> Any:
        # genops takes instructions apart and runs none; it reads no further than the pickle's end.
        for opcode, argument, _ in pickletools.genops(stream):
            self._step(opcode.name, argument)
        (result,) = self.stack
        return result

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _SHORT_TUPLES:
            count = _SHORT_TUPLES[name]
            if len(stack) < count:
                raise ValueError("the stack is empty")
            stack[-count:] = [tuple(stack[-count:])]
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name == "LIST":
            stack.append(self._since_mark())
        elif name == "DICT":
            items = self._since_mark()
            stack.append(_ordered_dict(zip(items[::2], items[1::2], strict=True)))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._since_mark()
            if not isinstance(stack[-1], list):
                raise ValueError("only a list can be appended to")
            stack[-1].extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = [stack.pop(-2), stack.pop()] if name == "SETITEM" else self._since_mark()
            for key, value in zip(items[::2], items[1::2], strict=True):
                _set_item(stack[-1], key, value)
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name == "GLOBAL":
            stack.append(_known(argument.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(f"{module}.{attribute}" if isinstance(module, str) else "?"))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_call(function, arguments))
        elif name == "BUILD":
            # The state of a state dict: notes on the versions of torch's modules, of no use here.
            stack.pop()
            if not isinstance(stack[-1], dict):
                raise ValueError("only a dictionary can have a state")
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise _ForbiddenError(f"uses the pickle instruction {name}")

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := self.stack.pop(), _Mark):
            items.append(item)
        return items[::-1]


def _known(name: str) -> _Global:
    if name not in _CALLS and not _DTYPE_WORD.fullmatch(name):
        raise _ForbiddenError(f"asks for {name[:100]!r}")
    return _Global(name)


def _call(function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Global) or function.name not in _CALLS or not isinstance(arguments, tuple):
        raise _ForbiddenError("calls what is no function of torch's")
    return _CALLS[function.name](*arguments)


def _storage(identity: Any) -> Storage:
    """What a persistent id stands for: ("storage", type, key, device, elements[, view])."""
    match identity:
        case ("storage", _Global(name=kind), str(key), str(), int()):
            return Storage(key, _dtype(kind))
        case ("storage", _Global(name=kind), str(key), str(), int(), None):
            return Storage(key, _dtype(kind))
        case ("storage", _Global(name=kind), str(key), str(), int(), (str(), int(offset), int())):
            return Storage(key, _dtype(kind), _sizes((offset,))[0])
    raise ValueError("a persistent id does not describe a storage")


def read_pickle(stream: BinaryIO, path: Path) -> Any:
    """Read one pickle of the file ``path`` as plain data and :class:`StoredTensor`; the stream ends up just behind it.

    The stream has to end within ``MAX_PICKLE_BYTES``.

    Raises:
        UnsafePickleError: for a global or an instruction that has no place among tensors.
        Exception: of many kinds, for a damaged pickle (see ``damage_reported``).
    """
    try:
        return _Machine().run(stream)
    except _ForbiddenError as error:
        raise UnsafePickleError(
            f"{path} {error}, which no file of tensors needs; nothing in it was run. If you trust where it comes from, "
            "save the model's state dict alone, as safetensors"
        ) from None
