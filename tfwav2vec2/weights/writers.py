"""Write a checkpoint in the hub's layout: one safetensors file, or several with an index."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

from tfwav2vec2.weights.checkpoint import CheckpointError, LazyTensor
from tfwav2vec2.weights.files import write_atomically, write_json
from tfwav2vec2.weights.formats.safetensors_writer import write_safetensors

SAFE_NAME = "model.safetensors"
SAFE_INDEX_NAME = "model.safetensors.index.json"

_STALE = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse_size(size: int | str) -> int:
    """Bytes, from a number or from text such as ``"5GB"`` or ``"500MiB"``.

    Raises:
        ValueError: for anything else.
    """
    found = re.fullmatch(r"(\d+)\s*([KMG]I?B)?", str(size).strip().upper())
    if found is None or not int(found[1]):
        raise ValueError(
            f"max_shard_size is {size!r}; give a number of bytes or text such as '5GB' or '500MiB'"
        )
    return int(found[1]) * _UNITS[found[2] or ""]


def write_checkpoint(
    folder: Path,
    tensors: Mapping[str, LazyTensor],
    max_shard_size: int | str,
    others: Mapping[str, str],
) -> None:
    """Write tensors, and ``others`` (name and text of small files) beside them, all or nothing.

    Everything is written under temporary names first and renamed once all is there; then the files of a checkpoint
    that lay here before and are not part of this one are removed.

    Args:
        folder: an existing folder.
        tensors: by torch key; only one is held in memory at a time.
        max_shard_size: what one file may hold; a larger tensor gets a file of its own.
        others: name and content of text files to write beside them.

    Raises:
        OSError: where the folder cannot be written to; what it held is untouched.
    """
    sizes = {key: tensor.bytes for key, tensor in tensors.items()}
    shards = list(_shards(sizes, parse_size(max_shard_size)))
    names = (
        [SAFE_NAME] if len(shards) == 1 else [_shard_name(index, len(shards)) for index in range(len(shards))]
    )
    with ExitStack() as renames:
        for name, text in others.items():
            renames.enter_context(write_atomically(folder / name)).write_text(text, encoding="utf-8")
        if len(shards) > 1:
            index = {
                "metadata": {"total_size": sum(sizes.values())},
                "weight_map": {key: name for name, keys in zip(names, shards, strict=True) for key in keys},
            }
            write_json(
                renames.enter_context(write_atomically(folder / SAFE_INDEX_NAME)), index, sort_keys=True
            )
        for name, keys in zip(names, shards, strict=True):
            _save(renames.enter_context(write_atomically(folder / name)), {key: tensors[key] for key in keys})
    written = {*names, *([SAFE_INDEX_NAME] if len(shards) > 1 else [])}
    for path in folder.iterdir():
        if _STALE.fullmatch(path.name) and path.name not in written:
            path.unlink()


def _save(path: Path, tensors: Mapping[str, LazyTensor]) -> None:
    try:
        write_safetensors(path, tensors)
    except CheckpointError:
        raise  # it is the file that the tensors are read from
    except OSError as error:
        raise OSError(
            f"Writing the weights to {path.parent} failed ({error}); what it held is untouched"
        ) from error


def _shards(sizes: Mapping[str, int], limit: int) -> Iterator[list[str]]:
    keys: list[str] = []
    used = 0
    for key, size in sizes.items():
        if keys and used + size > limit:
            yield keys
            keys, used = [], 0
        keys.append(key)
        used += size
    yield keys


def _shard_name(index: int, count: int) -> str:
    return f"model-{index + 1:05d}-of-{count:05d}.safetensors"
