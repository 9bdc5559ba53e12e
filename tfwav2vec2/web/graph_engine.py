"""A Keras model as one TensorFlow graph for recordings of any length: what a server of ever new lengths runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfwav2vec2.serving.engines import Arrays, KerasEngine


class GraphEngine(KerasEngine):
    """As :class:`~tfwav2vec2.serving.engines.KerasEngine`, without a program of its own for each shape.

    Compiling one takes seconds, in which a request would wait, and a server sees new shapes for hours. It may be called from
    several threads.

    Args:
        model: a model of this package, on the TensorFlow backend.
        processor: what belongs to it.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        super().__init__(model, processor)
        import tensorflow as tf

        from tfwav2vec2.serving.endpoints import endpoints

        endpoint = endpoints(model, processor)["serving_default"]
        self._graph = tf.function(
            endpoint.function, input_signature=list(endpoint.signature), autograph=False
        ).get_concrete_function()

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        import tensorflow as tf

        outputs = self._graph(waveform=tf.constant(waveform), lengths=tf.constant(lengths))
        return {name: value.numpy() for name, value in outputs.items()}
