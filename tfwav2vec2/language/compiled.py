"""Loops over bytes and beams, compiled by numba: released from the interpreter's lock, and kept on disk once compiled.

Functions that call each other stand in one file: numba does not notice that a compiled function's callee in another file
has changed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

try:
    import numba
except ImportError:
    numba = None


def compiled(function: Function | None = None, *, inline: bool = False) -> Function:
    """Compile a function at its first call; where numba is missing, a call says so.

    Args:
        function: what to compile.
        inline: whether callers get a copy of it: a call that hands over arrays counts references, which costs more than what
            a short function does.

    Raises:
        ImportError: at a call, where numba is not installed.
    """
    if function is None:
        return functools.partial(compiled, inline=inline)  # type: ignore[return-value]
    if numba is None:

        @functools.wraps(function)
        def missing(*args: Any, **options: Any) -> Any:
            raise ImportError(
                "Decoding with a language model needs numba, which is not installed; install it with "
                "pip install 'tfwav2vec2[lm]'"
            )

        return missing  # type: ignore[return-value]
    options = {"nogil": True, "error_model": "numpy", "inline": "always" if inline else "never"}
    try:
        return numba.njit(cache=True, **options)(function)
    except (
        RuntimeError
    ):  # nowhere to keep what was compiled: neither beside the file nor in the user's folder
        return numba.njit(**options)(function)
