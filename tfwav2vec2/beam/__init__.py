"""Thousands of hours of recordings on Apache Beam: a transform for pipelines, and what ``tfwav2vec2 batch`` runs.

It needs the packages of the extra ``beam``, and imports them only when one of the names below is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from tfwav2vec2.extras import require_extra

__all__ = ["Transcribe", "TranscriptionModelHandler"]

_HOMES = {"Transcribe": "transform", "TranscriptionModelHandler": "model_handler"}


def require_packages() -> None:
    """Make sure that Apache Beam is installed.

    Raises:
        ImportError: where it is not.
    """
    require_extra("beam", "Large batches need", ("apache_beam",))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_packages()
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
