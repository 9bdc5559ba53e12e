"""Open a checkpoint of any kind, by what the file holds rather than by what it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np

from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError
from tfwav2vec2.weights.files import read_json
from tfwav2vec2.weights.formats import flax_reader, h5_reader
from tfwav2vec2.weights.formats.fairseq_reader import fairseq_view
from tfwav2vec2.weights.formats.flax_reader import FlaxCheckpoint
from tfwav2vec2.weights.formats.h5_reader import H5Checkpoint
from tfwav2vec2.weights.formats.keras_archive import WEIGHTS_SUFFIX, is_keras
from tfwav2vec2.weights.formats.safetensors_reader import SafetensorsCheckpoint
from tfwav2vec2.weights.formats.stored_zip import ZIP_MAGIC
from tfwav2vec2.weights.formats.torch_reader import LEGACY_MAGIC, TorchCheckpoint
from tfwav2vec2.weights.formats.torchaudio_reader import torchaudio_view

if TYPE_CHECKING:
    from tfwav2vec2.config import Wav2Vec2Config

__all__ = ["Checkpoint", "CheckpointError", "open_checkpoint"]

_LFS_POINTER = b"version https://git-lfs"
_PICKLE_MAGIC = b"\x80"

# How an index of several files of another framework names what lies in them.
_KEYS_OF_INDEX: dict[type[Checkpoint], Callable[[str], str]] = {
    H5Checkpoint: h5_reader.torch_key,
    FlaxCheckpoint: flax_reader.torch_key,
}


def open_checkpoint(
    path: str | Path,
    find_shard: Callable[[str], Path] | None = None,
    config: Wav2Vec2Config | None = None,
) -> Checkpoint:
    """Open a checkpoint.

    These kinds are read: safetensors; torch's ``.bin`` and ``.pt``, those of fairseq and torchaudio among them;
    ``tf_model.h5``; ``flax_model.msgpack``; the ``.index.json`` of one in several files; Keras 3's ``.keras`` and
    ``.weights.h5``.

    Args:
        path: the file.
        find_shard: gives the path of a file that the index names; beside the index by default.
        config: the model's configuration, which only a ``.weights.h5`` file cannot be read without.

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
    if path.suffix != ".safetensors":
        if h5_reader.is_h5(start):
            return _open_h5(path, config)
        if start.startswith((ZIP_MAGIC, LEGACY_MAGIC, _PICKLE_MAGIC)):
            return _open_torch_or_keras(path)
        if flax_reader.is_flax(start):
            return FlaxCheckpoint(path)
    return SafetensorsCheckpoint(path)


def _open_h5(path: Path, config: Wav2Vec2Config | None) -> Checkpoint:
    if not path.name.endswith(WEIGHTS_SUFFIX):
        return H5Checkpoint(path)
    from tfwav2vec2.weights.formats.keras_reader import (
        open_weights,  # only here is Keras needed to read a file
    )

    return open_weights(path, config)


def _open_torch_or_keras(path: Path) -> Checkpoint:
    if is_keras(path):
        from tfwav2vec2.weights.formats.keras_reader import open_keras

        return open_keras(path)
    checkpoint = TorchCheckpoint(path)
    try:
        return fairseq_view(checkpoint) or torchaudio_view(checkpoint) or checkpoint
    except BaseException:
        checkpoint.close()
        raise


class ShardedCheckpoint(Checkpoint):
    """A checkpoint in several files, with an index that says which tensor lies in which."""

    def __init__(self, path: Path, find_shard: Callable[[str], Path]) -> None:
        super().__init__(path)
        self._shards: dict[str, Checkpoint] = {}
        self._homes = self._read_index()
        try:
            for name in sorted(set(self._homes.values())):
                self._shards[name] = open_checkpoint(find_shard(name))
            self._homes = {self._key(name, home): home for name, home in self._homes.items()}
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

    def _key(self, name: str, home: str) -> str:
        to_key = _KEYS_OF_INDEX.get(type(self._shards[home]), str)
        return to_key(name)

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
