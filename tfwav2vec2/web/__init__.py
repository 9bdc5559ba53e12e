"""A small server: TensorFlow Serving's REST paths, uploads, live audio, and a page to speak to.

It needs the packages of the extra ``serve``, and imports them only when :func:`create_app` or :class:`ServerOptions` is asked for.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ServerOptions", "create_app"]

_HOMES = {"ServerOptions": "options", "create_app": "app"}


def require_packages() -> None:
    """Make sure that what the server is made of is installed.

    Raises:
        ImportError: where it is not.
    """
    try:
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"The server needs the package {error.name}, which is not installed: pip install 'tfwav2vec2[serve]'"
        ) from error


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    require_packages()
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
