"""What a browser is told about the page: nothing comes from elsewhere, and nothing may look into it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The page's own scripts, styles and sockets alone. wasm-unsafe-eval lets WebAssembly be compiled and nothing else evaluated;
# blob: is sound that the user dropped on the page, and threads that LiteRT.js starts from its own code.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)

HEADERS = {
    "content-security-policy": _POLICY,
    # Together they isolate the page, without which a browser gives WebAssembly no threads.
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-embedder-policy": "require-corp",
    "cross-origin-resource-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    # Asked again each time, and sent again only where it changed: a newer version's page must not meet an older one's scripts.
    "cache-control": "no-cache",
}
_RAW = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class SecurityHeaders:
    """Middleware that adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request with the headers."""

        async def adding(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message = {**message, "headers": [*message.get("headers", ()), *_RAW]}
            await send(message)

        await self.app(scope, receive, adding)
