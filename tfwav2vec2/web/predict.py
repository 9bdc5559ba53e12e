"""TensorFlow Serving's REST paths: a client of that server need not know that this is another one.

``GET /v1/models/NAME[/versions/N]``, ``.../metadata`` and ``POST ...:predict``, with the signatures that
:func:`~tfwav2vec2.serving.saved_model.export_saved_model` writes for speech recognition. ``transcribe_wav`` takes sound files of
any format here.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tfwav2vec2.backbone.lengths import adapter_lengths, frame_lengths
from tfwav2vec2.web.departures import unless_gone
from tfwav2vec2.web.pending_audio import PendingAudioError, Share
from tfwav2vec2.web.recognition import Recognition
from tfwav2vec2.web.service import Service
from tfwav2vec2.web.tensor_json import FLOAT, INT32, STRING, Call, Tensor, read_call, write_answer

VERSION = 1

_SAMPLES = {"waveform": Tensor(FLOAT, (-1, -1)), "lengths": Tensor(INT32, (-1,))}
_TEXT = {"confidence": Tensor(FLOAT, (-1,)), "text": Tensor(STRING, (-1,))}


def signatures(labels: int) -> dict[str, tuple[dict[str, Tensor], dict[str, Tensor]]]:
    """What each signature takes and gives, for a model of so many labels."""
    frames = {
        "frame_lengths": Tensor(INT32, (-1,)),
        "ids": Tensor(INT32, (-1, -1)),
        "logits": Tensor(FLOAT, (-1, -1, labels)),
    }
    return {
        "serving_default": (_SAMPLES, frames),
        "transcribe": (_SAMPLES, _TEXT),
        "transcribe_wav": ({"wav": Tensor(STRING, (-1,))}, _TEXT),
    }


def routes() -> list[Route]:
    """The paths; whatever else lies under ``/v1`` is a malformed request."""
    model, version = "/v1/models/{name}", "/v1/models/{name}/versions/{version:int}"
    found = [Route(f"{path}:predict", predict, methods=["POST"]) for path in (model, version)]
    found += [Route(f"{path}/metadata", metadata) for path in (model, version)]
    found += [Route(path, status) for path in (model, version)]
    return [*found, Route("/v1/{path:path}", malformed, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])]


async def malformed(request: Request) -> Response:
    """400 for what is none of the paths."""
    raise HTTPException(400, f"Malformed request: {request.method} {request.url.path}")


async def status(request: Request) -> Response:
    """The state of the model's only version."""
    _check_name(request)
    state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    return JSONResponse({"model_version_status": [{"version": str(VERSION), **state}]})


async def metadata(request: Request) -> Response:
    """The signatures, as the protocol buffers write them."""
    service = _check_name(request)
    described = {
        name: {
            "inputs": _described(f"{name}_", inputs),
            "outputs": _described("StatefulPartitionedCall_", outputs),
            "method_name": "tensorflow/serving/predict",
            "defaults": {},
        }
        for name, (inputs, outputs) in signatures(service.engine.config.vocab_size).items()
    }
    return JSONResponse(
        {
            "model_spec": {"name": service.options.name, "signature_name": "", "version": str(VERSION)},
            "metadata": {"signature_def": {"signature_def": described}},
        }
    )


async def predict(request: Request) -> Response:
    """What a signature gives for the recordings in a request."""
    service = _check_name(request)
    body = await request.body()
    takes = {name: inputs for name, (inputs, _) in signatures(service.engine.config.vocab_size).items()}

    async def answered(share: Share) -> bytes:
        call = await service.decode(read_call, body, takes)
        clips, width = await service.decode(_clips, service, call, share)
        return await _answer(service, call, clips, width)

    try:
        with service.pending.share() as share:
            return Response(await unless_gone(request, answered(share)), media_type="application/json")
    except PendingAudioError as error:
        raise HTTPException(429, str(error), {"Retry-After": "1"}) from error
    except ValueError as error:
        raise HTTPException(400, str(error)) from error


def _check_name(request: Request) -> Service:
    service: Service = request.app.state.service
    name, version = request.path_params["name"], request.path_params.get("version")
    if name != service.options.name or version not in (None, VERSION):
        wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
        raise HTTPException(
            404,
            f"Servable not found for request: {wanted}; there is {service.options.name}, version {VERSION}",
        )
    return service


def _described(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Any]:
    return {
        name: {
            "dtype": tensor.dtype,
            "tensor_shape": {
                "dim": [{"size": str(size), "name": ""} for size in tensor.shape],
                "unknown_rank": False,
            },
            "name": f"{prefix}{name}:0",
        }
        for name, tensor in tensors.items()
    }


def _clips(service: Service, call: Call, share: Share) -> tuple[list[np.ndarray], int]:
    """The recordings of a call, each alone, and how many samples the widest row has, its padding included."""
    if call.signature == "transcribe_wav":
        clips = [service.load(file, share) for file in call.inputs["wav"]]
        return clips, max(map(len, clips), default=0)
    waveform, lengths = call.inputs["waveform"], call.inputs["lengths"]
    share.add(waveform.size)
    samples = waveform.shape[1] if waveform.ndim == 2 else 0
    for length in lengths.tolist():
        if not service.engine.shortest <= length <= samples:
            raise ValueError(
                f"lengths must lie between {service.engine.shortest} samples, one frame of the model, and the {samples} of "
                f"waveform; got {length}"
            )
    clips = [row[:length] for row, length in zip(waveform, lengths, strict=True)]
    for clip in clips:
        service.check(clip)
    return clips, samples


async def _answer(service: Service, call: Call, clips: list[np.ndarray], width: int) -> bytes:
    waiting = [asyncio.ensure_future(service.logits(clip)) for clip in clips]
    try:
        rows = await asyncio.gather(*waiting)
    finally:
        # Where one fails, nobody waits for the others.
        for each in waiting:
            each.cancel()
    if call.signature == "serving_default":
        return await service.decode(_frames, service, rows, width, call.by_rows)
    return await service.decode(_texts, service, rows, call.by_rows)


def _frames(service: Service, rows: list[np.ndarray], width: int, by_rows: bool) -> bytes:
    """The answer of ``serving_default``: as many frames for each row as the widest has, zeros and blanks behind its own."""
    config = service.engine.config
    frames = adapter_lengths(config, frame_lengths(config, width))
    logits = np.zeros((len(rows), frames, config.vocab_size), np.float32)
    ids = np.full((len(rows), frames), service.processor.tokenizer.pad_token_id, np.int32)
    for place, row in enumerate(rows):
        logits[place, : len(row)] = row
        ids[place, : len(row)] = row.argmax(-1)
    counts = np.array([len(row) for row in rows], np.int32)
    return write_answer({"frame_lengths": counts, "ids": ids, "logits": logits}, by_rows)


def _texts(service: Service, rows: list[np.ndarray], by_rows: bool) -> bytes:
    """The answer of ``transcribe``; as the graph gives it, what is no number has no text and a confidence of NaN."""
    read: list[Recognition | None] = [service.writer.read(row) for row in rows]
    return write_answer(
        {
            "confidence": [float("nan") if each is None else each.confidence for each in read],
            "text": ["" if each is None else each.text for each in read],
        },
        by_rows,
    )
