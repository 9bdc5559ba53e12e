"""Speech recognition as a model of Apache Beam's ``RunInference``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import ModelHandler

from tfwav2vec2.beam.transcription import BatchTranscriber, Source, try_out
from tfwav2vec2.data.examples import Example
from tfwav2vec2.serving.engines import Engine, LiteRTEngine, is_engine, is_server, open_engine
from tfwav2vec2.transcription.transcript import Transcript

METRICS = "tfwav2vec2"
"""The namespace of the counters: those of :class:`~tfwav2vec2.beam.transcription.Tally`, and Beam's own."""

BATCH_SECONDS = 16.0
RECORDINGS_TOGETHER = 64

# What opens an engine in the process that runs it.
OpensEngine = Callable[[], Engine]


class TranscriptionModelHandler(ModelHandler[Source, Transcript, Engine]):
    """Opens a model once in each process, and transcribes recordings with it, batched by length.

    An example is a file's path or bytes, or a :class:`tfwav2vec2.Example`; a prediction is a
    :class:`~tfwav2vec2.transcription.transcript.Transcript`, whose ``error`` says why where there is no text.
    Only paths travel between the steps of a pipeline: audio is read where it is transcribed.

    Args:
        model: a model's folder or its name on the hub, a ``.tflite`` file, the folder of a SavedModel, the address of a
            model on a server, or a function that opens an :class:`~tfwav2vec2.serving.engines.Engine`; None for the
            embedded model, which knows English digits only.
        language: the language of a multilingual model, as for :class:`~tfwav2vec2.Transcriber`.
        batch_seconds: how many seconds of audio go through the model together, padding included; a longer recording
            goes alone. Some hundreds pay on a GPU.
        recordings_together: recordings that are sorted by length together.
        threads: that compute in each process; all processors by default. Set it where several processes share a machine.
        hub_options: as for :meth:`tfwav2vec2.Transcriber.from_pretrained`.
    """

    def __init__(
        self,
        model: str | Path | OpensEngine | None = None,
        *,
        language: str | None = None,
        batch_seconds: float = BATCH_SECONDS,
        recordings_together: int = RECORDINGS_TOGETHER,
        threads: int | None = None,
        **hub_options: Any,
    ) -> None:
        if not batch_seconds > 0:
            raise ValueError(f"batch_seconds must be a positive number of seconds; got {batch_seconds!r}")
        # TensorFlow reads these when it starts, in the process that runs the model.
        names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        super().__init__(
            min_batch_size=recordings_together,
            max_batch_size=recordings_together,
            env_vars={} if threads is None else dict.fromkeys(names, str(threads)),
        )
        self.model, self.language, self.hub_options = model, language, hub_options
        self.batch_seconds, self.threads = batch_seconds, threads

    def load_model(self) -> Engine:
        """Open the engine and try it out.

        Raises:
            OSError: where a file is missing or damaged, or a server does not answer.
            ValueError: where the model gives no text, the files do not fit one another, or a language is asked of an exported model.
            ImportError: where what runs it is not installed.
        """
        engine = self._open()
        try_out(engine)
        return engine

    def _open(self) -> Engine:
        if callable(self.model):
            return self.model()
        if self.model is None or not is_engine(self.model):
            from tfwav2vec2.transcription.transcriber import Transcriber

            return Transcriber.from_pretrained(self.model, language=self.language, **self.hub_options).engine
        if self.language is not None:
            raise ValueError(f"{self.model} is an exported model, whose language is fixed: give none")
        if not is_server(self.model) and Path(self.model).is_file():
            return LiteRTEngine(self.model, threads=self.threads)
        return open_engine(self.model)

    def run_inference(
        self, batch: Sequence[Source], model: Engine, inference_args: dict[str, Any] | None = None
    ) -> list[Transcript]:
        """One transcript for each recording of the batch."""
        transcriber = BatchTranscriber(model, self.batch_seconds)
        transcripts = transcriber.transcribe(batch)
        for name, count in transcriber.tally.counts().items():
            Metrics.counter(METRICS, name).inc(count)
        return transcripts

    def get_num_bytes(self, batch: Sequence[Source]) -> int:
        """How much audio the batch is, as its files hold it."""
        return sum(map(_bytes_of, batch))

    def get_metrics_namespace(self) -> str:
        """Where ``RunInference`` keeps its own counters."""
        return METRICS


def _bytes_of(source: Source) -> int:
    audio = source.audio if isinstance(source, Example) else source
    if isinstance(audio, (str, os.PathLike)):
        try:
            return Path(audio).stat().st_size
        except OSError:
            return 0
    return getattr(audio, "nbytes", 0) or (len(audio) if isinstance(audio, bytes) else 0)
