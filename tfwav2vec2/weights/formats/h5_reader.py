"""Checkpoints that the reference's TensorFlow classes wrote (``tf_model.h5``), read without TensorFlow.

The file is what Keras 2 made of the model: each top layer's group holds its variables under their full names, such as
``wav2vec2/tf_wav2_vec2_for_ctc/wav2vec2/encoder/layer_norm/gamma:0``. A checkpoint in several files leaves the layer and
the class out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from tfwav2vec2.weights.checkpoint import CheckpointError
from tfwav2vec2.weights.formats.foreign_file import (
    WEIGHT_NORM_DIRECTION,
    WEIGHT_NORM_SIZE,
    ForeignCheckpoint,
    Names,
    StoredArray,
    Word,
    translate,
)
from tfwav2vec2.weights.formats.hdf5 import MAGIC, Hdf5File

TABLE = {
    "kernel": Word("weight", reversed=True),
    "gamma": Word("weight"),
    "beta": Word("bias"),
    # The port transposes the weight norm's direction to torch's layout, and not its size.
    "weight_g": Word(WEIGHT_NORM_SIZE, reversed=True),
    "weight_v": Word(WEIGHT_NORM_DIRECTION),
}

_BACKBONE = "wav2vec2"
# Keras 2's group for the variables that the model holds itself, outside of any layer.
_TOP_LEVEL = "top_level_model_weights"
# TensorFlow ends a variable's name in the number of its output.
_OUTPUT = re.compile(r":\d+$")


def is_h5(start: bytes) -> bool:
    """Whether a file that starts with these bytes (8 or more) is in the HDF5 format."""
    return start.startswith(MAGIC)


def torch_key(variable: str) -> str:
    """The torch key of a variable that the index of a checkpoint in several files names in full."""
    names = _OUTPUT.sub("", variable).split("/")
    return translate(names[1:] or names, TABLE)[0]


class H5Checkpoint(ForeignCheckpoint):
    """A ``tf_model.h5`` file, or one of several that make up a checkpoint."""

    table = TABLE

    def _scan(self) -> Iterator[tuple[Names, StoredArray]]:
        hdf5 = Hdf5File(self._file, self.path)
        objects = dict(hdf5.objects())
        self._check_kind(objects)
        # Torch's bare model has no layer around its backbone. One of several files does not tell whether there is a head.
        bare = all(_in_full(names) and names[2] == _BACKBONE for names in objects)
        for names, messages in objects.items():
            *layers, name = names[3 if bare else 2 :] if _in_full(names) else names
            yield (*layers, _OUTPUT.sub("", name)), hdf5.array(names, messages)

    def _check_kind(self, objects: Collection[Names]) -> None:
        """Say what the file is where it is another of Keras's, or none."""
        if any(names[0] == "model_weights" for names in objects):
            raise CheckpointError(
                f"{self.path} is a whole model that Keras 2 saved; save it with the reference's save_pretrained"
            )
        if any(names[-2:-1] == ("vars",) for names in objects):
            raise CheckpointError(
                f"{self.path} is a .weights.h5 file of Keras 3; make the model from its configuration and call "
                "model.load_weights on the file"
            )
        strangers = [names for names in objects if not _OUTPUT.search(names[-1])]
        if strangers or not objects:
            found = repr("/".join(strangers[0])[:100]) if strangers else "no variables"
            raise CheckpointError(
                f"{self.path} is an HDF5 file but not the reference's tf_model.h5: it holds {found}; check that it is "
                "the right file"
            )


def _in_full(names: Names) -> bool:
    """Whether a layer and the model's class stand before the variable's layers."""
    return len(names) > 2 and names[0] in (names[2], _TOP_LEVEL)
