"""``POST /transcribe``: a sound file in, its text with the times of its words out.

The file is the request's body, or the first file of a form (``multipart/form-data``)::

    curl --data-binary @clip.flac http://127.0.0.1:8000/transcribe
    curl --form file=@clip.flac http://127.0.0.1:8000/transcribe
"""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import IO, Any

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tfwav2vec2.transcription.formats.timed_json import characters_json, words_json
from tfwav2vec2.web.departures import unless_gone
from tfwav2vec2.web.options import MEBIBYTE
from tfwav2vec2.web.pending_audio import PendingAudioError, Share
from tfwav2vec2.web.service import Service

# A larger body lies on the disk while it waits to be decoded.
_IN_MEMORY = MEBIBYTE


async def transcribe(request: Request) -> Response:
    """``{"text", "seconds", "words", "characters", "confidence"}``, times in seconds."""
    if request.method != "POST":
        raise HTTPException(405, "Send a sound file: curl --data-binary @clip.wav", {"Allow": "POST"})
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        async with request.form(max_files=1, max_fields=8, max_part_size=_IN_MEMORY) as form:
            files = [value for value in form.values() if isinstance(value, UploadFile)]
            if not files:
                raise HTTPException(
                    400, "The form holds no file: send one, as curl --form file=@clip.wav does"
                )
            return await _answered(request, files[0].file)
    with SpooledTemporaryFile(_IN_MEMORY) as file:
        service: Service = request.app.state.service
        async for piece in request.stream():
            if file.tell() + len(piece) > _IN_MEMORY:
                await service.decode(file.write, piece)
            else:
                file.write(piece)
        return await _answered(request, file)


async def _answered(request: Request, file: IO[bytes]) -> Response:
    service: Service = request.app.state.service
    try:
        with service.pending.share() as share:
            return JSONResponse(await unless_gone(request, _transcript(service, file, share)))
    except PendingAudioError as error:
        raise HTTPException(429, str(error), {"Retry-After": "1"}) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error


async def _transcript(service: Service, file: IO[bytes], share: Share) -> dict[str, Any]:
    clip = await service.decode(service.load, file, share)
    heard = await service.recognise(clip)
    if heard is None:
        raise HTTPException(
            422,
            "The recording makes the model compute NaN or infinity: check its level, and the model's weights",
        )
    return {
        "text": heard.text,
        "seconds": round(len(clip) / service.rate, 3),
        "words": words_json(heard.words),
        "characters": characters_json(heard.characters),
        "confidence": round(heard.confidence, 4),
    }
