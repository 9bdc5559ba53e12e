"""Models without memory: every variable's name, shape and dtype, and values that come from elsewhere when asked for."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras

from tfwav2vec2.config import Wav2Vec2Config


def abstract_model(model_class: type[Any], config: Wav2Vec2Config, dtype: str = "float32") -> Any:
    """A model whose variables have names, shapes and dtypes but hold no memory, however large the configuration.

    It serves to count parameters, to compare a checkpoint with what a model expects, and inside :class:`ValuesFrom` to
    write Keras's files. It cannot be called or trained.

    Args:
        model_class: such as :class:`~tfwav2vec2.TFWav2Vec2ForCTC`.
        config: its configuration.
        dtype: the dtype of its variables.
    """
    # Keras keeps for each thread a list of the variables that are still to be given values, and fills them as soon as
    # any scope ends: a thread of its own takes the list along when it ends.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(_construct, model_class, config, dtype).result()


def _construct(model_class: type[Any], config: Wav2Vec2Config, dtype: str) -> Any:
    with keras.StatelessScope(initialize_variables=False):
        return model_class(config, dtype=dtype)


class ValuesFrom(keras.StatelessScope):
    """A scope in which every variable has the value that a function gives for it.

    The value is asked for each time that the variable is read and kept nowhere, so that Keras saves a model of any
    size with one tensor in memory. None stands for the value with which a new model begins.
    """

    def __init__(self, value: Callable[[keras.Variable], Any]) -> None:
        super().__init__(initialize_variables=False)
        self._value = value

    def get_current_value(self, variable: keras.Variable) -> Any:
        """What the variable holds inside the scope."""
        return self._value(variable)
