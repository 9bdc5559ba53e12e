"""Figures for Prometheus at ``/metrics``: requests, their times, audio, the queue and its batches, memory."""

from __future__ import annotations

import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 32)

# Each gets a line of its own; whatever else is asked for shares one, since the number of lines has to be bounded.
_PATHS = (
    "/",
    "/transcribe",
    "/live",
    "/metrics",
    "/health/live",
    "/health/ready",
    "/browser.json",
    "/model.tflite",
)

# What is counted for a client that left before it was answered; the number is nginx's.
CLIENT_LEFT = 499


class Metrics:
    """The figures of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "tfwav2vec2_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "tfwav2vec2_request_seconds",
            "From a request's head to the end of its answer.",
            ["path"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.audio_seconds = Counter(
            "tfwav2vec2_audio_seconds", "Audio given to the model.", registry=self.registry
        )
        self.queue_depth = Gauge(
            "tfwav2vec2_queue_depth", "Recordings that wait for the model.", registry=self.registry
        )
        self.batch_size = Histogram(
            "tfwav2vec2_batch_size",
            "Recordings computed together.",
            buckets=_SIZES,
            registry=self.registry,
        )
        self.live_sessions = Gauge(
            "tfwav2vec2_live_sessions", "WebSockets that are open.", registry=self.registry
        )
        self.live_audio_seconds = Counter(
            "tfwav2vec2_live_audio_seconds", "Audio that came in live.", registry=self.registry
        )

    def show(self, request: Request) -> Response:
        """The figures in Prometheus's text format."""
        return Response(generate_latest(self.registry), media_type=CONTENT_TYPE_LATEST)


class CountRequests:
    """Middleware that counts each HTTP request and its time."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), CLIENT_LEFT

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, counting)
        except Exception:
            status = 500
            raise
        finally:
            path = path_label(scope["path"])
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.request_seconds.labels(path).observe(time.perf_counter() - started)


def path_label(path: str) -> str:
    """Which of a bounded number of paths a request's is."""
    if path in _PATHS:
        return path
    if path.startswith("/v1/models/"):
        if path.endswith(":predict"):
            return "/v1/models:predict"
        return "/v1/models/metadata" if path.endswith("/metadata") else "/v1/models"
    return "/runtime" if path.startswith("/runtime/") else "other"
