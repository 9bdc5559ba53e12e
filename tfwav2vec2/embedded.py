"""Where the models that come with the package lie."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

DIGITS = "spoken-digits"
"""The embedded model that transcribes strings of English digits."""


def embedded_model(name: str = DIGITS) -> Path:
    """The folder of an embedded model: inside the installed package, or in ``saved_models/`` of a checkout.

    Raises:
        FileNotFoundError: where the installation lacks the model.
    """
    for folder in (_PACKAGE / "saved_models" / name, _PACKAGE.parent / "saved_models" / name):
        if (folder / "config.json").is_file():
            return folder
    raise FileNotFoundError(
        f"This installation lacks the embedded model {name!r}: install tfwav2vec2 again, or name another model, "
        "such as 'facebook/wav2vec2-base-960h'"
    )
