"""Make small files with ``torch.save``, in both of its formats, for the reader that does without torch.

Run where torch is installed::

    python tests/goldens/make_torch_files.py

``zip.bin`` and ``legacy.bin`` hold the same state dict; ``expected.npz`` holds what torch says is in it, bfloat16
widened to float32 (numpy's own files have no such dtype).
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).parent / "torch_files"


def state_dict() -> OrderedDict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(3, 4, generator=generator)
    state = OrderedDict(
        matrix=matrix,
        transposed=torch.randn(5, 2, generator=generator).T,
        row=matrix[1],
        column=matrix[:, 2],
        tail=torch.randn(10, generator=generator)[6:],
        scalar=torch.tensor(3.5),
        empty=torch.zeros(0, 4),
        parameter=torch.nn.Parameter(torch.randn(2, 3, 4, generator=generator)),
        frozen=torch.nn.Parameter(torch.randn(2, generator=generator), requires_grad=False),
        unsigned=torch.tensor([0, 1, 65535], dtype=torch.uint16),
        flags=torch.tensor([True, False, True]),
    )
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        state[str(dtype)] = torch.randn(4, generator=generator).to(dtype)
    for dtype in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
        state[str(dtype)] = torch.arange(5).to(dtype)
    # What ``module.state_dict()`` carries along; readers have to step over it.
    state._metadata = OrderedDict({"": {"version": 1}})  # type: ignore[attr-defined]  # torch does just that
    return state


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    state = state_dict()
    torch.save(state, FOLDER / "zip.bin")
    # The old format has no word for a 16-bit unsigned storage.
    old = OrderedDict((key, tensor) for key, tensor in state.items() if key != "unsigned")
    torch.save(old, FOLDER / "legacy.bin", _use_new_zipfile_serialization=False)
    widened = {
        key: tensor.float() if tensor.dtype is torch.bfloat16 else tensor for key, tensor in state.items()
    }
    np.savez(FOLDER / "expected.npz", **{key: tensor.detach().numpy() for key, tensor in widened.items()})


if __name__ == "__main__":
    main()
