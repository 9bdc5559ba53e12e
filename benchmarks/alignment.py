"""Forced alignment: time and memory from a sentence to an hour, and torchaudio's where it can be imported, in one run.

Run::

    python -m benchmarks.alignment            # add --hour for an hour of speech, some minutes of computing

torchaudio's wheels on PyPI want the CUDA build of torch: ``python -m pip install torch==2.11.* torchaudio==2.11.0``. Both start
from the same logits in float32, and the paths are compared. torchaudio keeps a byte for each frame and state.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks import _timing

# Frames of 20 ms, and letters at fourteen a second, as people read aloud.
LETTERS_A_FRAME = 14 / 50
LENGTHS = {"10 s": 500, "1 minute": 3_000, "10 minutes": 30_000}
HOUR = {"1 hour": 180_000}
LABELS = 32


def case(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits of a model that hears the text well, and the text's labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(1, LABELS, round(frames * LETTERS_A_FRAME))
    logits = rng.standard_normal((frames, LABELS)).astype("float32")
    logits[:, 0] += 6
    places = np.sort(rng.choice(frames // 2, len(labels), replace=False)) * 2
    logits[places, labels] += 12
    return logits, labels


def of_package(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    from tfwav2vec2.language.alignment import forced_align

    return forced_align(logits, labels).path


def of_torchaudio() -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    try:
        import torch
        from torchaudio.functional import forced_align
    except (ImportError, OSError):
        return None
    return lambda logits, labels: forced_align(torch.tensor(logits)[None], torch.tensor(labels)[None])[0][
        0
    ].numpy()


def main() -> None:
    parser = _timing.parser(__doc__, rounds=3)
    parser.add_argument("--hour", action="store_true", help="an hour of speech besides")
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    theirs = of_torchaudio()
    if theirs is None:
        print("torchaudio cannot be imported here: this package alone")
    for name, frames in (LENGTHS | (HOUR if options.hour else {})).items():
        logits, labels = case(frames)
        subjects: dict[str, Callable[[], Any]] = {"tfwav2vec2": partial(of_package, logits, labels)}
        # A byte for each frame and state: 18 GB for an hour.
        if theirs is not None and frames * len(labels) < 2**31:
            subjects["torchaudio"] = partial(theirs, logits, labels)
        paths = {subject: run() for subject, run in subjects.items()}
        times = _timing.interleave(
            {subject: lambda run=run: _timing.seconds(run) for subject, run in subjects.items()},
            1 if frames in HOUR.values() else options.rounds,
        )
        tracemalloc.start()
        of_package(logits, labels)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        line = f"{name:>10}, {len(labels):,} letters: "
        line += ", ".join(f"{subject} {np.median(values):.3f} s" for subject, values in times.items())
        if len(paths) > 1:
            line += f" (ratio {np.median(times['tfwav2vec2']) / np.median(times['torchaudio']):.2f}"
            line += f", {(paths['tfwav2vec2'] != paths['torchaudio']).sum()} frames differ)"
        print(f"{line}; peak {peak:.0f} MB over logits of {logits.nbytes / 2**20:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
