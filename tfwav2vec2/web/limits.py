"""What one request may cost: bytes, time, and a place among those that are being answered."""

from __future__ import annotations

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tfwav2vec2.web.errors import refusal
from tfwav2vec2.web.options import ServerOptions

# Requests of these methods have no body and cost next to nothing: health can be asked in the middle of a flood.
_FREE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_RETRY = {"Retry-After": "1"}


class RequestLimits:
    """Middleware that refuses what goes beyond :class:`ServerOptions`, each limit with its own status.

    413 for a body that is too large, by what it declares and by what arrives; 408 for one that arrives too slowly; 429 where
    too many requests are being answered or hold too much memory together; 503 where the answer takes too long.
    """

    def __init__(self, app: ASGIApp, options: ServerOptions) -> None:
        self.app, self.options = app, options
        self.running = 0
        self.buffered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request within its limits."""
        if scope["type"] != "http" or scope["method"] in _FREE_METHODS:
            await self.app(scope, receive, send)
            return
        if self.running >= self.options.max_requests:
            message = f"{self.running} requests are being answered already: try again in a moment"
            await refusal(429, message, _RETRY)(scope, receive, send)
            return
        self.running += 1
        body = _Body(self, scope, receive)
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            async with asyncio.timeout(self.options.request_seconds) as deadline:
                await self.app(scope, body.receive, watched)
        except ClientDisconnect:
            # Nobody is left to answer.
            return
        except TimeoutError:
            if started or not deadline.expired():
                # Where the client does not read its answer, the server below closes the connection.
                raise
            message = (
                f"The request was not answered within {self.options.request_seconds:g} s: try again later"
            )
            await refusal(503, message, _RETRY)(scope, receive, send)
        finally:
            self.running -= 1
            self.buffered -= body.bytes

    def limit_of(self, scope: Scope) -> int:
        """How many bytes a request's body may have."""
        kind = dict(scope["headers"]).get(b"content-type", b"")
        json = scope["path"].endswith(":predict") or kind.startswith(b"application/json")
        return (
            min(self.options.max_json_bytes, self.options.max_body_bytes)
            if json
            else self.options.max_body_bytes
        )


class _Body:
    """A request's body, counted while it arrives."""

    def __init__(self, limits: RequestLimits, scope: Scope, receive: Receive) -> None:
        self.bytes = 0
        self._limits, self._receive = limits, receive
        self._limit = limits.limit_of(scope)
        self._declared = dict(scope["headers"]).get(b"content-length", b"0")
        self._deadline = asyncio.get_running_loop().time() + limits.options.body_seconds
        self._complete = False

    async def receive(self) -> Message:
        """The next piece.

        Raises:
            HTTPException: beyond a limit.
        """
        if self._complete:
            # What comes now is that the client has left, and there is no hurry.
            return await self._receive()
        if not self._declared.isdigit() or int(self._declared) > self._limit:
            raise self._too_large()
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError as error:
            seconds = self._limits.options.body_seconds
            raise HTTPException(408, f"The request's body did not arrive within {seconds:g} s") from error
        count = len(message.get("body", b""))
        self.bytes += count
        self._limits.buffered += count
        self._complete = not message.get("more_body", False)
        if self.bytes > self._limit:
            raise self._too_large()
        if self._limits.buffered > self._limits.options.max_buffered_bytes:
            raise HTTPException(
                429, "The requests that are being answered fill the memory set aside for them", _RETRY
            )
        return message

    def _too_large(self) -> HTTPException:
        return HTTPException(
            413, f"The request's body has more than {self._limit} bytes, the most that are taken"
        )
