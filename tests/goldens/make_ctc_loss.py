"""Make ``ctc_loss.npz``: losses and gradients of torch's CTC in float64, called as the reference's head calls it.

Run where torch is installed::

    python tests/goldens/make_ctc_loss.py

The rows: a plain target, repeats with padding between the labels, a short clip, one frame too few, an empty target, a
target with blanks (not as its last label: there torch's gradient of the last frame is not the derivative of its loss), a
clip of no frames, and a target as long as its clip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

BLANK = 3
FRAMES = [18, 18, 11, 7, 18, 18, 0, 6]
LABELS = [
    [1, 2, 4, 5, 1, 0],
    [2, 2, -100, 2, -1, 4],
    [0, 5, 0, 5, -100, -100],
    [1, 1, 2, 2, 2, -100],
    [-100, -100, -100, -100, -100, -100],
    [3, 3, 1, 3, 3, 2],
    [1, -100, -100, -100, -100, -100],
    [0, 1, 2, 4, 5, 0],
]


def main() -> None:
    rng = np.random.default_rng(0)
    logits = (3.0 * rng.standard_normal((len(FRAMES), max(FRAMES), 6))).astype("float32")
    arrays = {"logits": logits, "labels": np.array(LABELS), "logit_lengths": np.array(FRAMES), "blank": BLANK}
    labels = torch.tensor(LABELS)
    counted = labels >= 0
    for zero_infinity in (False, True):
        for reduction in ("none", "sum", "mean"):
            inputs = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
            loss = functional.ctc_loss(
                functional.log_softmax(inputs, dim=-1).transpose(0, 1),
                labels.masked_select(counted),
                torch.tensor(FRAMES),
                counted.sum(-1),
                blank=BLANK,
                reduction=reduction,
                zero_infinity=zero_infinity,
            )
            loss.sum().backward()
            name = f"{reduction}_{'zero' if zero_infinity else 'infinite'}"
            arrays[f"loss_{name}"] = loss.detach().numpy()
            if zero_infinity:  # else torch's is NaN for the impossible targets
                arrays[f"gradient_{reduction}"] = inputs.grad.numpy().astype("float32")
    np.savez_compressed(Path(__file__).with_name("ctc_loss.npz"), **arrays)


if __name__ == "__main__":
    main()
