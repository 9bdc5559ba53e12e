"""The server as an ASGI application, for uvicorn or any other server of that kind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from tfwav2vec2.serving.engines import Engine
from tfwav2vec2.web import browser_model, health, predict
from tfwav2vec2.web.browser_model import BrowserModel
from tfwav2vec2.web.errors import on_fault, on_refusal
from tfwav2vec2.web.limits import RequestLimits
from tfwav2vec2.web.lingering_close import LingeringClose
from tfwav2vec2.web.litert_runtime import RuntimeFiles
from tfwav2vec2.web.live import live
from tfwav2vec2.web.metrics import CountRequests
from tfwav2vec2.web.options import ServerOptions
from tfwav2vec2.web.origins import KnownCallers
from tfwav2vec2.web.security_headers import SecurityHeaders
from tfwav2vec2.web.service import Service
from tfwav2vec2.web.uploads import transcribe

RUNTIME_PATH = "/runtime"


def create_app(
    engine: Engine | Sequence[Engine],
    processor: Any = None,
    options: ServerOptions | None = None,
    *,
    browser_source: str | Path | None = None,
    browser_runtime: Path | None = None,
) -> Starlette:
    """An application that answers for one model.

    ``POST /transcribe`` takes a sound file, ``/live`` is a WebSocket for live sound, ``/v1/models/NAME`` are TensorFlow
    Serving's paths, ``/health/live`` and ``/health/ready`` say how it is, ``/metrics`` counts, and ``/`` is a page to speak to.

    Under another server than ``tfwav2vec2 serve``, see that it limits connections and the time for the head of a request.

    Args:
        engine: for speech recognition; or several of one model, which then compute at the same time. It is closed by whoever
            opened it, after the application has stopped.
        processor: the model's; by default the engine's own.
        options: the model's name, and the limits.
        browser_source: the folder or the name of the model, from which ``/model.tflite`` is exported for the page; without it,
            the page runs the model only where ``engine`` is a ``.tflite`` file that has the signature for it.
        browser_runtime: where LiteRT.js lies (see :func:`~tfwav2vec2.web.litert_runtime.find_runtime`).

    Raises:
        ValueError: for a model that gives no text.
    """
    engines = [engine] if isinstance(engine, Engine) else list(engine)
    options = options or ServerOptions()
    service = Service(engines, processor or getattr(engines[0], "processor", None), options)
    browser = BrowserModel(service, browser_source, browser_runtime)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await browser.close()
        await asyncio.to_thread(service.close)

    app = Starlette(
        routes=_routes(service, browser_runtime),
        middleware=[
            Middleware(CountRequests, metrics=service.metrics),
            Middleware(SecurityHeaders),
            Middleware(LingeringClose),
            Middleware(KnownCallers, options=options),
            Middleware(RequestLimits, options=options),
        ],
        exception_handlers={HTTPException: on_refusal, Exception: on_fault},
        lifespan=lifespan,
    )
    app.state.service, app.state.browser = service, browser
    return app


def _routes(service: Service, runtime: Path | None) -> list[BaseRoute]:
    routes: list[BaseRoute] = [
        Route("/transcribe", transcribe, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
        WebSocketRoute("/live", live),
        *predict.routes(),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Route("/metrics", service.metrics.show),
        Route("/browser.json", browser_model.figures),
        Route("/model.tflite", browser_model.model),
    ]
    if runtime is not None:
        routes.append(Mount(RUNTIME_PATH, RuntimeFiles(runtime, RUNTIME_PATH)))
    page = Path(str(resources.files("tfwav2vec2.web") / "page"))
    if page.is_dir():
        routes.append(Mount("/", StaticFiles(directory=page, html=True)))
    return routes
