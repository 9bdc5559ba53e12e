"""Sound files in, texts with times out; and whatever is no sound file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import soundfile

from tests.web.client import Client
from tests.web.conftest import SAID, HeldEngine, sound_file, until
from tfwav2vec2 import load_audio
from tfwav2vec2.serving.engines import LiteRTEngine


def form(content: bytes, field: str = "file", boundary: str = "b0undary") -> tuple[bytes, dict[str, str]]:
    """A form with a field before the file, as browsers send it."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n--{boundary}\r\n'
    head += f'Content-Disposition: form-data; name="{field}"; filename="clip.flac"\r\nContent-Type: audio/flac\r\n\r\n'
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


@pytest.mark.parametrize("name", SAID)
def test_a_body_and_a_form_give_the_text(
    digits_server: Client, clip_bytes: dict[str, bytes], name: str
) -> None:
    raw = digits_server.transcribe(clip_bytes[name])
    by_form = digits_server.transcribe(*form(clip_bytes[name]))
    assert raw.status == by_form.status == 200
    assert raw.json == by_form.json
    assert raw.json["text"] == SAID[name]


def test_times_lie_in_the_recording_and_in_order(digits_server: Client, clip_bytes: dict[str, bytes]) -> None:
    answer = digits_server.transcribe(clip_bytes["eight_digits"]).json
    seconds = len(soundfile.read(io.BytesIO(clip_bytes["eight_digits"]))[0])
    seconds /= soundfile.info(io.BytesIO(clip_bytes["eight_digits"])).samplerate
    assert answer["seconds"] == pytest.approx(seconds, abs=0.01)
    assert "".join(each["text"] for each in answer["characters"]) == "58316092"
    times = [time for each in answer["characters"] for time in (each["start"], each["end"])]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < seconds
    assert answer["words"] == [{"text": "58316092", "start": times[0], "end": times[-1]}]
    assert 0.5 < answer["confidence"] <= 1


def test_any_format_rate_and_channels(
    digits_server: Client, digits_engine: LiteRTEngine, waveforms: dict[str, np.ndarray]
) -> None:
    clip = waveforms["four_digits"]
    texts = []
    for content in (
        sound_file(clip, kind="WAV", subtype="PCM_24"),
        sound_file(clip, kind="MP3"),
        sound_file(clip, kind="OGG", subtype="OPUS"),
        sound_file(np.stack([clip, clip], axis=1), kind="AIFF", subtype="FLOAT"),
        sound_file(clip[::2], rate=8_000, kind="CAF", subtype="PCM_16"),
    ):
        heard = load_audio(content)
        texts.append(digits_server.transcribe(content).json["text"])
        assert [texts[-1]] == digits_engine.texts(heard[None], [len(heard)])
    assert texts.count("2695") > 2


def test_a_large_file_goes_through_the_disk(digits_server: Client, waveforms: dict[str, np.ndarray]) -> None:
    clip = np.concatenate([waveforms["four_digits"], np.zeros(60 * 16_000, np.float32)])
    content = sound_file(clip, kind="WAV", subtype="FLOAT")
    assert len(content) > 3 * 2**20
    assert digits_server.transcribe(content).json["text"] == "2695"
    assert digits_server.transcribe(*form(content)).json["text"] == "2695"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"garbage" * 1_000, "cannot be read as audio"),
        (b"RIFF\xff\xff\xff\xffWAVEfmt ", "cannot be read as audio"),
        (bytes(range(256)) * 500, "cannot be read as audio"),
        (sound_file(np.zeros(16_000))[:60], "The file"),
        (sound_file(np.zeros(20)), "less than the 905"),
        (sound_file(np.full(4_000, np.nan), kind="WAV", subtype="FLOAT"), "NaN"),
        (sound_file(np.full(4_000, np.inf), kind="WAV", subtype="FLOAT"), "infinite"),
    ],
    ids=["empty", "garbage", "torn header", "bytes", "torn file", "too short", "NaN", "infinity"],
)
def test_what_is_no_recording_is_refused_and_the_next_works(
    digits_server: Client, clip_bytes: dict[str, bytes], content: bytes, message: str
) -> None:
    for answer in (digits_server.transcribe(content), digits_server.transcribe(*form(content))):
        assert answer.status == 400
        assert message in answer.error
        assert "<" not in answer.error
    assert digits_server.transcribe(clip_bytes["one_digit"]).json["text"] == "7"


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (b"", "multipart/form-data; boundary=b", "form"),
        (b"--b--\r\n", "multipart/form-data; boundary=b", "no file"),
        (b"nothing of the kind", "multipart/form-data; boundary=b", ""),
        (b"--b", "multipart/form-data", "boundary"),
        (b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n', "multipart/form-data; boundary=b", "no file"),
    ],
)  # fmt: skip
def test_a_form_that_is_none_is_refused(digits_server: Client, body: bytes, kind: str, message: str) -> None:
    answer = digits_server.transcribe(body, {"Content-Type": kind})
    assert answer.status == 400
    assert message in answer.error


def test_two_files_in_a_form_are_one_too_many(digits_server: Client, clip_bytes: dict[str, bytes]) -> None:
    body, headers = form(clip_bytes["one_digit"])
    body = body.removesuffix(b"--b0undary--\r\n") + form(clip_bytes["one_digit"])[0]
    assert "Too many files" in digits_server.transcribe(body, headers).error


def test_an_hour_of_silence_is_refused_before_it_is_decoded(digits_server: Client) -> None:
    content = io.BytesIO()
    with soundfile.SoundFile(content, "w", 16_000, 1, format="FLAC") as file:
        for _ in range(60):
            file.write(np.zeros(60 * 16_000, np.float32))
    assert len(content.getvalue()) < 2**20
    before = digits_server.metric("process_resident_memory_bytes")
    answer = digits_server.transcribe(content.getvalue())
    assert answer.status == 400
    assert "lasts more than 120 s" in answer.error
    # The whole hour would be 230 MB.
    assert digits_server.metric("process_resident_memory_bytes") - before < 100e6


def test_work_for_a_client_that_left_is_given_up(
    start: Callable[..., Client], held: HeldEngine, clip_bytes: dict[str, bytes]
) -> None:
    client = start(held, max_batch=1)
    content = clip_bytes["one_digit"]
    request = b"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content)
    with client.raw() as first:
        first.sendall(request + content)
        until(lambda: len(held.batches) == 1)
        with client.raw() as second:
            second.sendall(request + content)
            until(lambda: client.metric("tfwav2vec2_queue_depth") == 1)
    until(lambda: client.metric("tfwav2vec2_requests_total", path="/transcribe", status="499") == 2)
    held.go.set()
    assert client.transcribe(content).json["text"] == "7"
    # The first, which was being computed already, and the last.
    assert len(held.batches) == 2


def test_concurrent_uploads_are_computed_together(
    start: Callable[..., Client], held: HeldEngine, clip_bytes: dict[str, bytes]
) -> None:
    import concurrent.futures

    client = start(held)
    names = ["one_digit", *["four_digits"] * 4]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.transcribe, clip_bytes["one_digit"])
        until(lambda: len(held.batches) == 1)
        rest = [pool.submit(client.transcribe, clip_bytes["four_digits"]) for _ in range(4)]
        until(lambda: client.metric("tfwav2vec2_queue_depth") == 4)
        held.go.set()
        texts: list[Any] = [future.result().json["text"] for future in (first, *rest)]
    assert texts == [SAID[name] for name in names]
    assert [len(batch) for batch in held.batches] == [1, 4]
    assert client.metric("tfwav2vec2_batch_size_sum") == 5
    assert client.metric("tfwav2vec2_batch_size_count") == 2
