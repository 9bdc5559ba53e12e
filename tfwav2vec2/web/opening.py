"""From the name of a model to engines that a server runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.processors import processors
from tfwav2vec2.serving.engines import (
    Engine,
    LiteRTEngine,
    import_litert,
    is_engine,
    is_saved_model,
    is_server,
    open_engine,
)

# The interpreter of a file up to this size computes as fast with one thread as with two, so that each processor gets one of
# its own; each holds the weights once more.
_SMALL_BYTES = 64 * 2**20
_MOST_WORKERS = 8


@dataclass(frozen=True)
class OpenedModel:
    """A model that is ready to be served.

    Attributes:
        engines: each for one thread.
        processor: what prepares its input and writes its text.
        name: what it is called in addresses.
        source: the folder or name that it can be exported from, where there is one.
    """

    engines: Sequence[Engine]
    processor: Any
    name: str
    source: str | None

    def close(self) -> None:
        """Give back what the engines hold."""
        for engine in set(self.engines):
            engine.close()


def open_model(model: str | None = None, *, workers: int | None = None) -> OpenedModel:
    """Open a ``.tflite`` file, the folder of a SavedModel, a model's folder or its name on the hub, and run it once.

    Args:
        model: by default the embedded model, as its ``.tflite`` file where LiteRT is installed.
        workers: how many batches are computed at the same time; by default as many as there are processors for a small
            ``.tflite`` file, otherwise one, which uses them all.

    Raises:
        OSError: where a file is missing or damaged.
        ValueError: for the address of another server.
        ImportError: where what runs it is not installed.
    """
    opened = _opened(model, workers)
    for engine in set(opened.engines):
        # The first run lays out memory: no user is to wait for that.
        samples = max(engine.sampling_rate, engine.shortest)
        engine(np.zeros((1, samples), np.float32), [samples])
    return opened


def _opened(model: str | None, workers: int | None) -> OpenedModel:
    if model is None:
        from tfwav2vec2.embedded import embedded_model

        folder = embedded_model()
        file = folder / "model.tflite"
        if file.is_file() and _has_litert():
            return _of_file(file, folder.name, str(folder), workers)
        model = str(folder)
    if is_server(model):
        raise ValueError(f"{model} is a server already: name the model that it serves")
    name = _address_name(model)
    if not is_engine(model):
        engine, processor = _keras_engine(model)
        return OpenedModel([engine] * (workers or 1), processor, name, model)
    if not is_saved_model(model):
        return _of_file(Path(model), name, None, workers)
    engine = open_engine(model)
    return OpenedModel([engine] * (workers or 1), _saved_processor(model), name, None)


def _of_file(path: Path, name: str, source: str | None, workers: int | None) -> OpenedModel:
    available = processors()
    if workers is None:
        small = path.is_file() and path.stat().st_size <= _SMALL_BYTES
        workers = min(available, _MOST_WORKERS) if small else 1
    engines = [LiteRTEngine(path, threads=max(1, available // workers)) for _ in range(workers)]
    return OpenedModel(engines, engines[0].processor, name, source)


def _keras_engine(model: str) -> tuple[Engine, Any]:
    import keras

    from tfwav2vec2.transcription.transcriber import Transcriber

    opened = Transcriber.from_pretrained(model)
    if keras.backend.backend() != "tensorflow":
        return opened.engine, opened.processor
    from tfwav2vec2.web.graph_engine import GraphEngine

    return GraphEngine(opened.model, opened.processor), opened.processor


def _saved_processor(folder: str) -> Any:
    from tfwav2vec2.serving.bundle import read_folder
    from tfwav2vec2.serving.model_server import EXTRA

    return read_folder(Path(folder) / EXTRA).processor


def _has_litert() -> bool:
    try:
        import_litert()
    except ImportError:
        return False
    return True


def _address_name(model: str) -> str:
    """What a model is called in an address: the last part of its name, or of its folder's; not a version's number."""
    path = Path(model).resolve() if Path(model).exists() else Path(model)
    name = path.stem if path.suffix == ".tflite" else path.name
    return path.parent.name if name.isdecimal() and path.parent.name else name
