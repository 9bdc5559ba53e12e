"""Checkpoints of other frameworks: names and layouts translated by a table, numbers read from where they lie."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from tfwav2vec2.weights.checkpoint import Checkpoint, Shape, damage_reported

WEIGHT_NORM_SIZE = "parametrizations.weight.original0"
WEIGHT_NORM_DIRECTION = "parametrizations.weight.original1"

# The names of the layers that lead to a tensor, and its own.
Names = tuple[str, ...]


@dataclass(frozen=True)
class Word:
    """Torch's word for another framework's, and whether that framework has the tensor's axes in reverse order."""

    torch: str
    reversed: bool = False


Table = Mapping[str, Word]


def translate(names: Sequence[str], table: Table) -> tuple[str, bool]:
    """The torch key of a tensor, and whether its axes have to be turned round.

    Layers bear the same names in every port of the reference; only the last word, the tensor's own, is another. A word
    that is not in the table stays: whoever fills a model from the file then says that it was not expected.
    """
    *layers, word = names
    known = table.get(word, Word(word))
    return ".".join((*layers, known.torch)), known.reversed


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, its numbers in C order: ``sizes`` bytes at each of the places ``starts``."""

    dtype: np.dtype
    shape: Shape
    starts: tuple[int, ...]
    sizes: tuple[int, ...]


class ForeignCheckpoint(Checkpoint):
    """A file in which the numbers of every tensor lie as they are, in few pieces."""

    table: ClassVar[Table]

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._file = path.open("rb")
        self._tensors: dict[str, tuple[StoredArray, bool]] = {}
        try:
            with damage_reported(path):
                for names, array in self._scan():
                    key, turned = translate(names, self.table)
                    if key in self._tensors:
                        raise ValueError(f"it holds {key[:100]!r} twice")
                    self._tensors[key] = (array, turned)
                if sum(sum(array.sizes) for array, _ in self._tensors.values()) > path.stat().st_size:
                    raise ValueError("its tensors lie over one another")
        except BaseException:
            self._file.close()
            raise
        self.shapes = {
            key: array.shape[::-1] if turned else array.shape
            for key, (array, turned) in self._tensors.items()
        }

    @abstractmethod
    def _scan(self) -> Iterator[tuple[Names, StoredArray]]:
        """Every array of the open file, checked to lie inside it."""

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key."""
        array, turned = self._tensors[key]
        with damage_reported(self.path):
            content = np.empty(sum(array.sizes), np.uint8)
            filled = 0
            for start, size in zip(array.starts, array.sizes, strict=True):
                self._file.seek(start)
                if self._file.readinto(content[filled : filled + size].data) != size:
                    raise ValueError("the file ends inside a tensor")
                filled += size
            tensor = content.view(array.dtype).reshape(array.shape)
        return np.asarray(tensor.T if turned else tensor, order="C")

    def dtype(self, key: str) -> np.dtype:
        """The dtype of the tensor with this key."""
        return self._tensors[key][0].dtype

    def close(self) -> None:
        """Close the file."""
        self._file.close()
