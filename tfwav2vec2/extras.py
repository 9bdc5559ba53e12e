"""Packages that only some of the package needs, by the name of the extra that brings them."""

from __future__ import annotations

import importlib


def require_extra(extra: str, purpose: str, packages: tuple[str, ...]) -> None:
    """Make sure that the packages of an extra are installed.

    Args:
        extra: its name in ``pip install 'tfwav2vec2[extra]'``.
        purpose: what needs them, as the message begins.
        packages: what is imported.

    Raises:
        ImportError: where one is not installed.
    """
    try:
        for package in packages:
            importlib.import_module(package)
    except ImportError as error:
        raise ImportError(
            f"{purpose} the package {error.name}, which is not installed: pip install 'tfwav2vec2[{extra}]'"
        ) from error
