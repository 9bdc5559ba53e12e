from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.audio.buckets import Buckets
from tfwav2vec2.data.batch_plan import BatchPlan, chosen_lengths

LADDER = Buckets(lengths=(10, 20, 30, 50))

clips = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20)), min_size=1, max_size=60)
settings = st.fixed_dictionaries(
    {
        "divisible_by": st.sampled_from([1, 2, 3]),
        "shuffle": st.booleans(),
        "drop_remainder": st.booleans(),
    }
)
sizes = st.one_of(
    st.fixed_dictionaries({"clips": st.sampled_from([6, 12])}),
    st.fixed_dictionaries({"total_samples": st.integers(1, 400)}),
)


def plan_of(clips: list[tuple[int, int]], /, **options) -> BatchPlan:
    samples, labels = zip(*clips, strict=True)
    return BatchPlan(samples, labels, LADDER, **options)


@given(clips=clips, options=settings, size=sizes, seed=st.integers(0, 99))
def test_batches_hold_each_clip_once_and_have_room_for_it(clips, options, size, seed):
    plan = plan_of(clips, **options, **size)
    batches = plan.epoch(np.random.default_rng(seed))
    members = [member for batch in batches for member in batch.members]
    assert len(members) == len(set(members))
    left_out = len(clips) - len(members)
    full = max(plan.rows_for(LADDER.samples_for(samples)) for samples, _ in clips)
    assert left_out < (full if options["drop_remainder"] else options["divisible_by"])
    for batch in batches:
        assert len(batch.members) % options["divisible_by"] == 0
        assert batch.samples in {LADDER.samples_for(samples) for samples, _ in clips}
        assert all(clips[member][0] <= batch.samples for member in batch.members)
        assert all(clips[member][1] <= batch.label_columns for member in batch.members)
        if "clips" in size:
            assert len(batch.members) <= size["clips"]
        else:
            assert len(batch.members) * batch.samples <= max(
                size["total_samples"], options["divisible_by"] * batch.samples
            )


@given(clips=clips, options=settings, size=sizes)
def test_every_epoch_has_the_same_shapes_one_for_each_length_and_perhaps_a_smaller_one(clips, options, size):
    plan = plan_of(clips, **options, **size)
    epochs = [sorted(batch.shape for batch in plan.epoch(np.random.default_rng(seed))) for seed in range(3)]
    assert epochs[0] == epochs[1] == epochs[2]
    for samples, shapes in itertools.groupby(
        sorted(set(epochs[0]), key=lambda shape: shape[1]), lambda s: s[1]
    ):
        others = [rows for rows, *_ in shapes if rows != plan.rows_for(samples)]
        assert len(others) <= 1
        assert not (others and options["drop_remainder"])


@given(clips=clips, seed=st.integers(0, 99))
def test_the_generator_decides_the_order(clips, seed):
    plan = plan_of(clips, clips=4)
    assert plan.epoch(np.random.default_rng(seed)) == plan.epoch(np.random.default_rng(seed))


def test_a_shuffled_order_differs_from_epoch_to_epoch_and_mixes_lengths():
    plan = plan_of([(1 + index % 50, 3) for index in range(200)], clips=4)
    first, second = (plan.epoch(np.random.default_rng(seed)) for seed in range(2))
    assert first != second
    lengths = [batch.samples for batch in first]
    assert lengths != sorted(lengths)


@pytest.mark.parametrize("options", [{"drop_remainder": True}, {"divisible_by": 4}])
def test_any_clip_may_miss_an_epoch(options):
    plan = plan_of([(length, 1) for length in (5, 5, 15, 25, 25, 40, 60)], clips=4, **options)
    rng = np.random.default_rng(0)
    missing = [
        set(range(7)) - {member for batch in plan.epoch(rng) for member in batch.members} for _ in range(200)
    ]
    assert {len(clips) for clips in missing} == {3}
    times = [sum(index in clips for clips in missing) for index in range(7)]
    assert min(times) > 60


def test_without_shuffling_clips_of_a_length_keep_their_order():
    plan = plan_of([(15, 0), (5, 0), (15, 0), (5, 0), (15, 0)], clips=2, shuffle=False)
    batches = plan.epoch(np.random.default_rng(0))
    assert [batch.members for batch in batches] == [(0, 2), (4, 1), (3,)]


@given(
    samples=st.lists(st.integers(1, 120), min_size=1, max_size=30),
    count=st.integers(1, 5),
)
def test_the_chosen_lengths_pad_least(samples, count):
    def padded(lengths):
        return sum(min(length for length in lengths if length >= clip) for clip in samples)

    chosen = chosen_lengths(samples, count, LADDER)
    steps = {LADDER.samples_for(clip) for clip in samples}
    assert len(chosen.lengths) == min(count, len(steps))
    longest = max(steps)
    options = itertools.combinations(sorted(steps), min(count, len(steps)))
    assert padded(chosen.lengths) == min(padded(option) for option in options if longest in option)


def test_no_length_is_refused():
    with pytest.raises(ValueError, match="one length at least"):
        chosen_lengths([1], 0, LADDER)
