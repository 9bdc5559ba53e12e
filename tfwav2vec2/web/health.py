"""Whether the process runs, and whether it takes requests."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse

from tfwav2vec2.web.service import Service


async def live(request: Request) -> JSONResponse:
    """200 for as long as the event loop runs."""
    return JSONResponse({"status": "live"})


async def ready(request: Request) -> JSONResponse:
    """200 while requests are taken; 503 once the server stops."""
    service: Service = request.app.state.service
    if service.stopping:
        return JSONResponse({"status": "stopping"}, 503)
    return JSONResponse({"status": "ready"})
