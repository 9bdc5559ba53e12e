"""64 clients at once, in a short form and in the long one of ``make soak``: no request fails, and memory stays bounded."""

from __future__ import annotations

import random
import sys
import threading
import time

import numpy as np
import pytest

from tests.web.client import Client, speak
from tests.web.load import Load, demo_files, memory_of, press, served

CLIENTS = 64
# What the process may take more than at its first quarter, when every thread and buffer is there.
MORE_BYTES = 40e6
MOST_BYTES = 500e6

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read in /proc")
durations = pytest.mark.parametrize("seconds", [6.0, pytest.param(60.0, marks=pytest.mark.slow)])


def check(load: Load) -> None:
    assert load.wrong == []
    assert set(load.statuses) == {200}
    assert len(load.seconds) > CLIENTS
    quarter = load.memory[len(load.memory) // 4]
    assert max(load.memory[len(load.memory) // 4 :]) - quarter < MORE_BYTES, str(load)
    assert max(load.memory) < MOST_BYTES, str(load)


@needs_proc
@durations
def test_64_clients_no_failed_request_and_bounded_memory(seconds: float) -> None:
    files, said = demo_files()
    with served() as (process, client):
        load = press(client, process.pid, files, said, CLIENTS, seconds)
        assert client.metric("tfwav2vec2_queue_depth") == 0
        assert client.metric("tfwav2vec2_requests_total", path="/transcribe", status="200") == len(
            load.seconds
        )
    check(load)


@needs_proc
@durations
def test_a_flood_is_refused_and_those_who_were_let_in_are_answered(seconds: float) -> None:
    files, said = demo_files()
    with served("--max-requests", "16") as (process, client):
        load = press(client, process.pid, files, said, CLIENTS, seconds)
        assert client.transcribe(files[0]).json["text"] == said[files[0]]
    assert load.wrong == []
    assert set(load.statuses) == {200, 429}
    assert load.statuses[200] > 16
    assert max(load.memory) < MOST_BYTES, str(load)


@needs_proc
@durations
def test_live_sessions_go_on_among_uploads_and_misbehaviour(
    seconds: float, waveforms: dict[str, np.ndarray]
) -> None:
    """Eight speakers, sixteen uploads at a time, and clients that send garbage, drip, or leave: everyone else is served."""
    files, said = demo_files()
    failures: list[str] = []
    sessions = []
    with served() as (process, client):
        end = time.monotonic() + seconds

        def speaker(number: int) -> None:
            while time.monotonic() < end:
                with client.live() as session:
                    answers = speak(session, waveforms["eight_digits"], 16_000, [1_600])
                text = "".join(answer["new"] for answer in answers)
                sessions.append(number)
                if text != "58316092":
                    failures.append(text)

        def mischief(number: int) -> None:
            rng = random.Random(number)
            while time.monotonic() < end:
                with client.raw() as connection:
                    connection.sendall(
                        b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
                    )
                    connection.sendall(rng.randbytes(rng.choice([0, 1, 1_000, 100_000])))
                    time.sleep(rng.choice([0.0, 0.01, 0.2]))
                time.sleep(0.02)

        threads = [threading.Thread(target=speaker, args=(number,)) for number in range(8)]
        threads += [threading.Thread(target=mischief, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        load = press(client, process.pid, files, said, 16, seconds)
        for thread in threads:
            thread.join(120)
        assert client.metric("tfwav2vec2_live_sessions") == 0
        assert_idle(client, process.pid)
    assert failures == []
    assert len(set(sessions)) == 8
    assert load.wrong == []
    assert set(load.statuses) == {200}
    assert max(load.memory) < MOST_BYTES, str(load)


def assert_idle(client: Client, process: int) -> None:
    """Nothing of the load is left: no request, no open file but the few of an idle server."""
    end = time.monotonic() + 20
    while client.metric("process_open_fds") > 40:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert memory_of(process) < MOST_BYTES
