"""A small server: TensorFlow Serving's REST paths, uploads, live audio, and a page to speak to.

It needs the packages of the extra ``serve``, and imports them only when :func:`create_app` or :class:`ServerOptions` is asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

from tfwav2vec2.extras import require_extra

__all__ = ["ServerOptions", "create_app"]

_HOMES = {"ServerOptions": "options", "create_app": "app"}


def require_packages() -> None:
    """Make sure that what the server is made of is installed.

    Raises:
        ImportError: where it is not.
    """
    require_extra(
        "serve",
        "The server needs",
        ("prometheus_client", "python_multipart", "starlette", "uvicorn", "websockets"),
    )


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_packages()
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
