"""What the page needs to run the model itself: the figures, a ``.tflite`` file with one fixed signature, and LiteRT.js.

The file is exported once, when it is first asked for, by a process of its own: an export computes for minutes and keeps
TensorFlow in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from tfwav2vec2.serving.engines import FIXED, Engine, LiteRTEngine, import_litert
from tfwav2vec2.transcription.stream_windows import StreamWindows
from tfwav2vec2.web.errors import refusal
from tfwav2vec2.web.litert_runtime import NO_RUNTIME
from tfwav2vec2.web.service import Service


class BrowserModel:
    """The model as a file for browsers, made when it is first asked for.

    Args:
        service: the model on the server.
        source: the folder or name of the model to export; nothing where only what was made of it is there.
        runtime: where LiteRT.js lies, as :func:`~tfwav2vec2.web.litert_runtime.find_runtime` finds it.
    """

    def __init__(self, service: Service, source: str | Path | None, runtime: Path | None) -> None:
        self._service, self._source = service, None if source is None else str(source)
        self._runtime = runtime
        self._served = _fixed_signatures(service.engine)
        self._folder: Path | None = None
        self._making: asyncio.Task[Path] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._closed = False

    @property
    def problem(self) -> str | None:
        """Why the browser cannot run the model; nothing where it can."""
        if self._runtime is None:
            return NO_RUNTIME
        if self._signature() not in self._served and self._source is None:
            return (
                f"{self._service.engine.name} has no signature {self._signature()}, which the page runs: serve the model's own "
                f"folder, or export it with --to litert --seconds {self._windows().window / self._service.rate!r}"
            )
        return None

    def figures(self) -> dict[str, Any]:
        """What the page's own loop over windows needs to know; frames and samples as
        :class:`~tfwav2vec2.transcription.stream_windows.StreamWindows` has them.

        Raises:
            ValueError: for a model that cannot be streamed.
        """
        windows, service = self._windows(), self._service
        tokenizer = service.processor.tokenizer
        size = service.engine.config.vocab_size
        return {
            "window": windows.window,
            "hop": windows.hop,
            "receptive_field": windows.receptive_field,
            "left": windows.left,
            "chunk": windows.chunk,
            "right": windows.right,
            "latency": round(windows.latency / service.rate, 3),
            "sampling_rate": service.rate,
            "vocabulary": tokenizer.convert_ids_to_tokens(list(range(size))),
            "pad_id": tokenizer.pad_token_id,
            "delimiter_id": tokenizer.word_delimiter_token_id,
            "delimiter": tokenizer.replace_word_delimiter_char,
            "lower_case": bool(tokenizer.do_lower_case),
            "model": "/model.tflite",
            "runtime": "/runtime/",
            "signature": self._signature(),
        }

    async def file(self) -> Path:
        """The ``.tflite`` file, once it is there.

        Raises:
            OSError: where it could not be made; the next call tries again.
        """
        if self._signature() in self._served:
            return Path(self._service.engine.name)
        if self._making is None or (self._making.done() and self._making.exception() is not None):
            if self._closed:
                raise OSError("The server is stopping")
            self._making = asyncio.create_task(self._export())
        # A client that leaves must not stop it for the others.
        return await asyncio.shield(self._making)

    async def close(self) -> None:
        """Stop what is being made, so that those who wait for it are told, and remove the file."""
        self._closed = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
        if self._making is not None:
            with contextlib.suppress(OSError):
                await self._making
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _windows(self) -> StreamWindows:
        service = self._service
        return service.options.streaming.windows(service.engine.config, service.rate)

    def _signature(self) -> str:
        return f"{FIXED}{self._windows().window}"

    async def _export(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="tfwav2vec2-browser-"))
        path = self._folder / "model.tflite"
        seconds = repr(self._windows().window / self._service.rate)
        command = (
            "-m",
            "tfwav2vec2",
            "export",
            self._source,
            str(path),
            "--to",
            "litert",
            "--seconds",
            seconds,
        )
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        )
        if self._closed:
            self._process.kill()
        _, said = await self._process.communicate()
        if self._process.returncode:
            last = next(iter(said.decode(errors="replace").strip().splitlines()[-1:]), "no message")
            raise OSError(f"The model could not be exported for the browser: {last}")
        return path


def _fixed_signatures(engine: Engine) -> frozenset[str]:
    """The signatures of a ``.tflite`` file that is served, with a fixed length and told how much of it is audio."""
    if not isinstance(engine, LiteRTEngine):
        return frozenset()
    found = import_litert().Interpreter(engine.name).get_signature_list()
    return frozenset(
        name
        for name, signature in found.items()
        if name.startswith(FIXED) and set(signature["inputs"]) == {"waveform", "lengths"}
    )


async def figures(request: Request) -> Response:
    """``/browser.json``: the figures, and under ``problem`` what is missing and how to get it; null where nothing is."""
    browser: BrowserModel = request.app.state.browser
    try:
        return JSONResponse({**browser.figures(), "problem": browser.problem})
    except ValueError as error:
        return JSONResponse({"problem": str(error)})


async def model(request: Request) -> Response:
    """``/model.tflite``; the first request waits until it is exported."""
    browser: BrowserModel = request.app.state.browser
    try:
        if browser.problem:
            return refusal(404, browser.problem)
        return FileResponse(await browser.file(), media_type="application/octet-stream")
    except ValueError as error:
        return refusal(404, str(error))
    except OSError as error:
        return refusal(503, str(error))
