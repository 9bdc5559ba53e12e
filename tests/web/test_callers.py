"""Who may ask, what a browser is told, and what is counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.web.client import Client
from tests.web.conftest import NAME
from tfwav2vec2.web.metrics import path_label
from tfwav2vec2.web.origins import without_port


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST:8000", "[::1]:80", "127.0.0.1:1"])
def test_the_machines_own_names_are_answered(digits_server: Client, host: str) -> None:
    assert digits_server.get("/health/ready", {"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    ["example.org", "127.0.0.1.example.org", "localhost.example.org:80", "", "10.0.0.1", "[::1", "a:b"],
)
def test_a_name_that_was_pointed_here_is_not(
    digits_server: Client, clip_bytes: dict[str, bytes], host: str
) -> None:
    for answer in (
        digits_server.get("/health/ready", {"Host": host}),
        digits_server.transcribe(clip_bytes["one_digit"], {"Host": host}),
    ):
        assert answer.status == 421
        assert "does not answer to the name" in answer.error


def test_other_names_can_be_allowed(start: Callable[..., Client]) -> None:
    assert start(hosts=("Speech.Example",)).get("/metrics", {"Host": "speech.example:80"}).status == 200
    assert start(hosts=()).get("/metrics", {"Host": "anything.example"}).status == 200


def test_other_servers_pages_may_not_send_requests(
    digits_server: Client, start: Callable[..., Client], clip_bytes: dict[str, bytes]
) -> None:
    content = clip_bytes["one_digit"]
    for origin in ("https://example.org", "null", "http://127.0.0.1:1", "file://"):
        answer = digits_server.transcribe(content, {"Origin": origin})
        assert answer.status == 403
        assert origin in answer.error
        assert "access-control-allow-origin" not in answer.headers
    assert digits_server.transcribe(content, {"Origin": digits_server.address}).status == 200
    friendly = start(origins=("https://Example.org/",))
    assert friendly.transcribe(content, {"Origin": "https://example.org"}).status == 200


@pytest.mark.parametrize("path", ["/health/live", "/browser.json", "/nowhere", f"/v1/models/{NAME}", "/"])
def test_every_answer_has_the_headers_that_shut_others_out(digits_server: Client, path: str) -> None:
    headers = digits_server.get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-embedder-policy"] == "require-corp"
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


def test_requests_audio_and_batches_are_counted(
    start: Callable[..., Client], clip_bytes: dict[str, bytes]
) -> None:
    client = start()
    seconds = sum(client.transcribe(clip_bytes[name]).json["seconds"] for name in ("one_digit", "two_digits"))
    client.transcribe(b"garbage")
    client.get("/" + "x" * 50)
    assert client.metric("tfwav2vec2_requests_total", path="/transcribe", status="200") == 2
    assert client.metric("tfwav2vec2_requests_total", path="/transcribe", status="400") == 1
    assert client.metric("tfwav2vec2_requests_total", path="other", status="404") == 1
    assert client.metric("tfwav2vec2_request_seconds_count", path="/transcribe") == 3
    assert client.metric("tfwav2vec2_audio_seconds_total") == pytest.approx(seconds, abs=0.01)
    assert client.metric("tfwav2vec2_batch_size_sum") == 2
    assert client.metric("process_resident_memory_bytes") > 1e6


def test_the_paths_that_are_counted_are_few() -> None:
    assert {
        path_label(f"/v1/models/{name}{verb}") for name in "abc" for verb in ("", ":predict", "/metadata")
    } == {
        "/v1/models",
        "/v1/models:predict",
        "/v1/models/metadata",
    }
    assert {path_label(f"/{name}") for name in ("a", "b", "c/d")} == {"other"}
    assert path_label("/live") == "/live"


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("a:1", "a"),
        ("a", "a"),
        ("[::1]:80", "[::1]"),
        ("[::1]", "[::1]"),
        ("", ""),
        ("a:b", "a:b"),
    ],
)
def test_the_port_is_no_part_of_a_name(host: str, name: str) -> None:
    assert without_port(host) == name
