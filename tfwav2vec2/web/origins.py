"""Who may ask: the names that the server answers to, and whose pages may send it something.

A page from anywhere can make its visitor's browser send requests to a server on the same machine. Its own scripts cannot read
the answers, as no CORS headers are sent; but it could use up the server's time, or open a WebSocket, which CORS does
not cover; and by DNS rebinding it could have its own name point to 127.0.0.1 and be of the same origin. The first is refused
by the header ``Origin``, the second by ``Host``.
"""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from tfwav2vec2.web.errors import refusal
from tfwav2vec2.web.options import ServerOptions

_READING_METHODS = frozenset({"GET", "HEAD"})


class KnownCallers:
    """Middleware that refuses requests under unknown names with 421, and those of other servers' pages with 403."""

    def __init__(self, app: ASGIApp, options: ServerOptions) -> None:
        self.app = app
        self._hosts = frozenset(host.lower() for host in options.hosts)
        self._origins = frozenset(origin.lower().rstrip("/") for origin in options.origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request of a known caller."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        host = headers.get(b"host", "")
        if self._hosts and without_port(host) not in self._hosts:
            answer = refusal(
                421,
                f"This server does not answer to the name {host!r}: {', '.join(sorted(self._hosts))} only",
            )
        elif not self._may_send(scope, headers.get(b"origin"), host):
            answer = refusal(403, f"Pages of {headers[b'origin']} may not send requests to this server")
        else:
            await self.app(scope, receive, send)
            return
        if scope["type"] == "http":
            await answer(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "unknown caller"})

    def _may_send(self, scope: Scope, origin: str | None, host: str) -> bool:
        # Programs that are no browsers send no origin.
        if origin is None or (scope["type"] == "http" and scope["method"] in _READING_METHODS):
            return True
        return origin in self._origins or origin in (f"http://{host}", f"https://{host}")


def without_port(host: str) -> str:
    """The name in a ``Host`` header, with the brackets of an IPv6 address."""
    return re.sub(r"(?<=[^:]):\d+$", "", host)
