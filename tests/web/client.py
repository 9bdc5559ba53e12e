"""A client of the server: plain HTTP, its raw bytes where a test needs them, and WebSockets."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from websockets.sync.client import ClientConnection, connect

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """Status, headers in lower case, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """Of a refusal, which has this form and no other."""
        answer = self.json
        assert list(answer) == ["error"]
        return answer["error"]


@dataclass(frozen=True)
class Client:
    """Asks the server at a port of this machine; a new connection for each request."""

    port: int

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        seconds: float = 60.0,
    ) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=seconds)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, names, response.read())
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("GET", path, headers=headers)

    def transcribe(self, content: Any, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("POST", "/transcribe", content, headers)

    def predict(self, request: Any, name: str = "spoken-digits") -> Answer:
        body = request if isinstance(request, bytes) else json.dumps(request).encode()
        return self.ask("POST", f"/v1/models/{name}:predict", body, {"Content-Type": "application/json"})

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}"

    @contextmanager
    def raw(self, seconds: float = 30.0) -> Iterator[socket.socket]:
        """A connection on which anything can be sent."""
        with socket.create_connection((HOST, self.port), timeout=seconds) as connection:
            yield connection

    def live(self, **options: Any) -> ClientConnection:
        """A WebSocket to the live path."""
        return connect(f"ws://{HOST}:{self.port}/live", compression=None, max_size=None, **options)

    def metric(self, name: str, **labels: str) -> float:
        """A figure's value, 0 where it was never counted."""
        for line in self.get("/metrics").body.decode().splitlines():
            key, _, value = line.rpartition(" ")
            found, _, rest = key.partition("{")
            if found == name and all(f'{label}="{each}"' in rest for label, each in labels.items()):
                return float(value)
        return 0.0


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes the connection."""
    pieces = []
    while piece := connection.recv(65_536):
        pieces.append(piece)
    return b"".join(pieces)


def read_answer(connection: socket.socket) -> bytes:
    """One answer in JSON: the connection may stay open behind it."""
    pieces = b""
    while not (b"\r\n\r\n" in pieces and pieces.endswith(b"}")):
        piece = connection.recv(65_536)
        assert piece, "the connection was closed before the answer's end"
        pieces += piece
    return pieces


def speak(
    session: ClientConnection, samples: np.ndarray, rate: int, sizes: Iterable[int]
) -> list[dict[str, Any]]:
    """Send a recording in messages of so many samples, the last size again and again, and collect the answers."""
    session.send(json.dumps({"sampling_rate": rate}))
    answers, begin = [], 0
    remaining = iter(sizes)
    size = next(remaining)
    while begin < len(samples):
        session.send(samples[begin : begin + size].astype("<f4").tobytes())
        answers.append(json.loads(session.recv(30)))
        begin += size
        size = next(remaining, size)
    session.send(json.dumps({"end": True}))
    return [*answers, json.loads(session.recv(30))]
