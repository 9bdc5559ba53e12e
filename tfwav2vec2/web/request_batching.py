"""Dynamic batching: recordings that arrive while the engine is busy are computed together.

Nobody waits for company. A worker that becomes free takes the recording that has waited longest, and with it those of about
its length, so that no recording is passed over and little of a batch is padding. Requests and live sessions stand in
one queue.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np

from tfwav2vec2.serving.engines import Arrays, Engine, LiteRTEngine
from tfwav2vec2.web.options import ServerOptions

# In a batch, the shortest recording is at least this share of the longest.
LEAST_SHARE = 0.75

# Among so many that have waited longest a batch is looked for: however long the queue, that takes no time to speak of.
LOOKED_AT = 64

# The default of ``max_batch_seconds`` by engine.
LITERT_SECONDS, OTHER_SECONDS = 2.0, 20.0


class RequestBatcher:
    """A queue of single recordings before one or more engines, each in a thread of its own.

    Args:
        engines: all of one model. Each computes one batch at a time, so that engines which may not be called from two threads
            at once are safe here.
        options: ``max_batch`` and ``max_batch_seconds`` count.
        on_batch: told the size of each batch before it is computed.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        options: ServerOptions,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._engine = engines[0]
        rate = self._engine.sampling_rate
        self._most_rows = options.max_batch if _is_batched(self._engine) else 1
        seconds = options.max_batch_seconds
        if seconds is None:
            seconds = LITERT_SECONDS if isinstance(self._engine, LiteRTEngine) else OTHER_SECONDS
        self._most_samples = round(seconds * rate)
        self._on_batch = on_batch
        self._waiting: list[tuple[np.ndarray, Future[Arrays]]] = []
        self._idle = 0
        self._closed = False
        self._changed = threading.Condition()
        self._workers = [
            threading.Thread(target=self._work, args=(engine,), name=f"engine-{number}", daemon=True)
            for number, engine in enumerate(engines)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def depth(self) -> int:
        """How many recordings wait."""
        return len(self._waiting)

    def submit(self, clip: np.ndarray) -> Future[Arrays]:
        """Queue a recording (samples,) float32 at the engine's rate, at least one frame long and all finite.

        Returns:
            A future of what the engine gives for it alone: the arrays without the batch, frames behind its end left out. One
            that is cancelled before its turn is never computed.

        Raises:
            RuntimeError: after :meth:`close`.
        """
        future: Future[Arrays] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("The server is stopping and takes no more recordings")
            self._waiting.append((clip, future))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Compute what waits, then end the threads. No more is taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def _work(self, engine: Engine) -> None:
        while group := self._take():
            self._on_batch(len(group))
            _answer(engine, group)

    def _take(self) -> list[tuple[np.ndarray, Future[Arrays]]]:
        """The next batch; none once the queue is closed and empty."""
        with self._changed:
            self._idle += 1
            group: list[tuple[np.ndarray, Future[Arrays]]] = []
            while not group:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                if not self._waiting:
                    break
                group = self._chosen()
            self._idle -= 1
            return group

    def _chosen(self) -> list[tuple[np.ndarray, Future[Arrays]]]:
        """The recording that has waited longest and those that go with it, out of the queue; nobody where all were cancelled."""
        # Idle workers share what there is: half each in two threads is faster than all in one.
        most = min(self._most_rows, math.ceil(len(self._waiting) / self._idle))
        chosen: list[tuple[np.ndarray, Future[Arrays]]] = []
        left: list[tuple[np.ndarray, Future[Arrays]]] = []
        for waiting in self._waiting[:LOOKED_AT]:
            clip, future = waiting
            if len(chosen) == most or not self._fits([*(len(each) for each, _ in chosen), len(clip)]):
                left.append(waiting)
            elif future.set_running_or_notify_cancel():
                chosen.append(waiting)
        self._waiting = left + self._waiting[LOOKED_AT:]
        return chosen

    def _fits(self, lengths: Sequence[int]) -> bool:
        longest, rows = max(lengths), len(lengths)
        return rows == 1 or (
            min(lengths) >= LEAST_SHARE * longest
            and rows * longest <= self._most_samples
            and longest <= self._engine.max_seconds(rows) * self._engine.sampling_rate
        )


class QueuedEngine(Engine):
    """The batcher as an engine, for code that calls one and waits, such as a live session in its thread.

    Args:
        batcher: computes.
        engine: whose names, rate and configuration it shows.
        processor: what belongs to the model.
        seconds: how long to wait for an answer.
    """

    def __init__(self, batcher: RequestBatcher, engine: Engine, processor: Any, seconds: float) -> None:
        self.name, self.config, self.shortest = engine.name, engine.config, engine.shortest
        self.sampling_rate = engine.sampling_rate
        self.processor = processor
        self._batcher, self._engine, self._seconds = batcher, engine, seconds
        if isinstance(engine, LiteRTEngine):
            self.buffer = engine.buffer

    def max_seconds(self, batch_size: int) -> float:
        """As :meth:`Engine.max_seconds`."""
        return self._engine.max_seconds(batch_size)

    def texts(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> list[str | None]:
        """Live sessions read logits, not texts."""
        raise NotImplementedError("The queue gives logits alone: call it")

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        rows = zip(waveform, lengths, strict=True)
        futures = [self._batcher.submit(row[:length]) for row, length in rows]
        try:
            answers = [future.result(self._seconds) for future in futures]
        finally:
            for future in futures:
                future.cancel()
        frames = max(len(answer["logits"]) for answer in answers)
        logits = [np.pad(each["logits"], [(0, frames - len(each["logits"])), (0, 0)]) for each in answers]
        return {"logits": np.stack(logits), "frame_lengths": np.array([len(a["logits"]) for a in answers])}


def _answer(engine: Engine, group: Sequence[tuple[np.ndarray, Future[Arrays]]]) -> None:
    """Compute a batch and hand each its own row."""
    lengths = [len(clip) for clip, _ in group]
    waveform = np.zeros((len(group), max(lengths)), np.float32)
    for row, (clip, _) in zip(waveform, group, strict=True):
        row[: len(clip)] = clip
    try:
        answer = engine(waveform, lengths)
    except Exception as error:
        if len(group) == 1:
            group[0][1].set_exception(error)
            return
        # What one recording breaks is not its neighbours' fault.
        for each in group:
            _answer(engine, [each])
        return
    for place, (_, future) in enumerate(group):
        frames = int(answer["frame_lengths"][place])
        # A copy: the batch's own array would stay in memory for as long as one of its rows is written down.
        future.set_result({"logits": np.array(answer["logits"][place, :frames], np.float32)})


def _is_batched(engine: Engine) -> bool:
    """Whether padding leaves the answers as they are, so that recordings may be computed together."""
    model = getattr(engine, "model", None)
    if model is not None:
        return bool(model.padding_is_neutral())
    if isinstance(engine, LiteRTEngine) and engine.buffer(engine.shortest) != engine.shortest:
        # A file for GPUs hears the silence behind a recording, up to a buffer that the longest chooses.
        return False
    config = engine.config
    return config is not None and (
        config.feature_norm_mask or (config.feat_extract_norm == "layer" and not config.add_adapter)
    )
