"""Live sound: words while it comes, whatever the messages' sizes and rate, and sessions that go wrong."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.web.client import Client, speak
from tests.web.conftest import SAID, HeldEngine, until
from tfwav2vec2.serving.engines import LiteRTEngine
from tfwav2vec2.transcription.streaming import StreamingTranscriber

RATE = 16_000


def streamed(engine: LiteRTEngine, samples: np.ndarray) -> tuple[str, list[str]]:
    """The text and the words of the same stream without a server."""
    transcriber = StreamingTranscriber(engine)
    texts = [transcriber.push(samples), transcriber.finish()]
    return "".join(each.new for each in texts), [word.text for each in texts for word in each.words]


def last_word(session: Any) -> tuple[dict[str, Any], int]:
    """The message with which a session ends, and the code that it is closed with."""
    message = json.loads(session.recv(30))
    with pytest.raises(ConnectionClosed):
        session.recv(30)
    return message, session.close_code


@pytest.mark.parametrize("name", SAID)
def test_the_text_is_the_streams(
    digits_server: Client, digits_engine: LiteRTEngine, waveforms: dict[str, np.ndarray], name: str
) -> None:
    with digits_server.live() as session:
        answers = speak(session, waveforms[name], RATE, [4_096])
    text, words = streamed(digits_engine, waveforms[name])
    assert "".join(answer["new"] for answer in answers) == text == SAID[name]
    assert [word["text"] for answer in answers for word in answer["words"]] == words
    assert "".join(each["text"] for answer in answers for each in answer["characters"]) == text
    assert [answer["final"] for answer in answers] == [False] * (len(answers) - 1) + [True]
    assert answers[-1]["seconds"] == pytest.approx(len(waveforms[name]) / RATE, abs=0.02)
    assert answers[-1]["partial"] == ""


def test_words_come_while_the_speaker_still_speaks(
    digits_server: Client, waveforms: dict[str, np.ndarray]
) -> None:
    with digits_server.live() as session:
        answers = speak(session, waveforms["eight_digits"], RATE, [1_600])
    so_far = "".join(answer["new"] for answer in answers[: len(answers) // 2])
    assert so_far
    assert SAID["eight_digits"].startswith(so_far)
    partial = [answer["partial"] for answer in answers]
    assert "5831" in partial


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 20_000), min_size=1, max_size=6))
def test_the_messages_sizes_do_not_matter(
    digits_server: Client, waveforms: dict[str, np.ndarray], sizes: list[int]
) -> None:
    with digits_server.live() as session:
        answers = speak(session, waveforms["two_digits"], RATE, [*sizes, 8_000])
    assert "".join(answer["new"] for answer in answers) == SAID["two_digits"]


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_any_rate_is_resampled(digits_server: Client, waveforms: dict[str, np.ndarray], rate: int) -> None:
    import soxr

    samples = soxr.resample(waveforms["four_digits"], RATE, rate)
    with digits_server.live() as session:
        answers = speak(session, samples, rate, [rate // 10])
    assert "".join(answer["new"] for answer in answers) == SAID["four_digits"]


def test_sessions_share_batches(
    start: Callable[..., Client], held: HeldEngine, waveforms: dict[str, np.ndarray]
) -> None:
    held.go.set()
    client = start(held)

    def one(name: str) -> str:
        with client.live() as session:
            return "".join(each["new"] for each in speak(session, waveforms[name], RATE, [4_000]))

    names = ["four_digits", "eight_digits", "three_digits"] * 2
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(one, names)) == [SAID[name] for name in names]
    assert client.metric("tfwav2vec2_live_sessions") == 0
    seconds = sum(len(waveforms[name]) for name in names) / RATE
    assert client.metric("tfwav2vec2_live_audio_seconds_total") == pytest.approx(seconds)


def test_silence_and_an_empty_session_say_nothing(digits_server: Client) -> None:
    with digits_server.live() as session:
        answers = speak(session, np.zeros(20_000, np.float32), RATE, [5_000])
    assert "".join(answer["new"] for answer in answers) == ""
    with digits_server.live() as session:
        (answer,) = speak(session, np.zeros(0, np.float32), RATE, [1])
    assert answer == {"new": "", "words": [], "partial": "", "characters": [], "seconds": 0.0, "final": True}


# --- what goes wrong -------------------------------------------------------------------------------------------

GREETING = json.dumps({"sampling_rate": RATE})


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        (["hello"], "is JSON"),
        (["[" * 100_000], "is JSON"),
        (["{}"], "first message"),
        (["[16000]"], "first message"),
        ([b"\0\0\0\0"], "first message"),
        (['{"sampling_rate": "16000"}'], "sampling_rate must be a number"),
        (['{"sampling_rate": true}'], "sampling_rate must be a number"),
        (['{"sampling_rate": NaN}'], "sampling_rate must be a number"),
        (['{"sampling_rate": 1}'], "sampling_rate must be a number"),
        (['{"sampling_rate": 1e9}'], "sampling_rate must be a number"),
        ([GREETING, b"\0\0\0"], "no whole number"),
        ([GREETING, np.full(8, np.nan, "<f4").tobytes()], "NaN or infinity"),
        ([GREETING, np.full(8, np.inf, "<f4").tobytes()], "NaN or infinity"),
        ([GREETING, '{"end": false}'], "at the end"),
        ([GREETING, GREETING], "at the end"),
    ],
)
def test_what_cannot_be_taken_ends_the_session_with_a_reason(
    digits_server: Client, waveforms: dict[str, np.ndarray], messages: list[Any], error: str
) -> None:
    with digits_server.live() as session:
        for message in messages:
            session.send(message)
        found, code = last_word(session)
    assert list(found) == ["error"]
    assert error in found["error"]
    assert code == 1008
    with digits_server.live() as session:
        answers = speak(session, waveforms["one_digit"], RATE, [8_000])
    assert "".join(answer["new"] for answer in answers) == "7"


def test_a_message_beyond_the_limit_ends_the_session(digits_server: Client) -> None:
    with digits_server.live() as session:
        session.send(GREETING)
        session.send(bytes(2**20 + 4))
        with pytest.raises(ConnectionClosed):
            session.recv(30)
        assert session.close_code == 1009


def test_a_client_that_leaves_frees_its_place(
    start: Callable[..., Client], waveforms: dict[str, np.ndarray]
) -> None:
    client = start(max_live=1)
    for _ in range(3):
        with client.live() as session:
            session.send(GREETING)
            session.send(waveforms["four_digits"][:16_000].tobytes())
            # No closing handshake: the line is dead.
            session.socket.shutdown(socket.SHUT_RDWR)
            until(lambda: client.metric("tfwav2vec2_live_sessions") == 0)
    with client.live() as session:
        assert "".join(each["new"] for each in speak(session, waveforms["two_digits"], RATE, [4_000])) == "41"


def test_one_session_too_many_is_told_to_come_again(start: Callable[..., Client]) -> None:
    client = start(max_live=2)
    with client.live() as first, client.live() as second:
        for session in (first, second):
            session.send(GREETING)
        until(lambda: client.metric("tfwav2vec2_live_sessions") == 2)
        with client.live() as third:
            message, code = last_word(third)
        assert "All 2 live sessions are taken" in message["error"]
        assert code == 1013


def test_a_silent_client_and_a_long_session_end(start: Callable[..., Client]) -> None:
    client = start(live_idle_seconds=0.3, live_seconds=1.0)
    with client.live() as session:
        begun = time.monotonic()
        message, code = last_word(session)
        assert "Nothing came for 0.3 s" in message["error"]
        assert code == 1001
        assert time.monotonic() - begun < 5
    with client.live() as session:
        session.send(GREETING)
        session.send(np.zeros(16_001, "<f4").tobytes())
        session.recv(30)
        message, code = last_word(session)
        assert "ends after 1 s" in message["error"]


def test_only_the_servers_own_pages_may_open_one(digits_server: Client, start: Callable[..., Client]) -> None:
    for origin in ("https://example.org", "null", f"http://127.0.0.1:{digits_server.port + 1}"):
        with pytest.raises(InvalidStatus) as refused:
            digits_server.live(origin=origin)
        assert refused.value.response.status_code == 403
    with digits_server.live(origin=digits_server.address) as session:
        session.send(GREETING)
    with start(origins=("https://example.org",)).live(origin="https://example.org") as session:
        session.send(GREETING)
