"""Write safetensors files tensor by tensor, so that a model of any size is saved with one tensor in memory.

The format (https://github.com/huggingface/safetensors, "Format"): eight bytes with the length of a JSON header, the
header, which names every tensor with its dtype, shape and place, and then the numbers, little-endian and without gaps.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfwav2vec2.weights.checkpoint import LazyTensor
from tfwav2vec2.weights.files import write_atomically
from tfwav2vec2.weights.formats.safetensors_reader import DTYPES

# The header is padded with spaces so that the numbers begin at a multiple of this many bytes.
_ALIGNMENT = 8
# What readers of the hub look at to tell torch's tensor layout from others.
_METADATA = {"format": "pt"}
_WORDS = {dtype: word for word, dtype in DTYPES.items()}


def write_safetensors(
    path: str | Path, tensors: Mapping[str, LazyTensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors by name into one file; a file that is there already is replaced only once all is written.

    Each tensor is asked for once, when its turn comes, and let go before the next. ``metadata`` is text that stands in
    the header; by default the hub's word for torch's layout.

    Raises:
        OSError: where the file cannot be written.
        ValueError: where a tensor turns out to have another shape or dtype than was said, or a dtype that the format lacks.
    """
    # Wide dtypes first, so that every tensor begins at a multiple of its item's size: readers map the file as it is.
    ordered = dict(sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0])))
    with write_atomically(path) as temporary, temporary.open("wb") as file:
        file.write(_header(ordered, metadata or _METADATA))
        for name, tensor in ordered.items():
            array = tensor.read()
            if array.shape != tensor.shape or array.dtype != tensor.dtype:
                raise ValueError(
                    f"{name} is {array.dtype} {array.shape}, where {tensor.dtype} {tensor.shape} was announced; "
                    "check that the file it comes from is not being written to"
                )
            # As bytes: numpy cannot hand out the memory of bfloat16, which it does not know.
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _header(tensors: Mapping[str, LazyTensor], metadata: Mapping[str, str]) -> bytes:
    entries: dict[str, object] = {"__metadata__": dict(metadata)}
    start = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in _WORDS:
            raise ValueError(
                f"{name} has the dtype {tensor.dtype}, which safetensors files cannot hold; convert it to float32"
            )
        end = start + tensor.bytes
        entries[name] = {
            "dtype": _WORDS[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text
