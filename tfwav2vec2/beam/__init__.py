"""Thousands of hours of recordings on Apache Beam: a transform for pipelines, and what ``tfwav2vec2 batch`` runs.

It needs the packages of the extra ``beam``, and imports them only when one of the names below is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Transcribe", "TranscriptionModelHandler"]

_HOMES = {"Transcribe": "transform", "TranscriptionModelHandler": "model_handler"}


def require_packages() -> None:
    """Make sure that Apache Beam is installed.

    Raises:
        ImportError: where it is not.
    """
    try:
        import apache_beam  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"Large batches need the package {error.name}, which is not installed: pip install 'tfwav2vec2[beam]'"
        ) from error


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_packages()
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
