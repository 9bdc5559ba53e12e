"""What one server takes and gives: every limit has a number here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

from tfwav2vec2.transcription.streaming import StreamingOptions

MEBIBYTE = 2**20

# By these names a browser reaches the machine that it runs on.
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class ServerOptions:
    """How a server is called, and where its limits lie.

    Args:
        name: of the model, in ``/v1/models/NAME``.
        max_body_bytes: of one request.
        max_json_bytes: of one request in JSON. Reading JSON holds up everything else for about a second in 100 MB.
        max_buffered_bytes: of all requests that are being answered.
        max_audio_seconds: of one recording.
        max_pending_seconds: of all recordings that are being answered; a request beyond them is refused with 429.
        max_requests: that are answered at the same time; one beyond them is refused with 429.
        max_connections: that are open at the same time; one beyond them is refused with 429 before it has said anything.
        max_live: WebSockets at the same time.
        live_seconds: of audio in one WebSocket.
        live_idle_seconds: without a message, after which a WebSocket is closed.
        header_seconds: in which the head of a request has to arrive.
        body_seconds: in which its body has to arrive.
        request_seconds: in which it is answered, or refused with 503.
        max_batch: recordings that are computed together.
        max_batch_seconds: of audio that is computed together, padding included. By default 2 for a ``.tflite`` file, whose runtime
            takes as long for a batch as for its recordings one by one unless they are short, and 20 for other models.
        hosts: the names under which the server may be asked (the header ``Host``, without the port), so that no page elsewhere
            can have its own name point here; empty for all.
        origins: pages of other servers that may send requests, such as ``https://example.org``. The server's own may.
        streaming: the windows of live sessions, here and in the browser.

    Raises:
        ValueError: for a number that is not positive, and where what all requests may hold is less than what one may.
    """

    name: str = "model"
    max_body_bytes: int = 32 * MEBIBYTE
    max_json_bytes: int = 16 * MEBIBYTE
    max_buffered_bytes: int = 256 * MEBIBYTE
    max_audio_seconds: float = 120.0
    max_pending_seconds: float = 3600.0
    max_requests: int = 128
    max_connections: int = 512
    max_live: int = 16
    live_seconds: float = 3600.0
    live_idle_seconds: float = 30.0
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    request_seconds: float = 60.0
    max_batch: int = 8
    max_batch_seconds: float | None = None
    hosts: tuple[str, ...] = LOOPBACK_HOSTS
    origins: tuple[str, ...] = ()
    streaming: StreamingOptions = field(default_factory=StreamingOptions)

    def __post_init__(self) -> None:
        for option in fields(self):
            value = getattr(self, option.name)
            if option.type not in ("int", "float", "float | None") or (
                value is None and "None" in option.type
            ):
                continue
            kinds = (int,) if option.type == "int" else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds) or not 0 < value < math.inf:
                what = "a whole number" if option.type == "int" else "a number"
                raise ValueError(f"{option.name} is {what} above 0, got {value!r}")
        for all_together, one in (
            ("max_buffered_bytes", "max_body_bytes"),
            ("max_pending_seconds", "max_audio_seconds"),
        ):
            if getattr(self, all_together) < getattr(self, one):
                raise ValueError(
                    f"{all_together}, of all requests, must be at least {one}, of one: got {getattr(self, all_together):g} and "
                    f"{getattr(self, one):g}"
                )
