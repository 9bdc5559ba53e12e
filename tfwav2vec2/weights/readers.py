"""Open a checkpoint of any kind, by what the file holds rather than by what it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError
from tfwav2vec2.weights.files import read_json
from tfwav2vec2.weights.safetensors_reader import SafetensorsCheckpoint
from tfwav2vec2.weights.torch_reader import LEGACY_MAGIC, ZIP_MAGIC, TorchCheckpoint

__all__ = ["Checkpoint", "CheckpointError", "open_checkpoint"]

_LFS_POINTER = b"version https://git-lfs"
_PICKLE_MAGIC = b"\x80"


def open_checkpoint(path: str | Path, find_shard: Callable[[str], Path] | None = None) -> Checkpoint:
    """Open a checkpoint: safetensors, torch's ``.bin`` or ``.pt``, or the ``.index.json`` of one in several files.

    Args:
        path: the file.
        find_shard: gives the path of a file that the index names; beside the index by default.

    Raises:
        CheckpointError: where the file is empty, truncated, damaged, hostile, or no checkpoint at all.
        OSError: where the file cannot be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}; check the path, and that all files of the model are there"
        )
    if path.suffix == ".json":
        return ShardedCheckpoint(path, find_shard or path.with_name)
    with path.open("rb") as file:
        start = file.read(len(_LFS_POINTER))
    if not start:
        raise CheckpointError(f"{path} is empty; download or save it again")
    if start == _LFS_POINTER:
        raise CheckpointError(
            f"{path} is a pointer of Git LFS, not the weights; run `git lfs pull` in its folder"
        )
    if path.suffix != ".safetensors" and start.startswith((ZIP_MAGIC, LEGACY_MAGIC, _PICKLE_MAGIC)):
        return TorchCheckpoint(path)
    return SafetensorsCheckpoint(path)


class ShardedCheckpoint(Checkpoint):
    """A checkpoint in several files, with an index that says which tensor lies in which."""

    def __init__(self, path: Path, find_shard: Callable[[str], Path]) -> None:
        super().__init__(path)
        self._shards: dict[str, Checkpoint] = {}
        self._homes = self._read_index()
        try:
            for name in sorted(set(self._homes.values())):
                self._shards[name] = open_checkpoint(find_shard(name))
            self._check()
        except BaseException:
            self.close()
            raise
        self.shapes = {key: self._shards[home].shapes[key] for key, home in self._homes.items()}

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key, from the file that holds it."""
        return self._shards[self._homes[key]].read(key)

    def dtype(self, key: str) -> np.dtype:
        """The dtype of the tensor with this key."""
        return self._shards[self._homes[key]].dtype(key)

    def close(self) -> None:
        """Close every file."""
        for shard in self._shards.values():
            shard.close()

    def _read_index(self) -> dict[str, str]:
        homes = read_json(self.path).get("weight_map")
        if not isinstance(homes, dict) or not homes or not all(map(_is_plain_name, homes.values())):
            raise CheckpointError(
                f"{self.path} is not the index of a checkpoint: its weight_map has to name, for each tensor, a file in "
                "the same folder; download or save it again"
            )
        return homes

    def _check(self) -> None:
        held = {(key, name) for name, shard in self._shards.items() for key in shard.shapes}
        differing = sorted(key for key, _ in held.symmetric_difference(self._homes.items()))
        if differing:
            raise CheckpointError(
                f"{self.path} and its files disagree about where {', '.join(differing[:10])} and perhaps more are; "
                "download or save all of them again"
            )


def _is_plain_name(name: object) -> bool:
    """Whether a name from an index stays in the index's folder and is not an index again."""
    if not isinstance(name, str) or name.endswith(".json") or name in ("", ".", ".."):
        return False
    return PurePosixPath(name).name == name and PureWindowsPath(name).name == name
