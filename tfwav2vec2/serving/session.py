"""A SavedModel in a TensorFlow session, as TensorFlow Serving loads it: a loader that knows nothing of Keras."""

from __future__ import annotations

import glob
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class SavedModelSession:
    """The signatures of a SavedModel as functions.

    Args:
        path: the folder. It is a program: load none that you would not run.

    Raises:
        tf.errors.OpError, RuntimeError, OSError, ValueError: where it is damaged, as TensorFlow says it, and for a path
            that TensorFlow takes for a pattern.
    """

    def __init__(self, path: str | Path) -> None:
        import tensorflow as tf

        if glob.escape(str(path)) != str(path):
            raise ValueError(
                f"TensorFlow in Python finds no weights where '[', '*' or '?' is part of the path, as in {path}: take another folder"
            )
        self._path = path
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        # TensorFlow advises to load by another function, which is no session's and hides what breaks there.
        logger = logging.getLogger("tensorflow")
        level = logger.level
        logger.setLevel(logging.ERROR)
        try:
            with graph.as_default():
                loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], str(path))
        except BaseException:
            self._session.close()
            raise
        finally:
            logger.setLevel(level)
        self.signatures: Mapping[str, Any] = loaded.signature_def

    def inputs_of(self, signature: str) -> set[str]:
        """The names of what a signature takes; nothing where there is no such signature."""
        return set(self.signatures[signature].inputs) if signature in self.signatures else set()

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """What a signature gives for arrays by their names.

        Raises:
            ValueError: where there is no such signature.
            tf.errors.OpError: where the graph refuses what it is given.
        """
        if signature not in self.signatures:
            raise ValueError(
                f"{self._path} has no signature {signature!r}; it has {', '.join(sorted(self.signatures))}"
            )
        found = self.signatures[signature]
        outputs = {name: info.name for name, info in found.outputs.items()}
        return self._session.run(outputs, {found.inputs[name].name: value for name, value in inputs.items()})

    def close(self) -> None:
        """Give the session's memory back."""
        self._session.close()

    def __enter__(self) -> SavedModelSession:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()
