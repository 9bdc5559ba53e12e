"""From sound files to transcripts: load, run an engine, decode."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

from tfwav2vec2.serving.engines import Engine
from tfwav2vec2.transcription.engine_run import EngineRun, Outcome, Pending, as_ready, in_order
from tfwav2vec2.transcription.longform import LongformOptions
from tfwav2vec2.transcription.transcript import Transcript


class EngineTranscriber:
    """Transcribes recordings of any rate, format, channel count and length with any engine for speech recognition.

    A recording of more than ``longform.chunk_seconds`` goes through the engine in pieces, as a stream: memory does not grow with its
    length (:mod:`tfwav2vec2.transcription.longform`). An engine that tells no frames or labels (a server, a model with a
    convolutional adapter) gives the text of each piece, joined with spaces.

    Args:
        engine: what computes (see :mod:`tfwav2vec2.serving.engines`).
        batch_size: recordings that go through it together. On a CPU one at a time is fastest, since none is padded; on an
            accelerator more pay.
        batch_seconds: how many seconds of audio go through it together, padding included, where ``batch_size`` is 1: then as
            many recordings as fit. Either way recordings of like length go together, and some are read ahead.
        longform: how long recordings are cut.
        processor: what belongs to the model; the engine's by default. Where it has a decoder
            (:class:`~tfwav2vec2.Wav2Vec2ProcessorWithLM`), texts are searched for with its language model.

    Raises:
        ValueError: for a ``batch_size`` or ``batch_seconds`` that is none, or both.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        batch_size: int = 1,
        batch_seconds: float | None = None,
        longform: LongformOptions | None = None,
        processor: Any = None,
    ) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number from 1 on; got {batch_size!r}")
        if batch_seconds is not None and not batch_seconds > 0:
            raise ValueError(f"batch_seconds must be a number of seconds above 0; got {batch_seconds!r}")
        if batch_seconds is not None and batch_size > 1:
            raise ValueError("batch_size and batch_seconds both say what goes together: give one of them")
        self.engine = engine
        self.batch_size = batch_size
        self.batch_seconds = batch_seconds
        self.longform = longform or LongformOptions()
        self._processor = processor

    @property
    def max_seconds(self) -> float:
        """The longest piece in seconds whose attention fits the memory that is set aside for it."""
        return self.engine.max_seconds(self.batch_size)

    def transcribe(
        self,
        sources: Any,
        *,
        source_rate: int | None = None,
        errors: Literal["raise", "return"] = "raise",
        words: bool = False,
        ordered: bool = True,
        **decoding: Any,
    ) -> Iterator[Transcript]:
        """Transcribe recordings one after the other, each as soon as it is asked for.

        While the model computes, threads read what comes next and search for the texts of what came before, as far as a few
        batches: memory is bounded, however many recordings there are. An iterator's next source is asked for ahead of time only
        where ``batch_size`` or ``batch_seconds`` makes several go together.

        Args:
            sources: one source or an iterable of them, each whatever :func:`~tfwav2vec2.load_audio` takes, of any length.
            source_rate: the rate in Hz of sources that are arrays.
            errors: what becomes of a recording that cannot be transcribed: "raise" stops with the error, "return"
                yields a transcript with ``error`` set and goes on.
            words: whether transcripts have their words with times and confidences; without labels from the engine they have
                none.
            ordered: whether transcripts come in the order of the sources, or as they are ready.
            decoding: options of the search, where the processor has a decoder: ``beam_width``, ``beam_prune_logp``,
                ``token_min_logp``, ``hotwords``, ``hotword_weight``, ``lexicon_bound``, and the language model's ``alpha``, ``beta``,
                ``unk_score_offset`` and ``lm_score_boundary``, as :meth:`~tfwav2vec2.Wav2Vec2ProcessorWithLM.decode` takes them.

        Raises:
            OSError: where a file is missing or cannot be read, or a server does not answer.
            ValueError: where it is not audio, too short for one frame, or gives no numbers; where the tokenizer no longer fits
                the model; and for decoding options where nothing is searched.
            TypeError: where a source is of no known kind, and for unknown decoding options.
            ImportError: where a file needs the extra ``media``, which is not installed.
        """
        if errors not in ("raise", "return"):
            raise ValueError(f"errors must be 'raise' or 'return'; got {errors!r}")
        self._check()
        processor = getattr(self.engine, "processor", None) if self._processor is None else self._processor
        run = EngineRun(
            self.engine, processor, self.longform, self.batch_size, self.batch_seconds, words, decoding
        )
        with run:
            outcomes = run.outcomes([sources] if _is_single(sources) else sources, source_rate)
            for outcome in in_order(outcomes) if ordered else as_ready(outcomes):
                yield self._transcript(outcome, errors)

    def _check(self) -> None:
        """Make sure that the parts still fit one another."""

    def _transcript(self, outcome: Outcome, errors: str) -> Transcript:
        if isinstance(outcome, Pending):
            return outcome.transcript()
        if errors == "raise":
            raise outcome.error
        message = str(outcome.error)
        message = message if outcome.name in message else f"{outcome.name}: {message}"
        return Transcript(outcome.name, "", outcome.seconds, message)


def _is_single(sources: Any) -> bool:
    """Whether ``sources`` is one recording rather than several."""
    single = isinstance(sources, (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray))
    return single or hasattr(sources, "read")
