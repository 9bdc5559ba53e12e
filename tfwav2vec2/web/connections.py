"""What one connection may take before it has asked for anything: a place, and time for the head of a request."""

from __future__ import annotations

import asyncio
import json

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from tfwav2vec2.web.options import ServerOptions

# A connection that is refused stays open for a moment, so that what its client is sending does not undo the answer.
_LINGERING_SECONDS = 0.5


def _answer(status: str, message: str) -> bytes:
    body = json.dumps({"error": message}).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return head.encode() + b"\r\n" + body


_TOO_MANY = _answer("429 Too Many Requests", "Too many connections are open: try again in a moment")
_TOO_SLOW = _answer("408 Request Timeout", "The head of the request did not arrive in time")


def bounded_connections(options: ServerOptions) -> type[H11Protocol]:
    """uvicorn's HTTP protocol with ``max_connections`` and ``header_seconds`` of the options."""

    class BoundedConnection(H11Protocol):
        """One connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:
            """Take the connection, or say that there are too many."""
            self._deadline: asyncio.TimerHandle | None = None
            self._refused = len(self.connections) >= options.max_connections
            if self._refused:
                self.transport = transport
                transport.write(_TOO_MANY)
                self.loop.call_later(_LINGERING_SECONDS, transport.close)
                return
            super().connection_made(transport)
            self._watch()

        def data_received(self, data: bytes) -> None:
            """Take some bytes; a head that is not complete by its deadline ends the connection."""
            if not self._refused:
                super().data_received(data)
                self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            """Forget the connection."""
            self._unwatch()
            if not self._refused:
                super().connection_lost(exc)

        def _watch(self) -> None:
            # The parser's name for a client that has sent no complete head.
            waiting = self.conn.their_state is h11.IDLE
            if not waiting:
                self._unwatch()
            elif self._deadline is None:
                self._deadline = self.loop.call_later(options.header_seconds, self._too_slow)

        def _unwatch(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _too_slow(self) -> None:
            self._deadline = None
            if not self.transport.is_closing():
                self.transport.write(_TOO_SLOW)
                self.transport.close()

    return BoundedConnection
