"""Checkpoints in the safetensors format, the hub's own."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes  # noqa: F401  # makes bfloat16 a dtype that numpy knows
import numpy as np
from safetensors import safe_open

from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError, damage_reported

_DTYPES = frozenset(
    ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL")
)


class SafetensorsCheckpoint(Checkpoint):
    """A ``.safetensors`` file. The library checks every claim of its header against the file's size."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with damage_reported(path):
            # Mapped pages would count as memory beside the tensors made from them; pread leaves nothing behind.
            self._file = safe_open(path, framework="np", backend="pread")
            slices = {key: self._file.get_slice(key) for key in self._file.keys()}  # noqa: SIM118  # not a dict
            self._dtypes = {key: part.get_dtype() for key, part in slices.items()}
            self.shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key."""
        if self._dtypes[key] not in _DTYPES:
            raise CheckpointError(
                f"{self.path} holds {key} as {self._dtypes[key]}; save the model in float32, float16 or bfloat16"
            )
        with damage_reported(self.path):
            return self._file.get_tensor(key)

    def close(self) -> None:
        """Close the file."""
        self._file.__exit__(None, None, None)
