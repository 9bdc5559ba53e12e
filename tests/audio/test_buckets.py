"""The ladder of compiled lengths."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.audio.buckets import SAMPLE_RATE, Buckets


@given(st.integers(1, 100 * SAMPLE_RATE))
def test_a_bucket_holds_its_clip(samples: int) -> None:
    assert Buckets().samples_for(samples) >= samples


@given(st.integers(SAMPLE_RATE, 20 * SAMPLE_RATE))
def test_clips_of_1_to_20_seconds_are_padded_by_a_fifth_at_most(samples: int) -> None:
    assert Buckets().samples_for(samples) <= 1.2 * samples


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_longer_clips_never_get_shorter_buckets(one: int, other: int) -> None:
    short, long = sorted((one, other))
    assert Buckets().samples_for(short) <= Buckets().samples_for(long)


@given(st.integers(1, 500))
def test_rows_hold_the_batch_and_grow_by_a_third_at_most(rows: int) -> None:
    assert rows <= Buckets().rows_for(rows) <= max(rows * 4 / 3, 1)


def test_round_seconds_are_not_padded() -> None:
    assert [Buckets().samples_for(s * SAMPLE_RATE) for s in (1, 5, 10, 20)] == [
        s * SAMPLE_RATE for s in (1, 5, 10, 20)
    ]


@pytest.mark.parametrize("rate", [8000, 44_100])
def test_buckets_of_another_rate_last_as_long(rate: int) -> None:
    assert Buckets.at_rate(SAMPLE_RATE) == Buckets()
    for seconds in (0.3, 1.0, 4.9, 61.0):
        usual = Buckets().samples_for(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
        assert Buckets.at_rate(rate).samples_for(round(seconds * rate)) == pytest.approx(usual * rate, abs=1)


@pytest.mark.parametrize("lengths", [(), (0, 5), (5, 5), (7, 3)])
def test_a_ladder_must_ascend(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending order"):
        Buckets(lengths=lengths)
