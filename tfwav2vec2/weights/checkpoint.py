"""What every checkpoint file is to this package: tensors by name, whose shapes are known and which are read one by one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

Shape = tuple[int, ...]


class CheckpointError(OSError):
    """A checkpoint file that cannot be read: the message names the file and what to do."""


@dataclass(frozen=True)
class LazyTensor:
    """A tensor that is not in memory: its shape and dtype, and a function that gives its numbers when they are needed."""

    shape: Shape
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """How much room its numbers take."""
        return self.elements * self.dtype.itemsize


class Checkpoint(ABC):
    """An open checkpoint; a context manager that closes it.

    Only one tensor at a time is held in memory, so that opening a model costs little more than the model.

    Attributes:
        path: the file.
        shapes: the shape of each tensor in torch's layout, by torch key.
        config_fields: the configuration that the file itself describes, as the fields of ``Wav2Vec2Config``; None
            where it describes none.
        vocabulary: the id of each symbol, where the file brings its dictionary; None where it does not.
    """

    config_fields: dict[str, Any] | None = None
    vocabulary: dict[str, int] | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shapes: dict[str, Shape] = {}

    @abstractmethod
    def read(self, key: str) -> np.ndarray:
        """The tensor with this torch key, in the file's own dtype and torch's own layout.

        Raises:
            CheckpointError: where the file is damaged or holds the tensor in a dtype that is not supported.
        """

    def dtype(self, key: str) -> np.dtype:
        """The dtype that :meth:`read` gives the tensor. Readers that know it beforehand need not read the tensor."""
        return self.read(key).dtype

    def tensor(self, key: str) -> LazyTensor:
        """The tensor with this key, to be read later."""
        return LazyTensor(self.shapes[key], self.dtype(key), partial(self.read, key))

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


@contextmanager
def damage_reported(path: Path) -> Iterator[None]:
    """Turn whatever a parser stumbles over inside a damaged or hostile file into one error that names the file."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # parsers of untrusted bytes fail in ways that no list can name
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CheckpointError(
            f"{path} is damaged or is not a checkpoint ({reason[:200]}); download or save it again"
        ) from error
