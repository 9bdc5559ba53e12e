"""The pickle inside a torch checkpoint, read as data: nothing in it is ever called, imported or looked up.

A pickle is a program for a small stack machine. Python's own machine runs whatever the program names; this one knows
the few instructions that describe names, numbers and tensors, and refuses every global but torch's words for them.
The names of :data:`~tfwav2vec2.weights.formats.inert_objects.INERT_NAMES` become inert descriptions; whether the file may bear
such traces is for its reader to say.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tfwav2vec2.weights.checkpoint import CheckpointError
from tfwav2vec2.weights.formats.inert_objects import INERT_NAMES, InertObject
from tfwav2vec2.weights.formats.torch_tensors import (
    DTYPE_WORD,
    Global,
    Storage,
    dimensions,
    rebuild,
    rebuild_typed,
    storage_of,
)

# The dictionary of a model with forty thousand tensors; published models have about four hundred.
MAX_PICKLE_BYTES = 4 * 2**20


class UnsafePickleError(CheckpointError):
    """A pickle that asks for more than tensors: it may be hostile, and none of it was run."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path} {what}, which no file of tensors needs; nothing in it was run. If you trust where it comes from, "
            "save the model's state dict alone, as safetensors"
        )


@dataclass(frozen=True)
class Pickled:
    """What a pickle holds.

    Attributes:
        content: plain data, ``StoredTensor`` and ``InertObject``.
        storages: every storage that the pickle refers to, by its key in the file.
        inert: the first name of another library that was met; None in a file of tensors.
    """

    content: Any
    storages: dict[str, Storage]
    inert: str | None


class _ForbiddenError(Exception):
    """An instruction or a global that has no place among tensors."""


class _Mark:
    """The stack's place marker."""


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
    "collections.defaultdict": lambda *_: {},
    "torch.Size": lambda values: dimensions(tuple(values)),
    "torch._utils._rebuild_tensor": rebuild,
    "torch._utils._rebuild_tensor_v2": rebuild,
    "torch._utils._rebuild_tensor_v3": rebuild_typed,
    "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
    "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
}

# Instructions whose argument is itself the value.
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = (
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE",
    "BINUNICODE8",
)
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_VALUES = frozenset((*_NUMBERS, *_TEXTS, *_BYTES))
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
    """The stack machine. Instructions go by their names in ``pickletools``; any that is not here is refused."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        self.inert: str | None = None
        self._items_left = MAX_PICKLE_BYTES

    def run(self, stream: BinaryIO) -> Pickled:
        # genops takes instructions apart and runs none; it reads no further than the pickle's end.
        for opcode, argument, _ in pickletools.genops(stream):
            self._step(opcode.name, argument)
        (result,) = self.stack
        return Pickled(result, self.storages, self.inert)

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
            stack.append(self._known(argument.replace(" ", ".", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(self._known(f"{module}.{attribute}" if isinstance(module, str) else "?"))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._call(function, arguments, new=name == "NEWOBJ"))
        elif name == "BUILD":
            state = stack.pop()
            if isinstance(stack[-1], InertObject):
                stack[-1].state = state
            # The state of a state dict: notes on the versions of torch's modules, of no use here.
            elif not isinstance(stack[-1], dict):
                raise ValueError("only a dictionary can have a state")
        elif name == "BINPERSID":
            storage = storage_of(stack.pop())
            self.storages.setdefault(storage.key, storage)
            stack.append(storage)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise _ForbiddenError(f"uses the pickle instruction {name}")

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while not isinstance(item := self.stack.pop(), _Mark):
            items.append(item)
        return items[::-1]

    def _known(self, name: str) -> Global:
        if name in INERT_NAMES:
            self.inert = self.inert or name
        elif name not in _CALLS and not DTYPE_WORD.fullmatch(name):
            raise _ForbiddenError(f"asks for {name[:100]!r}")
        return Global(name)

    def _call(self, function: Any, arguments: Any, new: bool) -> Any:
        if not isinstance(function, Global) or not isinstance(arguments, tuple):
            raise _ForbiddenError("calls what is no function of torch's")
        if function.name in INERT_NAMES:
            return InertObject(function.name, arguments)
        if new or function.name not in _CALLS:
            raise _ForbiddenError("calls what is no function of torch's")
        # An honest pickle spends at least a byte on each item that it hands over; others hand over the same again and again.
        self._items_left -= sum(
            len(argument) for argument in arguments if isinstance(argument, (list, tuple))
        )
        if self._items_left < 0:
            raise ValueError("it hands over more items than it holds")
        return _CALLS[function.name](*arguments)


def read_pickle(stream: BinaryIO, path: Path) -> Pickled:
    """Read one pickle of the file ``path`` as data; the stream ends up just behind it.

    The stream has to end within ``MAX_PICKLE_BYTES``.

    Raises:
        UnsafePickleError: for a global or an instruction that has no place in a checkpoint.
        Exception: of many kinds, for a damaged pickle (see ``damage_reported``).
    """
    try:
        return _Machine().run(stream)
    except _ForbiddenError as error:
        raise UnsafePickleError(path, str(error)) from None
