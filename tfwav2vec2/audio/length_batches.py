"""Which clips go through a model together: those of like length, within a budget of samples with their padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tfwav2vec2.audio.buckets import Buckets

BUCKETS = Buckets()


def length_batches(
    lengths: Sequence[int], most_samples: float, fits: Callable[[int, int], bool] = lambda rows, samples: True
) -> list[list[int]]:
    """Batches of clips, the longest first.

    How many clips a batch has follows from the bucket of its longest alone, so that a corpus of mixed lengths makes a
    handful of shapes, and a model compiles as many programs (see :mod:`tfwav2vec2.audio.buckets`).

    Args:
        lengths: samples of each clip.
        most_samples: how many samples a batch may have, padding to its bucket included. A longer clip goes alone.
        fits: whether so many rows of so many samples fit the model's memory; one row always may be tried.

    Returns:
        For each batch the places of its clips in ``lengths``; every clip is in one of them.
    """
    places = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    batches = []
    while places:
        longest = lengths[places[0]]
        wanted = most_samples / BUCKETS.samples_for(longest)
        rows = max((step for step in BUCKETS.rows if step <= wanted and fits(step, longest)), default=1)
        batches.append(places[:rows])
        places = places[rows:]
    return batches
