"""The application under uvicorn: bound, announced, and stopped when it has answered what it took."""

from __future__ import annotations

import ipaddress
import math
import signal
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from tfwav2vec2.web.connections import bounded_connections
from tfwav2vec2.web.live import MOST_BYTES
from tfwav2vec2.web.options import ServerOptions

# A client that pauses between two requests keeps its connection for so long.
_KEEP_ALIVE_SECONDS = 5


class Server(uvicorn.Server):
    """uvicorn's server, which says when it listens.

    Args:
        app: the application.
        options: the limits of its connections.
        on_start: called once it listens.
    """

    def __init__(self, app: Starlette, options: ServerOptions, on_start: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=bounded_connections(options),
                ws="websockets-sansio",
                ws_max_size=MOST_BYTES,
                # A few compressed bytes could become many, and sound does not shrink.
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                # Its warnings are about what strangers send; they could fill a disk.
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=math.ceil(options.request_seconds),
            )
        )
        self._app, self._on_start = app, on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, finish what was begun, and end."""
        self._app.state.service.stopping = True
        # An export takes too long to be waited for.
        await self._app.state.browser.close()
        await super().shutdown(sockets)


def serve(
    app: Starlette, options: ServerOptions, listening: socket.socket, on_start: Callable[[], None]
) -> None:
    """Answer requests until the process is told to stop by SIGINT or SIGTERM; then finish what was begun and return."""
    server = Server(app, options, on_start)
    stopping = (signal.SIGINT, signal.SIGTERM)
    # uvicorn raises the signal once more when it has stopped, for those who want to know. Here it was a success.
    before = {number: signal.signal(number, lambda *_: None) for number in stopping}
    try:
        server.run(sockets=[listening])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address; port 0 takes a free one.

    Raises:
        OSError: where there is no such address, or it is taken.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except BaseException:
        listening.close()
        raise
    return listening


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is that of this machine for itself alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def address_of(listening: socket.socket, host: str) -> str:
    """The address for a browser."""
    return f"http://{bracketed(host)}:{listening.getsockname()[1]}"


def bracketed(host: str) -> str:
    """A host as addresses and the header ``Host`` write it: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
