"""The dotted name of every weight: the path of attributes that leads to it.

Sub-layers bear the names of the checkpoint's key segments, so these names differ from torch's keys by their last word
alone (``kernel`` for ``weight``, ``gamma`` for a norm's ``weight``), and the key map is a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import keras

# Keras names the items of a list by a number behind an underscore.
_LIST_ITEM = re.compile(r"(layers|tdnn)_(\d+)")


def _walk(owner: keras.layers.Layer, prefix: str) -> Iterator[tuple[str, keras.Variable]]:
    # On the torch backend layers are torch modules, which keep their parts apart from their other attributes.
    members = vars(owner) | vars(owner).get("_modules", {})
    for name, value in members.items():
        if name.startswith("_"):
            # Dense keeps its kernel, and every layer its bookkeeping lists, under private names.
            continue
        yield from _weights_of(value, f"{prefix}{name}")
    if isinstance(owner, keras.layers.Dense):
        yield f"{prefix}kernel", owner.kernel


def _weights_of(value: object, name: str) -> Iterator[tuple[str, keras.Variable]]:
    if isinstance(value, keras.Variable):
        yield name, value
    elif isinstance(value, keras.layers.Layer):
        yield from _walk(value, f"{name}.")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _weights_of(item, f"{name}.{index}")


def named_variables(model: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Every weight of a model by its dotted name, such as ``wav2vec2.encoder.layers.0.attention.q_proj.kernel``.

    State that is not a weight (seed generators, metrics, the optimizer) is left out.
    """
    weights = {id(variable) for variable in model.weights}
    return {name: variable for name, variable in _walk(model, "") if id(variable) in weights}


def name_of(variable: keras.Variable) -> str:
    """The dotted name of a model's weight that is at hand without its model, as an optimizer has it.

    What :func:`named_variables` calls it, read from its path, whose first part is the model's own name.
    """
    return _LIST_ITEM.sub(r"\1.\2", variable.path.partition("/")[2].replace("/", "."))
