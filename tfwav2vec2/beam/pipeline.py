"""A batch's pipeline: shards are transcribed and written down as they come, on whatever runner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner

from tfwav2vec2.beam.journal import Journal, Outcome
from tfwav2vec2.beam.model_handler import METRICS, TranscriptionModelHandler
from tfwav2vec2.beam.shards import Shard
from tfwav2vec2.beam.transcription import Source, Tally
from tfwav2vec2.serving.engines import Engine
from tfwav2vec2.transcription.transcript import Transcript


class ShardModelHandler(TranscriptionModelHandler):
    """As the handler of recordings, but an example is a shard, and a prediction the shard with all its transcripts.

    So a shard stays one element of the pipeline from its beginning to the file that it becomes, whatever a runner does
    between its steps.
    """

    def __init__(self, model: Any = None, **options: Any) -> None:
        super().__init__(model, recordings_together=1, **options)

    def run_inference(
        self, batch: Sequence[Shard], model: Engine, inference_args: dict[str, Any] | None = None
    ) -> list[tuple[Shard, list[Transcript]]]:
        """The transcripts of each shard's recordings, in their order."""
        transcribe = super().run_inference
        return [(shard, transcribe(_sources(shard), model, inference_args)) for shard in batch]

    def get_num_bytes(self, batch: Sequence[Shard]) -> int:
        """How much audio the shards are, as their files hold it."""
        size = super().get_num_bytes
        return sum(size(_sources(shard)) for shard in batch)


def _sources(shard: Shard) -> list[Source]:
    return [recording.source for recording in shard.recordings]


class _Unwritten(beam.DoFn):
    """Shards without those that an earlier attempt of the runner has written."""

    def __init__(self, journal: Path) -> None:
        self._journal = Journal(journal)

    def process(self, shard: Shard) -> Iterator[Shard]:
        if not self._journal.path_of(shard.name).exists():
            yield shard


class _Write(beam.DoFn):
    """Shards with their transcripts to the journal."""

    def __init__(self, journal: Path) -> None:
        self._journal = Journal(journal)

    def process(self, element: tuple[Shard, list[Transcript]]) -> None:
        shard, transcripts = element
        self._journal.write(
            shard.name,
            [
                Outcome(recording.id, recording.fingerprint, heard.text, heard.seconds, heard.error)
                for recording, heard in zip(shard.recordings, transcripts, strict=True)
            ],
        )


def run_shards(
    shards: Sequence[Shard],
    journal: Journal,
    handler: ShardModelHandler,
    runner: PipelineRunner,
    options: PipelineOptions,
) -> Tally:
    """Transcribe shards and write them to the journal, each as soon as it is done.

    Returns:
        What went through the model, as far as the runner tells.

    Raises:
        Exception: whatever stopped the runner.
    """
    pipeline = beam.Pipeline(runner=runner, options=options)
    (
        pipeline
        | "Shards" >> beam.Create(shards)
        # Deals them among the workers.
        | beam.Reshuffle()
        | "Unwritten" >> beam.ParDo(_Unwritten(journal.folder))
        | "Transcribe" >> RunInference(handler)
        | "Write" >> beam.ParDo(_Write(journal.folder))
    )
    result = pipeline.run()
    state = result.wait_until_finish()
    if state not in (None, "DONE"):
        raise RuntimeError(f"The runner ended in the state {state}: its own log says why")
    return _tally(result)


def _tally(result: PipelineResult) -> Tally:
    tally = Tally()
    try:
        counters = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(METRICS))["counters"]
    except NotImplementedError:
        return tally
    for counter in counters:
        name = counter.key.metric.name
        if hasattr(tally, name):
            setattr(tally, name, getattr(tally, name) + (counter.committed or counter.attempted or 0))
    return tally
