"""The embedded model on a real server, in a thread of the tests' own process, and clients for it."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.web.client import Client
from tfwav2vec2 import load_audio
from tfwav2vec2.serving.engines import Arrays, Engine, LiteRTEngine
from tfwav2vec2.web.app import create_app
from tfwav2vec2.web.options import ServerOptions
from tfwav2vec2.web.running import Server, bind

CLIPS = Path(__file__).resolve().parents[2] / "demo" / "clips"
# What is said in the demo's clips, by their names.
SAID = {
    "one_digit": "7",
    "two_digits": "41",
    "three_digits": "308",
    "four_digits": "2695",
    "six_digits": "194702",
    "eight_digits": "58316092",
}
NAME = "spoken-digits"


class HeldEngine(Engine):
    """An engine that waits before each answer, until it is let go.

    Args:
        engine: answers.
    """

    def __init__(self, engine: LiteRTEngine) -> None:
        self.name, self.config, self.shortest = engine.name, engine.config, engine.shortest
        self.sampling_rate, self.processor = engine.sampling_rate, engine.processor
        self._engine = engine
        self.go = threading.Event()
        self.batches: list[list[int]] = []

    def texts(self, waveform: np.ndarray, lengths: Any) -> list[str | None]:
        raise NotImplementedError

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        self.batches.append(lengths.tolist())
        assert self.go.wait(30)
        return self._engine(waveform, lengths)


@contextmanager
def running(app: Any, options: ServerOptions) -> Iterator[Client]:
    """The application on a port of its own."""
    started = threading.Event()
    with bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = Server(app, options, started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert started.wait(30)
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(60)
    assert not thread.is_alive()


@pytest.fixture(scope="package")
def digits_engine(spoken_digits: Path) -> LiteRTEngine:
    """The embedded model's file, for calls of the tests themselves; one thread at a time."""
    return LiteRTEngine(spoken_digits / "model.tflite", threads=1)


@pytest.fixture(scope="package")
def digits_server(spoken_digits: Path) -> Iterator[Client]:
    """A server with its usual limits."""
    options = ServerOptions(name=NAME)
    engines = [LiteRTEngine(spoken_digits / "model.tflite", threads=1) for _ in range(2)]
    with running(create_app(engines, options=options), options) as client:
        yield client


@pytest.fixture
def start(spoken_digits: Path) -> Iterator[Callable[..., Client]]:
    """Starts servers that end with the test: with limits by their names, and the engine that is given."""
    with ExitStack() as servers:

        def start_server(engine: Engine | None = None, **limits: Any) -> Client:
            options = ServerOptions(**{"name": NAME, **limits})
            engine = engine or LiteRTEngine(spoken_digits / "model.tflite", threads=1)
            return servers.enter_context(running(create_app(engine, options=options), options))

        yield start_server


@pytest.fixture
def held(spoken_digits: Path) -> Iterator[HeldEngine]:
    """An engine that answers once ``go`` is set, at the latest when the test ends."""
    engine = HeldEngine(LiteRTEngine(spoken_digits / "model.tflite", threads=1))
    yield engine
    engine.go.set()


@pytest.fixture(scope="session")
def clip_bytes() -> dict[str, bytes]:
    """The demo's clips as files, by their names."""
    return {name: (CLIPS / f"{name}.flac").read_bytes() for name in SAID}


@pytest.fixture(scope="session")
def waveforms(clip_bytes: dict[str, bytes]) -> dict[str, np.ndarray]:
    """The demo's clips as samples at 16 kHz."""
    return {name: load_audio(content) for name, content in clip_bytes.items()}


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that happens elsewhere."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.002)


def sound_file(
    samples: np.ndarray, rate: int = 16_000, kind: str = "FLAC", subtype: str | None = None
) -> bytes:
    """Samples as the bytes of a sound file."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format=kind, subtype=subtype)
    return content.getvalue()
