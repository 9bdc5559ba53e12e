"""Recordings to transcripts inside an Apache Beam pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import KeyedModelHandler, RunInference

from tfwav2vec2.beam.model_handler import OpensEngine, TranscriptionModelHandler
from tfwav2vec2.transcription.transcript import Transcript

RESULTS, FAILURES = "results", "failures"


class Transcribe(beam.PTransform):
    """Recordings with their keys to transcripts with their keys, and those that failed to the reasons.

    The input holds ``(key, source)``, a source being a file's path or bytes or a :class:`tfwav2vec2.Example`, and a key
    whatever tells them apart. The output are two collections: ``results`` of ``(key, Transcript)``, and ``failures``, the
    dead letters, of ``(key, reason)``. A batch that fails is tried again clip by clip, so that one bad recording takes no
    other with it. Only where the server of a model stays away is there an error, which makes runners try again.

    Args:
        model: as for :class:`~tfwav2vec2.beam.model_handler.TranscriptionModelHandler`, and so are all options; or such a
            handler.
        options: of the handler.

    Example::

        import apache_beam as beam
        from apache_beam.io import WriteToText, fileio
        from tfwav2vec2.beam import Transcribe

        with beam.Pipeline() as pipeline:
            results, failures = (
                pipeline
                | fileio.MatchFiles("calls/*.wav")
                | beam.Map(lambda file: (file.path, file.path))
                | beam.Reshuffle()
                | Transcribe("facebook/wav2vec2-base-960h")
            )
            lines = results | beam.MapTuple(lambda path, transcript: f"{path}\\t{transcript.text}")
            lines | WriteToText("transcripts", ".tsv")
            failures | beam.MapTuple("{}\\t{}".format) | "Failures" >> WriteToText("failures", ".tsv")
    """

    def __init__(
        self, model: str | Path | OpensEngine | TranscriptionModelHandler | None = None, **options: Any
    ) -> None:
        super().__init__()
        if isinstance(model, TranscriptionModelHandler):
            if options:
                raise ValueError(f"The options {', '.join(options)} belong to the handler: give them to that")
            self._handler = model
        else:
            self._handler = TranscriptionModelHandler(model, **options)

    def expand(self, recordings: beam.PCollection) -> Any:
        """The two collections, as ``results, failures`` or as attributes of these names."""
        transcripts = recordings | RunInference(KeyedModelHandler(self._handler))
        return transcripts | "Part" >> beam.ParDo(_Part()).with_outputs(FAILURES, main=RESULTS)


class _Part(beam.DoFn):
    """Transcripts to the main output, reasons to the dead letters."""

    def process(self, element: tuple[Any, Transcript]) -> Iterator[Any]:
        key, transcript = element
        if transcript.error is None:
            yield key, transcript
        else:
            yield beam.pvalue.TaggedOutput(FAILURES, (key, transcript.error))
