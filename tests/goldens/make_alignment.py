"""Make ``alignment.npz``: paths of torchaudio's ``forced_align`` in float64.

Run where torchaudio can be imported; its wheels on PyPI want the CUDA build of torch::

    python -m venv torchaudio-env
    torchaudio-env/bin/python -m pip install torch==2.11.* torchaudio==2.11.0 numpy
    torchaudio-env/bin/python tests/goldens/make_alignment.py

The cases: random texts, many of them with doubled labels, in random logits; half of the logits are small whole numbers, so that
ways tie; some texts fill all their frames. A few cases are as long as sentences are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torchaudio

SHORT, LONG = 300, 6


def case(rng: np.random.Generator, long: bool, whole: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Logits, the labels of a text that fits them, and the blank."""
    vocab = int(rng.integers(2, 33 if long else 6))
    count = int(rng.integers(40, 120) if long else rng.integers(1, 12))
    blank = int(rng.integers(vocab))
    labels = rng.choice([label for label in range(vocab) if label != blank], count)
    needed = count + int((labels[1:] == labels[:-1]).sum())
    frames = needed + int(rng.integers(300) if long else rng.integers(12) * rng.integers(2))
    drawn = 2 * rng.standard_normal((frames, vocab))
    return (drawn.round() if whole else drawn).astype("float16"), labels, blank


def main() -> None:
    rng = np.random.default_rng(0)
    cases, paths = [], []
    for index in range(SHORT + LONG):
        logits, labels, blank = case(rng, index >= SHORT, index % 2 == 0)
        # Not normalised: that changes no path, and its rounding would break the ties.
        scores = torch.tensor(logits.astype("float64"))[None]
        path, _ = torchaudio.functional.forced_align(scores, torch.tensor(labels)[None], blank=blank)
        cases.append((logits, labels, blank))
        paths.append(path[0].numpy())
    np.savez_compressed(
        Path(__file__).with_name("alignment.npz"),
        # Of each case: frames, labels of the model, labels of the text, blank. The arrays follow one another in the others.
        sizes=np.array([[*logits.shape, len(labels), blank] for logits, labels, blank in cases]),
        logits=np.concatenate([logits.reshape(-1) for logits, _, _ in cases]),
        labels=np.concatenate([labels for _, labels, _ in cases]).astype("int8"),
        paths=np.concatenate(paths).astype("int8"),
    )


if __name__ == "__main__":
    main()
