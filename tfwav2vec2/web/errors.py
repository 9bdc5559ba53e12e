"""Every refusal is JSON of TensorFlow Serving's form: ``{"error": "what is wrong"}``."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer with a status of 400 or more."""
    return JSONResponse({"error": message}, status, headers)


def on_refusal(request: Request, error: HTTPException) -> JSONResponse:
    """The answer to a request that was refused."""
    return refusal(error.status_code, error.detail, dict(error.headers or {}))


def on_fault(request: Request, error: Exception) -> JSONResponse:
    """The answer where the server itself is at fault; what went wrong stands in its log alone."""
    return refusal(500, "The server failed to answer this request; its log says why")
