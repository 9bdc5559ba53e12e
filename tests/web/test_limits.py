"""What goes beyond a limit gets its own clear answer at once, and the next request works."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.web.client import Client, read_all, read_answer
from tests.web.conftest import HeldEngine, sound_file, until

AT_ONCE = 2.0


def status_of(answer: bytes) -> int:
    return int(answer.split(None, 2)[1])


def post(length: str, path: str = "/transcribe") -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n".encode()


@pytest.mark.parametrize("path", ["/transcribe", "/v1/models/spoken-digits:predict"])
def test_ten_gigabytes_are_refused_by_what_they_declare(
    digits_server: Client, clip_bytes: dict[str, bytes], path: str
) -> None:
    begun = time.monotonic()
    with digits_server.raw() as connection:
        connection.sendall(post("Content-Length: 10000000000", path) + b"x" * 1_000)
        connection.settimeout(AT_ONCE)
        answer = read_answer(connection)
    assert time.monotonic() - begun < AT_ONCE
    assert status_of(answer) == 413
    assert b"more than" in answer
    assert b"connection: close" in answer.lower()
    assert digits_server.transcribe(clip_bytes["one_digit"]).json["text"] == "7"


def test_a_stream_of_pieces_is_refused_by_what_arrives(start: Callable[..., Client]) -> None:
    client = start(max_body_bytes=10_000, max_json_bytes=5_000)
    pieces = [b"x" * 1_000] * 100
    for path, most in (("/transcribe", 10_000), ("/v1/models/spoken-digits:predict", 5_000)):
        # Without a length, http.client sends pieces.
        answer = client.ask("POST", path, iter(pieces))
        assert answer.status == 413
        assert f"more than {most} bytes" in answer.error
    assert client.transcribe(sound_file(np.zeros(2_000))).status == 200


def test_a_client_that_sends_all_before_it_reads_gets_the_refusal(start: Callable[..., Client]) -> None:
    """Two megabytes: more than the system's buffers hold, so that the server has to read them or the answer is lost."""
    client = start(max_body_bytes=1_000)
    for _ in range(5):
        answer = client.transcribe(b"x" * 2_000_000)
        assert answer.status == 413


def test_memory_for_bodies_is_shared(start: Callable[..., Client], held: HeldEngine) -> None:
    client = start(held, max_buffered_bytes=300_000, max_body_bytes=300_000)
    content = sound_file(np.zeros(50_000), kind="WAV", subtype="FLOAT")
    assert 200_000 < len(content) < 300_000
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.transcribe, content)
        until(lambda: len(held.batches) == 1)
        answer = client.transcribe(content)
        assert answer.status == 429
        assert "memory" in answer.error
        held.go.set()
        assert first.result().status == 200
    assert client.transcribe(content).status == 200


def test_a_flood_is_refused_at_once_and_health_still_answers(
    start: Callable[..., Client], held: HeldEngine, clip_bytes: dict[str, bytes]
) -> None:
    client = start(held, max_requests=8)
    slowest = []
    statuses = []

    def flood() -> None:
        begun = time.monotonic()
        answer = client.transcribe(clip_bytes["one_digit"])
        statuses.append(answer.status)
        if answer.status == 429:
            assert answer.headers["retry-after"] == "1"
            assert "8 requests are being answered" in answer.error
            slowest.append(time.monotonic() - begun)

    threads = [threading.Thread(target=flood) for _ in range(40)]
    for thread in threads:
        thread.start()
    until(lambda: len(statuses) == 32)
    assert client.get("/health/ready").status == 200
    held.go.set()
    for thread in threads:
        thread.join(60)
    assert sorted(statuses) == [200] * 8 + [429] * 32
    assert max(slowest) < AT_ONCE
    assert client.transcribe(clip_bytes["one_digit"]).json["text"] == "7"


def test_too_much_sound_at_once_is_refused(
    start: Callable[..., Client], held: HeldEngine, clip_bytes: dict[str, bytes]
) -> None:
    client = start(held, max_pending_seconds=5.0, max_audio_seconds=5.0)
    with ThreadPoolExecutor(2) as pool:
        # 2.3 s each.
        let_in = [pool.submit(client.transcribe, clip_bytes["four_digits"]) for _ in range(2)]
        until(lambda: client.metric("tfwav2vec2_audio_seconds_total") > 4)
        answer = client.transcribe(clip_bytes["four_digits"])
        assert answer.status == 429
        assert "sound is waiting" in answer.error
        held.go.set()
        assert [future.result().status for future in let_in] == [200, 200]
    assert client.transcribe(clip_bytes["four_digits"]).status == 200


def test_many_files_of_silence_in_one_request_are_refused(start: Callable[..., Client]) -> None:
    """Each is a few kilobytes and a minute long: together they would be hours in memory."""
    client = start(max_pending_seconds=300.0)
    silence = {"b64": base64.b64encode(sound_file(np.zeros(60 * 16_000))).decode()}
    answer = client.predict({"signature_name": "transcribe_wav", "instances": [silence] * 60})
    assert answer.status == 429
    assert client.predict({"signature_name": "transcribe_wav", "instances": [silence]}).status == 200


def test_an_answer_that_takes_too_long_is_given_up(
    start: Callable[..., Client], held: HeldEngine, clip_bytes: dict[str, bytes]
) -> None:
    client = start(held, request_seconds=0.5)
    begun = time.monotonic()
    answer = client.transcribe(clip_bytes["one_digit"])
    assert answer.status == 503
    assert "within 0.5 s" in answer.error
    assert 0.4 < time.monotonic() - begun < 5
    held.go.set()
    assert client.transcribe(clip_bytes["one_digit"]).json["text"] == "7"


# --- clients that are slow on purpose --------------------------------------------------------------------------


def test_a_head_that_drips_is_ended(start: Callable[..., Client], clip_bytes: dict[str, bytes]) -> None:
    client = start(header_seconds=0.5)
    begun = time.monotonic()
    with client.raw() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        answer = b""
        connection.settimeout(0.1)
        while not answer and time.monotonic() - begun < 10:
            connection.sendall(b"X-Slow: yes\r\n")
            try:
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
    assert status_of(answer) == 408
    assert 0.4 < time.monotonic() - begun < 5
    assert client.transcribe(clip_bytes["one_digit"]).json["text"] == "7"


def test_so_is_the_next_head_on_a_connection_that_was_good(start: Callable[..., Client]) -> None:
    client = start(header_seconds=0.5)
    with client.raw() as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert status_of(read_answer(connection)) == 200
        connection.sendall(b"GET /health/live HTTP/1.1\r\nHost:")
        begun = time.monotonic()
        assert status_of(read_all(connection)) == 408
    assert time.monotonic() - begun < 4  # the time for a pause between two requests is longer


def test_a_connection_that_says_nothing_is_ended(start: Callable[..., Client]) -> None:
    client = start(header_seconds=0.3)
    begun = time.monotonic()
    with client.raw() as connection:
        assert status_of(read_all(connection)) == 408
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("path", ["/transcribe", "/v1/models/spoken-digits:predict"])
def test_a_body_that_drips_is_ended(start: Callable[..., Client], path: str) -> None:
    client = start(body_seconds=0.5)
    begun = time.monotonic()
    with client.raw() as connection:
        connection.sendall(post("Content-Length: 1000", path) + b"{")
        connection.settimeout(5)
        answer = read_answer(connection)
    assert status_of(answer) == 408
    assert b"did not arrive within 0.5 s" in answer
    assert time.monotonic() - begun < 5


def test_slow_clients_do_not_keep_others_out(
    start: Callable[..., Client], clip_bytes: dict[str, bytes]
) -> None:
    from contextlib import ExitStack

    client = start(max_connections=40, header_seconds=3.0)
    with ExitStack() as slow:
        for _ in range(30):
            slow.enter_context(client.raw()).sendall(b"POST /transcribe HTTP/1.1\r\n")
        begun = time.monotonic()
        assert client.transcribe(clip_bytes["one_digit"]).json["text"] == "7"
        assert time.monotonic() - begun < AT_ONCE


def test_one_connection_too_many_is_told_so(
    start: Callable[..., Client], clip_bytes: dict[str, bytes]
) -> None:
    from contextlib import ExitStack

    client = start(max_connections=5)
    with ExitStack() as open_ones:
        for _ in range(5):
            connection = open_ones.enter_context(client.raw())
            connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert status_of(read_answer(connection)) == 200
        answer = client.transcribe(b"x" * 500_000)
        assert answer.status == 429
        assert "connections" in answer.error
    until(lambda: client.transcribe(clip_bytes["one_digit"]).status == 200)


# --- what is no request ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        bytes(range(256)) * 20,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 200_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 200_000,
        post("Content-Length: -5"),
        post("Content-Length: 5\r\nContent-Length: 6"),
        post("Content-Length: 5\r\nTransfer-Encoding: chunked") + b"zzz\r\n",
    ],
    ids=[
        "TLS",
        "bytes",
        "version",
        "long path",
        "long header",
        "negative",
        "two lengths",
        "smuggling",
    ],
)
def test_garbage_gets_an_answer_or_an_end(
    digits_server: Client, clip_bytes: dict[str, bytes], content: bytes
) -> None:
    with digits_server.raw(10) as connection:
        try:
            connection.sendall(content)
            answer = connection.recv(65_536)
        except ConnectionError:
            answer = b""
    assert answer == b"" or status_of(answer) in (400, 421)
    assert digits_server.transcribe(clip_bytes["one_digit"]).json["text"] == "7"


def test_clients_that_leave_in_the_middle_leave_nothing_behind(
    digits_server: Client, clip_bytes: dict[str, bytes]
) -> None:
    content = clip_bytes["four_digits"]
    for sent in (0, 1, len(content) // 2, len(content)):
        for _ in range(5):
            with digits_server.raw() as connection:
                connection.sendall(post(f"Content-Length: {len(content)}") + content[:sent])
    assert digits_server.transcribe(content).json["text"] == "2695"
    until(lambda: digits_server.metric("tfwav2vec2_queue_depth") == 0)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/transcribe", 405),
        ("DELETE", "/transcribe", 405),
        ("POST", "/metrics", 405),
        ("OPTIONS", "/transcribe", 405),
        ("GET", "/nowhere.html", 404),
        ("GET", "/live", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/..%2f..%2fapp.py", 404),
        ("GET", "/%00", 404),
        ("GET", "/runtime/core/dist/index.js", 404),
    ],
)
def test_other_methods_and_paths(digits_server: Client, method: str, path: str, status: int) -> None:
    answer = digits_server.ask(method, path)
    assert answer.status == status
    assert answer.error
