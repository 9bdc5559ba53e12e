"""What callbacks have counted, so that a training that goes on finds its callbacks as it left them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

_PLAIN = (bool, int, float, str, type(None))


class CallbackCounts:
    """The attributes of callbacks that have changed since the callbacks were made: best values, waits, best weights.

    What a callback was made with is its own and not kept: a training may go on with another patience. (Keras's also turn
    the sign of their ``min_delta`` as they see the first value.)

    Args:
        callbacks: in an order that stays the same when the training is started again.
    """

    def __init__(self, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        self._callbacks = tuple(callbacks)
        self._made_with = [_plain_attributes(callback) for callback in self._callbacks]

    def collect(self) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """The plain values of each callback, and the arrays of all by name."""
        values, arrays = [], {}
        for index, (callback, before) in enumerate(zip(self._callbacks, self._made_with, strict=True)):
            now = _plain_attributes(callback)
            changed = {
                name: value for name, value in now.items() if name not in before or before[name] != value
            }
            values.append({"class": type(callback).__name__, "changed": changed})
            for name, value in vars(callback).items():
                if _is_list_of_arrays(value):
                    arrays |= {
                        f"callbacks/{index}/{name}/{place:05d}": array for place, array in enumerate(value)
                    }
        return values, arrays

    def restore(self, values: Sequence[dict[str, Any]], arrays: dict[str, np.ndarray]) -> None:
        """Set what :meth:`collect` found. Callbacks that are new, or of another class than before, begin anew."""
        for index, (callback, saved) in enumerate(zip(self._callbacks, values, strict=False)):
            if saved["class"] != type(callback).__name__:
                continue
            for name, value in saved["changed"].items():
                setattr(callback, name, value)
            lists: dict[str, list[np.ndarray]] = {}
            for key in sorted(arrays):
                if key.startswith(f"callbacks/{index}/"):
                    lists.setdefault(key.split("/")[2], []).append(arrays[key])
            for name, value in lists.items():
                setattr(callback, name, value)


def _plain_attributes(callback: keras.callbacks.Callback) -> dict[str, Any]:
    made_with = {
        name for kind in type(callback).__mro__ for name in inspect.signature(kind.__init__).parameters
    }
    attributes = {name: _plain(value) for name, value in vars(callback).items() if name not in made_with}
    return {name: value for name, value in attributes.items() if isinstance(value, _PLAIN)}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _is_list_of_arrays(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, np.ndarray) for item in value)
