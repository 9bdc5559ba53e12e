"""Objects of other libraries inside a training checkpoint: kept as a name and plain data, never imported, made or called.

fairseq saves its options, its dictionary and its meters beside the model, as instances of the classes below.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# The classes and functions whose traces a fairseq checkpoint may bear. A pickle of protocol 2 calls builtins __builtin__.
_NAMES: dict[str, tuple[str, ...]] = {
    "argparse": ("Namespace",),
    "omegaconf.dictconfig": ("DictConfig",),
    "omegaconf.listconfig": ("ListConfig",),
    "omegaconf.base": ("ContainerMetadata", "Metadata"),
    "omegaconf.nodes": ("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode", "EnumNode"),
    "fairseq.data.dictionary": ("Dictionary",),
    "fairseq.meters": ("AverageMeter", "TimeMeter", "StopwatchMeter"),
    "fairseq.logging.meters": ("AverageMeter", "TimeMeter", "StopwatchMeter"),
    "typing": ("Any",),
    "pathlib": ("Path", "PosixPath"),
    "torch": ("device",),
    "numpy": ("dtype",),
    "numpy.core.multiarray": ("scalar",),
    "numpy._core.multiarray": ("scalar",),
    "_codecs": ("encode",),
    **dict.fromkeys(
        ("builtins", "__builtin__"),
        ("dict", "list", "tuple", "set", "int", "long", "float", "str", "unicode", "bool"),
    ),
}
INERT_NAMES = frozenset(f"{module}.{name}" for module, names in _NAMES.items() for name in names)

# OmegaConf's words for a value that is not there, and for one that stands elsewhere.
_ABSENT = ("???", "${")


@dataclass(eq=False, repr=False)
class InertObject:
    """What a pickle would have made of a class: its name, the arguments, and the attributes."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = field(default=None)


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """One entry of a dictionary, of a ``Namespace`` or of a ``DictConfig``; ``default`` where it is absent or None."""
    state = node.state if isinstance(node, InertObject) else node
    if isinstance(node, InertObject) and isinstance(state, dict) and node.name.endswith(".DictConfig"):
        state = state.get("_content")
    value = _unwrapped(state.get(name)) if isinstance(state, dict) else None
    absent = value is None or (isinstance(value, str) and value.startswith(_ABSENT))
    return default if absent else value


def _unwrapped(value: Any) -> Any:
    """The value that one of OmegaConf's nodes holds; all else as it is."""
    if not isinstance(value, InertObject) or not isinstance(value.state, dict):
        return value
    if value.name.endswith("Node"):
        return value.state.get("_val")
    return value
