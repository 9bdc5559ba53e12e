from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.audio.length_batches import BUCKETS, length_batches

SECOND = 16_000
clips = st.lists(st.integers(1, 20 * SECOND), max_size=60)
budgets = st.floats(1, 400 * SECOND)


@given(clips, budgets)
def test_every_clip_is_in_one_batch_within_the_budget(lengths, budget):
    batches = length_batches(lengths, budget)
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[place] for place in batch)
        assert len(batch) == 1 or len(batch) * BUCKETS.samples_for(longest) <= budget


@given(clips, budgets)
def test_the_longest_come_first_and_like_beside_like(lengths, budget):
    in_order = [lengths[place] for batch in length_batches(lengths, budget) for place in batch]
    assert in_order == sorted(lengths, reverse=True)


@given(clips, budgets)
def test_a_bucket_has_one_shape_but_for_the_last_batch(lengths, budget):
    rows: dict[int, set[int]] = {}
    for batch in length_batches(lengths, budget)[:-1]:
        longest = max(lengths[place] for place in batch)
        rows.setdefault(BUCKETS.samples_for(longest), set()).add(len(batch))
    assert all(len(counts) == 1 for counts in rows.values())
    assert {count for counts in rows.values() for count in counts} <= set(BUCKETS.rows)


@given(clips, st.integers(1, 8))
def test_the_models_memory_is_a_limit_too(lengths, most_rows):
    batches = length_batches(lengths, 1e9, lambda rows, samples: rows <= most_rows)
    assert all(len(batch) <= most_rows for batch in batches)


def test_a_budget_below_a_clip_lets_it_go_alone():
    assert length_batches([SECOND, 3 * SECOND, 2 * SECOND], 1.0) == [[1], [2], [0]]


def test_short_clips_share_what_a_long_one_takes_alone():
    assert length_batches([SECOND] * 4 + [4 * SECOND], 4 * SECOND) == [[4], [0, 1, 2, 3]]
