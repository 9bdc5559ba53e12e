"""What is transcribed, written down and, after a kill, done again as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfwav2vec2.beam.recordings import BatchRecording

# A kill costs at most this much in each process: about a quarter of an hour of uncompressed speech.
MOST_RECORDINGS = 64
MOST_BYTES = 2**25

# So that processes of unlike speed end at about the same time.
SHARDS_A_WORKER = 4


@dataclass(frozen=True)
class Shard:
    """Some recordings, and the name of the file for what becomes of them."""

    name: str
    recordings: tuple[BatchRecording, ...]


def cut_shards(recordings: Sequence[BatchRecording], run: int, workers: int = 1) -> list[Shard]:
    """Cut recordings into shards, the largest recordings first, like beside like.

    Args:
        recordings: what is left to do.
        run: the number of this run, which makes the names of its shards unlike those of other runs.
        workers: processes among which the shards are dealt.
    """
    most = min(MOST_RECORDINGS, -(-len(recordings) // (SHARDS_A_WORKER * workers)))
    shards: list[list[BatchRecording]] = []
    weight = 0.0
    for recording in sorted(recordings, key=lambda recording: -recording.weight):
        if not shards or len(shards[-1]) == most or weight + recording.weight > MOST_BYTES:
            shards.append([])
            weight = 0.0
        shards[-1].append(recording)
        weight += recording.weight
    return [Shard(f"{run:04d}-{number:06d}", tuple(shard)) for number, shard in enumerate(shards)]
