"""Checkpoints of other libraries under torch keys of this package's: the same tensors by other names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError

# A pattern of the whole foreign name, and the name here, with what the groups matched at \1, \2, ...
NameRule = tuple[str, str]


def rename(key: str, rules: Iterable[NameRule]) -> str | None:
    """The key under which a tensor goes here; None where no rule knows its foreign name."""
    for pattern, name in rules:
        found = re.fullmatch(pattern, key, re.ASCII)
        if found is not None:
            return found.expand(name)
    return None


class RenamedCheckpoint(Checkpoint):
    """An open checkpoint seen under other names; closing it closes the file.

    Args:
        source: the open checkpoint.
        names: its key for each key here.
        config_fields: what the file says of its architecture.
    """

    def __init__(
        self,
        source: Checkpoint,
        names: dict[str, str],
        config_fields: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(source.path)
        self._source = source
        self._names = names
        self.shapes = {key: source.shapes[name] for key, name in names.items()}
        self.config_fields = config_fields

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key."""
        return self._source.read(self._names[key])

    def dtype(self, key: str) -> np.dtype:
        """The dtype of the tensor with this key."""
        return self._source.dtype(self._names[key])

    def close(self) -> None:
        """Close the file."""
        self._source.close()


def renamed_keys(source: Checkpoint, rules: Iterable[NameRule], kind: str) -> dict[str, str]:
    """The foreign name of each key here.

    Raises:
        CheckpointError: for a tensor that no rule knows, or two that would get one name.
    """
    rules = tuple(rules)
    names: dict[str, str] = {}
    for foreign in source.shapes:
        key = rename(foreign, rules)
        if key is None or key in names:
            raise CheckpointError(
                f"{source.path} is no wav2vec 2.0 model of {kind}: its tensor {foreign[:100]!r} has no counterpart here; "
                "check that it is neither another architecture nor a part of one"
            )
        names[key] = foreign
    return names
