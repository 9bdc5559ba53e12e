"""What all paths of one server share: the model behind its queue, the threads that decode, and the figures."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, TypeVar

import numpy as np
from starlette.exceptions import HTTPException

from tfwav2vec2.audio.loading import load_audio
from tfwav2vec2.serving.engines import Engine
from tfwav2vec2.web.metrics import Metrics
from tfwav2vec2.web.options import ServerOptions
from tfwav2vec2.web.pending_audio import PendingAudio, Share
from tfwav2vec2.web.recognition import Recognition, Writer
from tfwav2vec2.web.request_batching import QueuedEngine, RequestBatcher

T = TypeVar("T")

# Sound files that are decoded, and JSON that is read, at the same time; more wait, so that memory stays bounded.
DECODING_THREADS = 2

# How often it is seen whether what was begun for a client that left has ended.
_POLL_SECONDS = 0.01


class Service:
    """A model that is ready to be asked.

    Args:
        engines: of one model for speech recognition; each computes one batch at a time, in its own thread.
        processor: the model's.
        options: the limits.

    Raises:
        ValueError: for a model that gives no text.
    """

    def __init__(self, engines: Sequence[Engine], processor: Any, options: ServerOptions) -> None:
        self.engine, self.processor, self.options = engines[0], processor, options
        self.rate = self.engine.sampling_rate
        self.writer = Writer(processor, self.engine.config, self.rate)
        self.metrics = Metrics()
        self.batcher = RequestBatcher(engines, options, self.metrics.batch_size.observe)
        self.pending = PendingAudio(round(options.max_pending_seconds * self.rate))
        self.metrics.queue_depth.set_function(lambda: self.batcher.depth)
        self.stopping = False
        self.live_sessions = 0
        self._decoding = ThreadPoolExecutor(DECODING_THREADS, thread_name_prefix="decode")
        # Each session waits for the queue in a thread of its own.
        self.live_threads = ThreadPoolExecutor(options.max_live, thread_name_prefix="live")
        self.live_engine = QueuedEngine(self.batcher, self.engine, processor, options.request_seconds)

    @property
    def max_seconds(self) -> float:
        """The longest recording that is taken, in seconds."""
        return min(self.options.max_audio_seconds, self.engine.max_seconds(1))

    async def decode(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what takes a while in one of the threads for it.

        Where the caller is cancelled, what has begun is waited for: the file that it reads must stay open until then.
        """
        job = self._decoding.submit(function, *arguments)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            while not job.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(_POLL_SECONDS)
            raise

    def load(self, source: bytes | IO[bytes], share: Share) -> np.ndarray:
        """A sound file as a recording that the model can take; call it through :meth:`decode`.

        Raises:
            PendingAudioError: where too much sound is being answered already.
            ValueError: where it is not audio, too short, or longer than :attr:`max_seconds`, at which decoding stops: hours of
                silence are a few kilobytes.
        """
        try:
            clip = load_audio(source, sampling_rate=self.rate, max_seconds=self.max_seconds)
        except ValueError as error:
            # What comes in a request has no name.
            raise ValueError(re.sub("<(bytes|file)>", "The file", str(error))) from error
        share.add(len(clip))
        self.check(clip)
        return clip

    def check(self, clip: np.ndarray) -> None:
        """Make sure that a recording (samples,) can be computed.

        Raises:
            ValueError: for one of less than one frame, longer than :attr:`max_seconds`, or with NaN or infinite samples.
        """
        if len(clip) < self.engine.shortest:
            raise ValueError(
                f"The recording has {len(clip)} samples, less than the {self.engine.shortest} of one frame of the model: "
                "send a longer one"
            )
        if len(clip) > self.max_seconds * self.rate:
            raise ValueError(
                f"The recording lasts more than {self.max_seconds:g} s, the longest that is taken in one piece: split it into "
                "shorter clips"
            )
        if not np.isfinite(clip).all():
            raise ValueError("The recording holds NaN or infinite samples: check how it was read or computed")

    async def logits(self, clip: np.ndarray) -> np.ndarray:
        """The model's logits (frames, labels) for a recording that :meth:`check` let pass.

        Raises:
            HTTPException: with 503, where the server stops.
        """
        try:
            waiting = self.batcher.submit(clip)
        except RuntimeError as error:
            raise HTTPException(503, str(error)) from error
        self.metrics.audio_seconds.inc(len(clip) / self.rate)
        return (await asyncio.wrap_future(waiting))["logits"]

    async def recognise(self, clip: np.ndarray) -> Recognition | None:
        """What was heard in a recording; None where the model computes no numbers. Raises as :meth:`logits`."""
        logits = await self.logits(clip)
        return await self.decode(self.writer.read, logits)

    def close(self) -> None:
        """Finish what waits and end the threads."""
        self.stopping = True
        self.live_threads.shutdown(cancel_futures=True)
        self.batcher.close()
        self._decoding.shutdown()
