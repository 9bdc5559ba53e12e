"""What the tests of the readers of other frameworks' files share."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tfwav2vec2.weights.checkpoint import Checkpoint, CheckpointError


def assert_holds(checkpoint: Checkpoint, expected: dict[str, np.ndarray]) -> None:
    """The same keys, shapes, dtypes and bits."""
    assert checkpoint.shapes == {key: array.shape for key, array in expected.items()}
    for key, array in expected.items():
        tensor = checkpoint.read(key)
        assert tensor.dtype == checkpoint.dtype(key) == array.dtype
        assert tensor.flags.c_contiguous
        assert tensor.tobytes() == array.tobytes(), key


def assert_fill_alike(name: str, config: Any, *checkpoints: Checkpoint) -> None:
    """The class of this name gets the same bits from each checkpoint, for all of its variables."""
    import keras

    import tfwav2vec2
    from tfwav2vec2.backbone.naming import named_variables
    from tfwav2vec2.weights.variables import fill

    filled = []
    for checkpoint in checkpoints:
        model = getattr(tfwav2vec2, name)(config)
        assert fill(model, checkpoint, strict=True, ignore_mismatched_sizes=False) == []
        filled.append(
            {key: keras.ops.convert_to_numpy(value) for key, value in named_variables(model).items()}
        )
    for key, value in filled[0].items():
        assert all(np.array_equal(value, other[key]) for other in filled[1:]), key


def read_or_refuse(reader: type[Checkpoint], path: Path, content: bytes) -> None:
    """Whatever the bytes are, the answer is a checkpoint or one line that names the file."""
    path.write_bytes(content)
    refusal = f"{path}"
    try:
        with reader(path) as checkpoint:
            for key, shape in checkpoint.shapes.items():
                assert checkpoint.read(key).shape == shape
    except CheckpointError as error:
        refusal = str(error)
    assert str(path) in refusal
    assert "\n" not in refusal


@contextmanager
def little_memory(limit: int = 2**22) -> Iterator[None]:
    """What runs inside must not need more than a few megabytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file some of whose bytes, not the zeros that fill gaps, are others, or whose parts are cut and moved."""
    if draw(st.booleans()):
        places = [place for place, byte in enumerate(content) if byte]
        changed = bytearray(content)
        for place, value in draw(
            st.lists(st.tuples(st.sampled_from(places), st.integers(0, 255)), min_size=1, max_size=8)
        ):
            changed[place] = value
        return bytes(changed)
    cuts = sorted(draw(st.lists(st.integers(0, len(content)), min_size=2, max_size=5)))
    parts = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    order = draw(st.lists(st.integers(0, len(parts) - 1), max_size=7))
    return b"".join(parts[index] for index in order)
