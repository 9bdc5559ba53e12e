"""How requests that arrive together are put into one batch, by the model server or inside the exported graph."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class BatchingOptions:
    """Batching of concurrent requests, under TensorFlow's own names.

    A batch is padded to its longest recording, so recordings of about one length are batched best. More rows pay on an
    accelerator; a processor of few cores is busy with one recording already.

    Args:
        max_batch_size: the most recordings that are computed together.
        batch_timeout_micros: how long a request waits for others, in microseconds.
        num_batch_threads: how many batches are computed at the same time.
        max_enqueued_batches: how many batches may wait; a request beyond them is refused as unavailable.

    Raises:
        ValueError: for a number below 1; waiting may be 0.
    """

    max_batch_size: int = 8
    batch_timeout_micros: int = 5_000
    num_batch_threads: int = 2
    max_enqueued_batches: int = 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name == "batch_timeout_micros" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{field.name} is a whole number from {least} on, got {value!r}")
