"""``/live``: sound in and words out while someone speaks, over a WebSocket.

The client sends ``{"sampling_rate": 16000}``, then any number of binary messages of 32-bit floats within ±1, little-endian, one
channel, and at the end ``{"end": true}``. Each binary message is answered by a JSON message, the end by one with
``"final": true``::

    {"new": "ON", "words": [{"text": "GO", "start": 0.2, "end": 0.5}], "partial": "ON",
     "characters": [{"text": "G", "start": 0.2, "end": 0.24}], "seconds": 1.2, "final": false}

They are :class:`~tfwav2vec2.transcription.streaming.StreamedText`; nothing in them is ever taken back. A session that cannot go
on gets ``{"error": "why"}`` and is closed.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import soxr
from starlette.websockets import WebSocket, WebSocketDisconnect

from tfwav2vec2.audio.loading import HIGHEST_RATE, LOWEST_RATE
from tfwav2vec2.transcription.formats.timed_json import characters_json, words_json
from tfwav2vec2.transcription.streaming import StreamedText, StreamingTranscriber
from tfwav2vec2.web.options import MEBIBYTE
from tfwav2vec2.web.service import Service

# Of one message: 16 s at 16 kHz.
MOST_BYTES = MEBIBYTE
_SAMPLE = np.dtype("<f4")

# RFC 6455, section 7.4.1, and its registry.
_NORMAL, _GOING_AWAY, _POLICY, _FAULT, _TRY_AGAIN = 1000, 1001, 1008, 1011, 1013


class _SessionError(Exception):
    """A session that cannot go on: why, and the code that it is closed with."""

    def __init__(self, message: str, code: int = _POLICY) -> None:
        super().__init__(message)
        self.code = code


class LiveSound:
    """The sound of one session: messages of any rate to text.

    Args:
        service: the model.
        rate: of the samples that come, in Hz.

    Raises:
        ValueError: for a rate that no recording of speech has, or a model that cannot be streamed.
    """

    def __init__(self, service: Service, rate: Any) -> None:
        number = isinstance(rate, (int, float)) and not isinstance(rate, bool)
        if not number or not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise ValueError(
                f"sampling_rate must be a number of Hz between {LOWEST_RATE} and {HIGHEST_RATE}; got {rate!r}"
            )
        self.seconds = 0.0
        self._rate = rate
        self._transcriber = StreamingTranscriber(
            service.live_engine, service.options.streaming, processor=service.processor
        )
        self._resampler = None
        if rate != service.rate:
            self._resampler = soxr.ResampleStream(rate, service.rate, 1, dtype="float32", quality="HQ")

    def push(self, message: bytes) -> StreamedText:
        """Take the samples of one message.

        Raises:
            ValueError: for bytes that are no whole samples, or samples that are no numbers.
        """
        if len(message) % _SAMPLE.itemsize:
            raise ValueError(
                f"A message holds 32-bit floats, and {len(message)} bytes are no whole number of them"
            )
        samples = np.frombuffer(message, _SAMPLE).astype(np.float32)
        if not np.isfinite(samples).all():
            raise ValueError("The samples hold NaN or infinity; check how they were read or computed")
        self.seconds += len(samples) / self._rate
        return self._transcriber.push(self._resampled(samples, last=False))

    def finish(self) -> StreamedText:
        """The rest of the text."""
        rest = self._transcriber.push(self._resampled(np.zeros(0, np.float32), last=True))
        end = self._transcriber.finish()
        return StreamedText(
            rest.new + end.new, rest.words + end.words, "", rest.characters + end.characters, end.seconds
        )

    def _resampled(self, samples: np.ndarray, last: bool) -> np.ndarray:
        return samples if self._resampler is None else self._resampler.resample_chunk(samples, last=last)


async def live(websocket: WebSocket) -> None:
    """One session, from its greeting to its end."""
    service: Service = websocket.app.state.service
    await websocket.accept()
    gauge = service.metrics.live_sessions
    try:
        if service.live_sessions >= service.options.max_live:
            raise _SessionError(
                f"All {service.options.max_live} live sessions are taken: try again in a moment", _TRY_AGAIN
            )
        service.live_sessions += 1
        gauge.inc()
        try:
            await _session(websocket, service)
        finally:
            service.live_sessions -= 1
            gauge.dec()
    except _SessionError as refused:
        await _close(websocket, service, refused.code, str(refused))
    except WebSocketDisconnect:
        # The client left. What it said last is still being computed, and nobody waits for it.
        return


async def _session(websocket: WebSocket, service: Service) -> None:
    sound = await _in_thread(service, LiveSound, service, _rate_of(await _received(websocket, service)))
    while True:
        message = await _received(websocket, service)
        if isinstance(message, str):
            if _parsed(message) != {"end": True}:
                raise _SessionError(
                    'After the greeting come binary messages of samples, and at the end {"end": true}'
                )
            await _send(websocket, service, _json(await _in_thread(service, sound.finish), final=True))
            await websocket.close(_NORMAL)
            return
        if len(message) > MOST_BYTES:
            raise _SessionError(
                f"A message of {len(message)} bytes is too long: send at most {MOST_BYTES} at once"
            )
        before = sound.seconds
        heard = await _in_thread(service, sound.push, message)
        service.metrics.live_audio_seconds.inc(sound.seconds - before)
        await _send(websocket, service, _json(heard))
        if sound.seconds > service.options.live_seconds:
            raise _SessionError(
                f"A live session ends after {service.options.live_seconds:g} s of sound: begin another"
            )


async def _received(websocket: WebSocket, service: Service) -> str | bytes:
    seconds = service.options.live_idle_seconds
    try:
        async with asyncio.timeout(seconds):
            message = await websocket.receive()
    except TimeoutError as error:
        raise _SessionError(f"Nothing came for {seconds:g} s: begin another session", _GOING_AWAY) from error
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", _NORMAL))
    text = message.get("text")
    return message["bytes"] if text is None else text


async def _in_thread(service: Service, function: Any, *arguments: Any) -> Any:
    """Run what waits for the model in one of the sessions' threads."""
    try:
        return await asyncio.get_running_loop().run_in_executor(service.live_threads, function, *arguments)
    except ValueError as error:
        raise _SessionError(str(error)) from error
    except (RuntimeError, TimeoutError) as error:
        raise _SessionError(f"The server cannot go on with this session ({error})", _FAULT) from error


def _rate_of(greeting: str | bytes) -> Any:
    fields = _parsed(greeting) if isinstance(greeting, str) else None
    if not isinstance(fields, dict) or "sampling_rate" not in fields:
        raise _SessionError(
            'The first message is {"sampling_rate": 16000}, with the rate of the samples that follow'
        )
    return fields["sampling_rate"]


def _parsed(message: str) -> Any:
    try:
        return json.loads(message)
    except (ValueError, RecursionError) as error:
        raise _SessionError(f"A text message is JSON; this one is not ({error})") from error


def _json(heard: StreamedText, final: bool = False) -> dict[str, Any]:
    return {
        "new": heard.new,
        "words": words_json(heard.words),
        "partial": heard.partial,
        "characters": characters_json(heard.characters),
        "seconds": round(heard.seconds, 3),
        "final": final,
    }


async def _send(websocket: WebSocket, service: Service, message: dict[str, Any]) -> None:
    """Send a message; a client that reads none for a while has left."""
    try:
        async with asyncio.timeout(service.options.live_idle_seconds):
            await websocket.send_json(message)
    except TimeoutError as error:
        raise WebSocketDisconnect(_GOING_AWAY) from error


async def _close(websocket: WebSocket, service: Service, code: int, message: str) -> None:
    try:
        await _send(websocket, service, {"error": message})
        await websocket.close(code)
    except WebSocketDisconnect:
        return
