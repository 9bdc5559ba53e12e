"""Something that hears: the pitch of a tone is its transcript. As an engine, and as a server that keeps count.

A recording can be told from any other by its text, and the server outlives the processes that are killed.
"""

from __future__ import annotations

import base64
import io
import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from tfwav2vec2.serving.engines import Arrays, Engine

RATE = 16_000
LOWEST, STEP = 200, 40
SILENCE = ""


def pitch(number: int) -> int:
    """The pitch of a tone in Hz."""
    return LOWEST + STEP * number


def text_of(number: int) -> str:
    """What the ear hears in a tone."""
    return f"{pitch(number)} HERTZ"


def tone(number: int, seconds: float = 0.2) -> np.ndarray:
    """A tone (samples,)."""
    times = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * pitch(number) * times)).astype(np.float32)


def write_tones(folder: Path, numbers: Sequence[int], seconds: float = 0.2) -> dict[str, str]:
    """Files of tones, some in subfolders; their texts by their names."""
    texts = {}
    for number in numbers:
        name = f"{number % 3}/{number:03d}.wav" if number % 3 else f"{number:03d}.wav"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, tone(number, seconds + 0.01 * (number % 7)), RATE)
        texts[name] = text_of(number)
    return texts


def hear(waveform: np.ndarray) -> str:
    """The pitch of a waveform (samples,), to the nearest step; nothing in silence."""
    if not np.any(waveform):
        return SILENCE
    spectrum = np.abs(np.fft.rfft(waveform, n=RATE))
    return text_of(round((int(np.argmax(spectrum)) - LOWEST) / STEP))


class Ear(Engine):
    """An engine that hears pitches. It keeps the shapes that it was given, and fails as it is told to."""

    name = "ear"
    shortest = 400

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int]] = []
        self.heard: list[str] = []

    def texts(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> list[str | None]:
        waveform, lengths = self._checked(waveform, lengths)
        texts = [hear(row[:length]) for row, length in zip(waveform, lengths, strict=True)]
        self.before_answering(texts)
        self.shapes.append(waveform.shape)
        self.heard += texts
        return list(texts)

    def before_answering(self, texts: list[str]) -> None:
        """Where another ear fails."""

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        raise NotImplementedError


class EarServer:
    """An ear behind TensorFlow Serving's REST interface.

    Attributes:
        address: the model's.
        heard: what it has answered, in this order, silence left out.
        delay: how long it thinks about each recording, in seconds.
        refused: texts that it refuses to hear.
        away: whether it answers nothing that makes sense.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self.delay = 0.0
        self.refused: set[str] = set()
        self.away = False

    def answer(self, body: bytes) -> tuple[int, dict[str, Any]]:
        files = [base64.b64decode(item["b64"]) for item in json.loads(body)["inputs"]["wav"]]
        texts = [hear(soundfile.read(io.BytesIO(file), dtype="float32")[0]) for file in files]
        time.sleep(self.delay * len(texts))
        if self.away:
            return 200, {}
        if self.refused & set(texts):
            return 400, {"error": "I cannot stand this tone"}
        self.heard += [text for text in texts if text != SILENCE]
        return 200, {"outputs": {"text": texts, "confidence": [1.0] * len(texts)}}


@contextmanager
def ear_server() -> Iterator[EarServer]:
    """An ear at a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = ear.answer(body)
            answer = json.dumps(content).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except (BrokenPipeError, ConnectionResetError):
                pass  # whoever asked was killed

        def log_message(self, *_: object) -> None:
            """Nothing."""

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.daemon_threads = True
    ear = EarServer(f"http://127.0.0.1:{web.server_port}/v1/models/ear")
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield ear
    finally:
        web.shutdown()
        thread.join()
        web.server_close()
