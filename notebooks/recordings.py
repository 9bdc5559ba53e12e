"""Where the notebooks' recordings are; none of them is part of the repository."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "TFWAV2VEC2_DATA"
_BESIDE_THE_REPOSITORY = Path(__file__).resolve().parents[2] / "shared" / "data"


def recordings() -> Path:
    """The folder of recordings: what the environment variable names, or else ``../shared/data`` beside the repository.

    Raises:
        FileNotFoundError: where it holds no manifest.
    """
    folder = Path(os.environ.get(VARIABLE) or _BESIDE_THE_REPOSITORY)
    if not (folder / "manifest.tsv").is_file():
        raise FileNotFoundError(
            f"{folder} holds no manifest.tsv; set {VARIABLE} to the folder of recordings that the notebooks train on"
        )
    return folder
