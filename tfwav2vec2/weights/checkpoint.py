"""What every checkpoint file is to this package: tensors by name, whose shapes are known and which are read one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

Shape = tuple[int, ...]


class CheckpointError(OSError):
    """A checkpoint file that cannot be read: the message names the file and what to do."""


class Checkpoint(ABC):
    """An open checkpoint; a context manager that closes it.

    Only one tensor at a time is held in memory, so that opening a model costs little more than the model.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shapes: dict[str, Shape] = {}

    @abstractmethod
    def read(self, key: str) -> np.ndarray:
        """The tensor with this torch key, in the file's own dtype and torch's own layout.

        Raises:
            CheckpointError: where the file is damaged or holds the tensor in a dtype that is not supported.
        """

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
