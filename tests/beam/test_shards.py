from hypothesis import given
from hypothesis import strategies as st

from tfwav2vec2.beam.recordings import BatchRecording
from tfwav2vec2.beam.shards import MOST_BYTES, MOST_RECORDINGS, SHARDS_A_WORKER, cut_shards

sizes = st.lists(st.integers(0, 2 * MOST_BYTES) | st.none(), max_size=300)


def recordings(sizes):
    return [BatchRecording(str(place), f"/{place}.wav", size=size) for place, size in enumerate(sizes)]


@given(sizes, st.integers(1, 8))
def test_every_recording_is_in_one_shard_of_bounded_size(sizes, workers):
    given_recordings = recordings(sizes)
    shards = cut_shards(given_recordings, run=1, workers=workers)
    cut = [recording for shard in shards for recording in shard.recordings]
    assert sorted(cut, key=lambda recording: int(recording.id)) == given_recordings
    for shard in shards:
        assert 1 <= len(shard.recordings) <= MOST_RECORDINGS
        weight = sum(recording.weight for recording in shard.recordings)
        assert len(shard.recordings) == 1 or weight <= MOST_BYTES
    assert len({shard.name for shard in shards}) == len(shards)


@given(sizes)
def test_the_largest_come_first(sizes):
    weights = [item.weight for shard in cut_shards(recordings(sizes), 1) for item in shard.recordings]
    assert weights == sorted(weights, reverse=True)


@given(st.integers(1, 400), st.integers(1, 8))
def test_each_worker_has_several_where_there_are_enough(count, workers):
    shards = cut_shards(recordings([1000] * count), run=1, workers=workers)
    # Rounding up to whole recordings may cost half of them.
    assert len(shards) >= min(count, SHARDS_A_WORKER * workers) / 2


def test_a_part_weighs_what_is_heard_of_it():
    whole = BatchRecording("a", "/a.wav", size=10**6)
    part = BatchRecording("b", "/a.wav", start=1.0, end=2.0, size=10**6)
    assert part.weight < whole.weight


def test_runs_have_names_of_their_own():
    items = recordings([1, 2, 3])
    first, second = (cut_shards(items, run) for run in (1, 2))
    assert not {shard.name for shard in first} & {shard.name for shard in second}
    assert first[0].name < second[0].name
