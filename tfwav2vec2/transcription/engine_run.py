"""One run of an engine over recordings: which batches it is given, and what is made of its answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfwav2vec2.processors import processors
from tfwav2vec2.serving.engines import Arrays, Engine
from tfwav2vec2.transcription.corpus import (
    Batching,
    Clip,
    Failure,
    LongRecording,
    Reader,
    read_ahead,
)
from tfwav2vec2.transcription.cutting import Piece, cut_in_pieces
from tfwav2vec2.transcription.longform import LongformEncoder, LongformOptions, padded
from tfwav2vec2.transcription.stream_windows import StreamWindows
from tfwav2vec2.transcription.transcript import Transcript
from tfwav2vec2.transcription.writing import BeamSearch, BestPath, Searched, Written, decoding_options

# Recordings that are read before they are asked for.
READ = 4

# So many recordings may be searched at a time before the model waits for them.
MOST_SEARCHES = 64

# Pieces for an engine that tells no frames begin at multiples of so many seconds.
GRID_SECONDS = 0.02


@dataclass(frozen=True, eq=False)
class Pending:
    """A recording that has been through the model; ``seconds`` is its length."""

    place: int
    name: str
    seconds: float
    written: Written | Searched

    def transcript(self) -> Transcript:
        """What was heard; waits for it."""
        written = self.written if isinstance(self.written, Written) else self.written.result()
        return Transcript(self.name, written.text, self.seconds, words=written.words)


Outcome = Pending | Failure


class EngineRun:
    """What one call of :meth:`EngineTranscriber.transcribe` needs; arguments as there.

    Raises:
        TypeError, ValueError: for options of a search that there are not.
    """

    def __init__(
        self,
        engine: Engine,
        processor: Any,
        longform: LongformOptions,
        batch_size: int,
        batch_seconds: float | None,
        words: bool,
        decoding: Mapping[str, Any],
    ) -> None:
        self.engine, self.words = engine, words
        self.options = decoding_options(processor, decoding)
        self.processor = processor
        rate = engine.sampling_rate
        rows = batch_size
        if batch_seconds is not None:
            rows = max(int(batch_seconds / longform.chunk_seconds), 1)
        self.encoder: LongformEncoder | None = None
        config, tokenizer = engine.config, getattr(processor, "tokenizer", None)
        if config is not None and not config.add_adapter and tokenizer is not None:
            self.encoder = LongformEncoder(engine, longform, processor=processor, batch_size=rows)
            self.windows = self.encoder.windows
        else:
            hop = round(GRID_SECONDS * rate)
            seconds = min(longform.chunk_seconds, engine.max_seconds(1))
            self.windows = StreamWindows(hop, hop, 0, max(int(seconds * rate) // hop, 1), 0)
        self._at_pauses = longform.cut == "silence" or self.encoder is None
        self._batching = Batching(
            batch_size if batch_seconds is None else None,
            None if batch_seconds is None else batch_seconds * rate,
            lambda rows, samples: samples <= engine.max_seconds(rows) * rate,
        )
        self._searchers: ThreadPoolExecutor | None = None
        if getattr(processor, "decoder", None) is not None and self.encoder is not None:
            self._searchers = ThreadPoolExecutor(processors(), thread_name_prefix="search")

    def __enter__(self) -> EngineRun:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._searchers is not None:
            self._searchers.shutdown(cancel_futures=True)

    def outcomes(self, sources: Iterable[Any], source_rate: int | None) -> Iterator[Outcome]:
        """What becomes of each recording, as it comes out of the model."""
        rate, windows = self.engine.sampling_rate, self.windows
        # A window's frames hear all but a few of so many samples; what the engine takes at once goes whole nevertheless.
        longest = min(windows.window + windows.hop - 1, int(self.engine.max_seconds(1) * rate))
        reader = Reader(rate, longest, self.engine.shortest, source_rate)
        in_step = self._batching.alone and not isinstance(sources, Sequence)
        for group in self._batching.groups(read_ahead(sources, reader.read, 0 if in_step else READ)):
            yield from (each for each in group if isinstance(each, Failure))
            for batch in self._batching.batches([each for each in group if isinstance(each, Clip)]):
                for outcome in self._clips(batch):
                    if in_step and isinstance(outcome, Pending):
                        outcome.transcript()  # before the next source is asked for
                    yield outcome
            for each in group:
                if isinstance(each, LongRecording):
                    yield self._long(each)

    def _clips(self, clips: list[Clip]) -> Iterator[Outcome]:
        """Recordings of one piece each."""
        rate = self.engine.sampling_rate
        waveform, lengths = padded([clip.waveform for clip in clips])
        try:
            written = self._written(clips, waveform, lengths)
        except ValueError as error:
            if len(clips) > 1:
                # Which of them is refused shows when each goes alone.
                for clip in clips:
                    yield from self._clips([clip])
                return
            yield Failure(clips[0].place, clips[0].name, lengths[0] / rate, error)
            return
        for clip, length, each in zip(clips, lengths, written, strict=True):
            if each is None:
                yield Failure(clip.place, clip.name, length / rate, ValueError(_no_numbers(clip.name)))
            else:
                yield Pending(clip.place, clip.name, length / rate, each)

    def _written(
        self, clips: list[Clip], waveform: np.ndarray, lengths: list[int]
    ) -> list[Written | Searched | None]:
        """What clips say; None where the model computes no numbers."""
        encoder = self.encoder
        if encoder is None or not (self.words or self._searchers):
            return [
                None if text is None else Written(text, None) for text in self.engine.texts(waveform, lengths)
            ]
        answer: Arrays = self.engine(waveform, lengths)
        found: list[Written | Searched | None] = []
        for row, clip in enumerate(clips):
            piece = Piece(clip.waveform, 0, 0, encoder.windows.frames_in(lengths[row]), True, True)
            writer = self._writer(encoder)
            writer.add(encoder.block(piece, answer, row, clip.name))
            found.append(writer.finish())
        return found

    def _writer(self, encoder: LongformEncoder) -> BestPath | BeamSearch:
        if self._searchers is None:
            return BestPath(encoder.tokenizer, encoder.frame_seconds, self.words)
        return BeamSearch(self.processor, encoder.frame_seconds, self.words, self._searchers, self.options)

    def _long(self, recording: LongRecording) -> Outcome:
        """A recording of several pieces."""
        rate = self.engine.sampling_rate
        audio = _Counted(recording.audio)
        pieces = cut_in_pieces(audio, self.windows, rate, at_pauses=self._at_pauses)
        try:
            if self.encoder is None:
                written: Written | Searched = self._joined_texts(pieces, recording.name)
            else:
                writer = self._writer(self.encoder)
                for block in self.encoder.blocks_of(pieces, recording.name):
                    writer.add(block)
                written = writer.finish()
        except (ValueError, ImportError) as error:
            return Failure(recording.place, recording.name, audio.samples / rate, error)
        return Pending(recording.place, recording.name, audio.samples / rate, written)

    def _joined_texts(self, pieces: Iterator[Piece], name: str) -> Written:
        texts = []
        for piece in pieces:
            if len(piece.samples) < self.engine.shortest:
                continue  # the rest after a pause
            (text,) = self.engine.texts(*padded([piece.samples]))
            if text is None:
                raise ValueError(_no_numbers(name))
            texts.append(text)
        return Written(" ".join(text for text in texts if text), None)


class _Counted:
    """Blocks of samples, and how many samples have come."""

    def __init__(self, blocks: Iterable[np.ndarray]) -> None:
        self._blocks = blocks
        self.samples = 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            yield block


def in_order(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Outcomes in the order of their places, each as soon as it is there."""
    waiting: dict[int, Outcome] = {}
    place = 0
    for outcome in outcomes:
        waiting[outcome.place] = outcome
        while place in waiting and _is_ready(waiting[place], len(waiting)):
            yield waiting.pop(place)
            place += 1
    while place in waiting:
        yield waiting.pop(place)
        place += 1


def as_ready(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Outcomes as soon as they are there."""
    waiting: list[Outcome] = []
    for outcome in outcomes:
        waiting.append(outcome)
        ready = [_is_ready(each, len(waiting)) for each in waiting]
        yield from (each for each, now in zip(waiting, ready, strict=True) if now)
        waiting = [each for each, now in zip(waiting, ready, strict=True) if not now]
    yield from waiting


def _is_ready(outcome: Outcome, waiting: int) -> bool:
    if isinstance(outcome, Failure) or isinstance(outcome.written, Written):
        return True
    return waiting > MOST_SEARCHES or outcome.written.done()


def _no_numbers(name: str) -> str:
    return f"{name} makes the model compute NaN or infinity: check the recording's level, and the model's weights"
