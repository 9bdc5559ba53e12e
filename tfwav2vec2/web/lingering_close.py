"""A refusal that reaches its client: the connection stays open for a moment after an answer that came early.

A server that closes a connection on which bytes are still arriving makes the client's system throw the answer away
(RFC 9112, section 9.6). So what is left of a refused request is read and dropped for a moment first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = 2.0


class LingeringClose:
    """Middleware that reads on for a moment where the answer is complete and the request is not."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request; afterwards nothing of it is left unread, or its connection is closed."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        complete = _has_no_body(scope)

        async def watching() -> Message:
            nonlocal complete
            message = await receive()
            complete = complete or not message.get("more_body", False)
            return message

        async def closing(message: Message) -> None:
            if complete:
                await send(message)
            elif message["type"] == "http.response.start":
                await send({**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]})
            elif message.get("more_body", False):
                await send(message)
            else:
                # By its Content-Length the client knows that this is all, before the server closes the connection.
                await send({**message, "more_body": True})
                await _drop(watching, lambda: complete)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self.app(scope, watching, closing)


async def _drop(receive: Receive, complete: Callable[[], bool]) -> None:
    try:
        async with asyncio.timeout(SECONDS):
            while not complete():
                await receive()
    except TimeoutError:
        return


def _has_no_body(scope: Scope) -> bool:
    headers = dict(scope["headers"])
    return b"transfer-encoding" not in headers and headers.get(b"content-length", b"0") == b"0"
