"""LiteRT.js for the page, from where npm put it: nothing comes from another machine."""

from __future__ import annotations

import os
import re
from pathlib import Path

from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

VARIABLE = "TFWAV2VEC2_LITERTJS"
"""The environment variable that names the folder of LiteRT.js."""

NO_RUNTIME = (
    "To run the model in the browser the server needs LiteRT.js: npm install @litertjs/core, then start it with "
    f"--browser-runtime node_modules/@litertjs/core, or with {VARIABLE} set to that folder"
)

# The packages of this scope import one another by names that only bundlers know.
_BARE_IMPORT = re.compile(rb'\b(from|import)(\s*)"@litertjs/([a-z0-9-]+)"')
_ENTRY = "dist/index.js"


def find_runtime(folder: str | Path | None) -> Path | None:
    """The folder ``node_modules/@litertjs``, in which ``core`` and what it needs lie.

    Args:
        folder: it, or ``core`` inside it, or ``node_modules`` around it; by default what the environment names.

    Returns:
        Nothing where neither names one.

    Raises:
        FileNotFoundError: where LiteRT.js is not in it.
    """
    named = folder or os.environ.get(VARIABLE)
    if not named:
        return None
    path = Path(named).resolve()
    for scope in (path.parent, path, path / "@litertjs", path / "node_modules" / "@litertjs"):
        if (scope / "core" / "wasm").is_dir() and (scope / "core" / _ENTRY).is_file():
            return scope
    raise FileNotFoundError(
        f"{named} does not hold LiteRT.js: npm install @litertjs/core, and name node_modules/@litertjs/core"
    )


class RuntimeFiles(StaticFiles):
    """The files of LiteRT.js under one path, with the imports between its packages made addresses.

    Args:
        scope: what :func:`find_runtime` found.
        path: under which they are served, such as ``/runtime``.
    """

    def __init__(self, scope: Path, path: str) -> None:
        super().__init__(directory=scope)
        self._address = rf'\1\2"{path}/\3/{_ENTRY}"'.encode()

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, its imports rewritten where it is a module."""
        response = await super().get_response(path, scope)
        if not isinstance(response, FileResponse) or not path.endswith(os.path.normpath(_ENTRY)):
            return response
        content = _BARE_IMPORT.sub(self._address, Path(response.path).read_bytes())
        return Response(content, media_type="text/javascript")
