"""Checkpoints in the safetensors format, the hub's own."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors import safe_open

from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError, damage_reported

# The format's words for dtypes. Those that are younger (8 bits and fewer for a float) no wav2vec 2.0 model has.
DTYPES: dict[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}


class SafetensorsCheckpoint(Checkpoint):
    """A ``.safetensors`` file. The library checks every claim of its header against the file's size.

    Attributes:
        metadata: the text that stands in the header.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with damage_reported(path):
            # Mapped pages would count as memory beside the tensors made from them; pread leaves nothing behind.
            self._file = safe_open(path, framework="np", backend="pread")
            slices = {key: self._file.get_slice(key) for key in self._file.keys()}  # noqa: SIM118  # not a dict
            self._dtypes = {key: part.get_dtype() for key, part in slices.items()}
            self.shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            self.metadata: dict[str, str] = self._file.metadata() or {}

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key."""
        self.dtype(key)
        with damage_reported(self.path):
            return self._file.get_tensor(key)

    def dtype(self, key: str) -> np.dtype:
        """The dtype of the tensor with this key."""
        if self._dtypes[key] not in DTYPES:
            raise CheckpointError(
                f"{self.path} holds {key} as {self._dtypes[key]}; save the model in float32, float16 or bfloat16"
            )
        return DTYPES[self._dtypes[key]]

    def close(self) -> None:
        """Close the file."""
        self._file.__exit__(None, None, None)
