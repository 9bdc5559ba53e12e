"""Recordings are computed together where that pays, each gets its own answer, and nothing is computed for nobody."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.conftest import HeldEngine, until
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.serving.engines import Arrays, Engine, LiteRTEngine
from tfwav2vec2.web.options import ServerOptions
from tfwav2vec2.web.pending_audio import PendingAudio, PendingAudioError
from tfwav2vec2.web.request_batching import LEAST_SHARE, QueuedEngine, RequestBatcher

RATE = 1_000


class SumEngine(Engine):
    """One frame a sample, one label: the sample. It keeps what it was asked, and fails for what it is told to."""

    name = "sums"
    sampling_rate = RATE
    shortest = 1

    def __init__(self, config: Any = None) -> None:
        self.config = config or Wav2Vec2Config(feature_norm_mask=True)
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.poison = np.nan

    def texts(self, waveform: np.ndarray, lengths: Any) -> list[str | None]:
        raise NotImplementedError

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        assert self.go.wait(30)
        self.batches.append(lengths.tolist())
        if (waveform == self.poison).any():
            raise ValueError("poisoned")
        return {"logits": waveform[..., None], "frame_lengths": lengths}


def clips_of(lengths: list[int]) -> list[np.ndarray]:
    return [np.full(length, place + 1, np.float32) for place, length in enumerate(lengths)]


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=30), engines=st.integers(1, 3))
def test_everyone_gets_their_own_answer_and_batches_keep_their_limits(
    lengths: list[int], engines: int
) -> None:
    options = ServerOptions(max_batch=4, max_batch_seconds=1.0)
    workers = [SumEngine() for _ in range(engines)]
    for engine in workers:
        engine.go.clear()
    batcher = RequestBatcher(workers, options)
    futures = [batcher.submit(clip) for clip in clips_of(lengths)]
    for engine in workers:
        engine.go.set()
    batcher.close()
    for place, (future, length) in enumerate(zip(futures, lengths, strict=True)):
        np.testing.assert_array_equal(future.result(0)["logits"], np.full((length, 1), place + 1))
    batches = [batch for engine in workers for batch in engine.batches]
    assert sorted(length for batch in batches for length in batch) == sorted(lengths)
    for batch in batches:
        assert len(batch) <= options.max_batch
        assert len(batch) == 1 or len(batch) * max(batch) <= options.max_batch_seconds * RATE
        assert min(batch) >= LEAST_SHARE * max(batch)


def test_the_one_that_waited_longest_goes_first_with_those_of_its_length() -> None:
    engine = SumEngine()
    engine.go.clear()
    batcher = RequestBatcher([engine], ServerOptions(max_batch=3))
    first = batcher.submit(np.ones(50, np.float32))
    until(lambda: batcher.depth == 0)
    rest = [batcher.submit(np.ones(length, np.float32)) for length in (100, 10, 90, 11, 95, 80)]
    engine.go.set()
    for future in (first, *rest):
        future.result(10)
    batcher.close()
    assert engine.batches == [[50], [100, 90, 95], [10, 11], [80]]


def test_idle_workers_share_what_waits() -> None:
    engines = [SumEngine(), SumEngine()]
    batcher = RequestBatcher(engines, ServerOptions(max_batch=8))
    for engine in engines:
        engine.go.clear()
    both = [batcher.submit(np.ones(10, np.float32)) for _ in range(2)]
    until(lambda: batcher.depth == 0)
    more = [batcher.submit(np.ones(10, np.float32)) for _ in range(6)]
    for engine in engines:
        engine.go.set()
    for future in (*both, *more):
        future.result(10)
    batcher.close()
    assert all(engine.batches[0] == [10] for engine in engines)


def test_what_is_cancelled_is_not_computed() -> None:
    engine = SumEngine()
    engine.go.clear()
    batcher = RequestBatcher([engine], ServerOptions(max_batch=1))
    futures = [batcher.submit(np.ones(length, np.float32)) for length in (5, 6, 7)]
    until(lambda: batcher.depth == 2)
    assert futures[1].cancel()
    engine.go.set()
    assert len(futures[2].result(10)["logits"]) == 7
    batcher.close()
    assert engine.batches == [[5], [7]]
    with pytest.raises(CancelledError):
        futures[1].result(0)


def test_what_one_breaks_is_not_the_others_fault() -> None:
    engine = SumEngine()
    engine.go.clear()
    engine.poison = 7.0
    batcher = RequestBatcher([engine], ServerOptions(max_batch=4))
    futures = [batcher.submit(np.full(10, value, np.float32)) for value in (1, 2, 7, 3)]
    engine.go.set()
    with pytest.raises(ValueError, match="poisoned"):
        futures[2].result(10)
    assert [float(futures[place].result(10)["logits"][0, 0]) for place in (0, 1, 3)] == [1, 2, 3]
    assert len(batcher.submit(np.ones(3, np.float32)).result(10)["logits"]) == 3
    batcher.close()


def test_a_queue_that_is_closed_answers_what_waits_and_takes_no_more() -> None:
    engine = SumEngine()
    engine.go.clear()
    batcher = RequestBatcher([engine], ServerOptions(max_batch=1))
    futures = [batcher.submit(np.ones(9, np.float32)) for _ in range(3)]
    closing = threading.Thread(target=batcher.close)
    closing.start()
    engine.go.set()
    closing.join(30)
    assert [len(future.result(0)["logits"]) for future in futures] == [9, 9, 9]
    with pytest.raises(RuntimeError, match="stopping"):
        batcher.submit(np.ones(1, np.float32))


@given(
    moves=st.lists(st.lists(st.integers(0, 60), max_size=5), min_size=1, max_size=8), most=st.integers(1, 100)
)
def test_no_request_takes_more_sound_than_is_left_and_all_is_given_back(
    moves: list[list[int]], most: int
) -> None:
    pending = PendingAudio(most)
    with ExitStack() as requests:
        for sizes in moves:
            share = requests.enter_context(pending.share())
            for size in sizes:
                before = pending.samples
                if before + size > most:
                    with pytest.raises(PendingAudioError, match="try again"):
                        share.add(size)
                    assert pending.samples == before
                else:
                    share.add(size)
                    assert pending.samples == before + size
    assert pending.samples == 0


def test_nothing_is_padded_where_padding_would_be_heard() -> None:
    config = Wav2Vec2Config(feat_extract_norm="group")
    config.feature_norm_mask = False
    engine = SumEngine(config)
    engine.go.clear()
    batcher = RequestBatcher([engine], ServerOptions())
    futures = [batcher.submit(np.ones(10, np.float32)) for _ in range(3)]
    engine.go.set()
    for future in futures:
        future.result(10)
    batcher.close()
    assert engine.batches == [[10], [10], [10]]


def test_the_queue_as_an_engine_gives_what_the_engine_gives(
    digits_engine: LiteRTEngine, held: HeldEngine, waveforms: dict[str, np.ndarray]
) -> None:
    clips = [waveforms["one_digit"], waveforms["four_digits"]]
    held.go.set()
    batcher = RequestBatcher([held], ServerOptions())
    lengths = [len(clip) for clip in clips]
    waveform = np.zeros((2, max(lengths)), np.float32)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    queued = QueuedEngine(batcher, held, held.processor, 30.0)
    found, expected = queued(waveform, lengths), digits_engine(waveform, lengths)
    batcher.close()
    np.testing.assert_array_equal(found["frame_lengths"], expected["frame_lengths"])
    for row, frames in enumerate(expected["frame_lengths"]):
        np.testing.assert_allclose(
            found["logits"][row, :frames], expected["logits"][row, :frames], rtol=0, atol=1e-4
        )
    with pytest.raises(ValueError, match="NaN"):
        queued(np.full((1, 2_000), np.nan), [2_000])


def test_all_together_may_hold_what_one_may() -> None:
    with pytest.raises(
        ValueError, match=r"max_buffered_bytes, of all requests, must be at least max_body_bytes"
    ):
        ServerOptions(max_body_bytes=2**30)
    with pytest.raises(ValueError, match=r"max_pending_seconds, of all requests"):
        ServerOptions(max_pending_seconds=1.0)


@pytest.mark.parametrize(
    ("option", "value"),
    [("max_batch", 0), ("max_batch", 1.5), ("max_requests", True), ("live_seconds", -1.0)],
)
def test_an_impossible_limit_is_an_error(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{option} is a .*number above 0, got"):
        ServerOptions(**{option: value})
