"""``predict`` over batches of mixed lengths, on every backend."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from tfwav2vec2.outputs import ModelOutput

if TYPE_CHECKING:
    from tfwav2vec2.backbone.pretrained import TFWav2Vec2PreTrainedModel

DEFAULT_BATCH_SIZE = 32

# Square in frames: both axes are padded.
_TWO_FRAME_AXES = "attentions"


def predict_batches(
    model: TFWav2Vec2PreTrainedModel,
    x: Any,
    batch_size: int | None,
    verbose: str | int,
    steps: int | None,
    callbacks: Any,
) -> Any:
    """The model's output over all batches as numpy arrays, frames padded to the longest batch.

    Raises:
        ValueError: where there is no batch, or a batch size is given for data that comes in batches.
    """
    total = steps if steps is not None else _number_of_batches(x, batch_size)
    callbacks = keras.callbacks.CallbackList(callbacks or [], model=model, verbose=0)
    bar = keras.utils.Progbar(total, verbose=1 if verbose == "auto" else int(verbose))
    outputs = []
    callbacks.on_predict_begin()
    for step, batch in enumerate(islice(_batches(x, batch_size), steps)):
        callbacks.on_predict_batch_begin(step)
        output = model(_without_targets(batch), training=False, return_dict=True)
        outputs.append(keras.tree.map_structure(keras.ops.convert_to_numpy, output))
        callbacks.on_predict_batch_end(step, {"outputs": output})
        bar.update(step + 1, finalize=False)
    callbacks.on_predict_end()
    if not outputs:
        raise ValueError("predict was given no batches")
    bar.update(len(outputs), finalize=True)
    return _join(model, outputs)


def _is_arrays(x: Any) -> bool:
    values = x.values() if isinstance(x, Mapping) else [x]
    return all(hasattr(value, "shape") for value in values)


def _number_of_batches(x: Any, batch_size: int | None) -> int | None:
    if _is_arrays(x):
        return -(-_rows(x) // (batch_size or DEFAULT_BATCH_SIZE))
    try:
        return len(x)
    except TypeError:
        return None


def _rows(x: Any) -> int:
    return int(next(iter(x.values())).shape[0] if isinstance(x, Mapping) else x.shape[0])


def _batches(x: Any, batch_size: int | None) -> Iterator[Any]:
    if _is_arrays(x):
        size = batch_size or DEFAULT_BATCH_SIZE
        for start in range(0, _rows(x), size):
            yield keras.tree.map_structure(lambda value, at=start: value[at : at + size], x)
        return
    if batch_size is not None:
        raise ValueError("batch_size is for arrays; a dataset or generator comes in batches of its own")
    if not isinstance(x, Iterable):
        raise ValueError(
            f"predict takes arrays, a dictionary of arrays or an iterable of batches; got {type(x).__name__}"
        )
    if isinstance(x, keras.utils.PyDataset):
        yield from (x[index] for index in range(len(x)))
    else:
        yield from x


def _without_targets(batch: Any) -> Any:
    if isinstance(batch, (tuple, list)):
        batch = batch[0]
    if isinstance(batch, Mapping):
        return {name: value for name, value in batch.items() if name != "labels"}
    return batch


def _join(model: TFWav2Vec2PreTrainedModel, outputs: list[ModelOutput]) -> ModelOutput:
    kind = type(outputs[0])

    def join(name: str) -> Any:
        values = [output[name] for output in outputs]
        return np.stack(values) if name in kind.per_batch else _join_field(model, name, values)

    return kind((name, join(name)) for name in outputs[0])


def _join_field(model: TFWav2Vec2PreTrainedModel, name: str, values: list[Any]) -> Any:
    if isinstance(values[0], tuple):
        return tuple(_join_field(model, name, list(layer)) for layer in zip(*values, strict=True))
    axes = [2, 3] if name == _TWO_FRAME_AXES else [1] if values[0].ndim > 2 else []
    sizes = {axis: max(value.shape[axis] for value in values) for axis in axes}
    return np.concatenate([_pad(value, sizes, model.padding_frame(name)) for value in values])


def _pad(value: np.ndarray, sizes: dict[int, int], fill: Any) -> np.ndarray:
    shape = tuple(sizes.get(axis, size) for axis, size in enumerate(value.shape))
    if shape == value.shape:
        return value
    padded = np.empty(shape, value.dtype)
    padded[:] = fill
    padded[tuple(slice(size) for size in value.shape)] = value
    return padded
