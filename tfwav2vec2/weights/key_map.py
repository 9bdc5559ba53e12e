"""Torch's keys and this package's variable names, as a table.

Variables are named by :func:`~tfwav2vec2.backbone.naming.named_variables`; sub-layers bear the names of the
checkpoint's key segments, so that only the ends of names differ.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

# What stands before a backbone's keys in the file of a model with a head, and is absent in a bare model's file.
BACKBONE = "wav2vec2."


@dataclass(frozen=True)
class Rule:
    """How variables whose names end in ``variable`` appear in a checkpoint.

    ``keys`` are the ends of the torch key: the first is written, all are read. ``transposed`` means that torch has the
    axes in reverse order: (out, in) for (in, out), (out, in, width) for (width, in, out).
    """

    variable: str
    keys: tuple[str, ...]
    transposed: bool = False


TABLE = (
    # The weight norm's two parts: parametrizations since torch 2.0, weight_g and weight_v before.
    Rule("conv.weight_g", ("conv.parametrizations.weight.original0", "conv.weight_g"), transposed=True),
    Rule("conv.weight_v", ("conv.parametrizations.weight.original1", "conv.weight_v"), transposed=True),
    # The activations that hold weights keep torch's names, "beta" among them, which means something else in a norm.
    *(
        Rule(f"{place}.{name}", (f"{place}.{name}",))
        for place in ("activation", "intermediate_act_fn")
        for name in ("weight", "alpha_p", "alpha_n", "beta", "eps")
    ),
    Rule("kernel", ("weight",), transposed=True),
    Rule("gamma", ("weight",)),
    Rule("beta", ("bias",)),
    Rule("bias", ("bias",)),
    # Weights that are no layer's: they stand as torch has them.
    *(
        Rule(name, (name,))
        for name in ("masked_spec_embed", "layer_weights", "quantizer.codevectors", "objective.weight")
    ),
)

# Read only where SpecAugment hides frames in training: published models that were never masked lack it.
OPTIONAL = ("masked_spec_embed",)


def _ends_in(name: str, end: str) -> bool:
    return name == end or name.endswith(f".{end}")


def _rule(variable: str) -> Rule:
    for rule in TABLE:
        if _ends_in(variable, rule.variable):
            return rule
    raise KeyError(f"The key map has no rule for the variable {variable!r}; add one to its table")


def torch_keys(variable: str) -> tuple[str, ...]:
    """The keys under which a variable may stand in a checkpoint, the one that is written first."""
    rule = _rule(variable)
    stem = variable.removesuffix(rule.variable)
    return tuple(stem + key for key in rule.keys)


def is_transposed(variable: str) -> bool:
    """Whether torch has the variable's axes in reverse order."""
    return _rule(variable).transposed


def is_optional(variable: str) -> bool:
    """Whether a checkpoint may lack the variable."""
    return any(_ends_in(variable, end) for end in OPTIONAL)


@dataclass
class Match:
    """Which key fills which variable, and what is left over on either side."""

    pairs: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


def match(variables: Iterable[str], keys: Collection[str]) -> Match:
    """Find each variable's key, whether model and file have a head or not.

    A bare model takes the backbone of a file with a head; the head is then neither read nor unexpected. A model with a
    head takes a bare file's backbone; its head is then missing.

    Args:
        variables: names of a model's variables.
        keys: the torch keys of a file.

    Returns:
        ``pairs`` of variable and key; ``missing`` and ``unexpected`` hold torch keys as the file would have them.
    """
    names = list(variables)
    headed_model = any(name.startswith(BACKBONE) for name in names)
    headed_file = any(key.startswith(BACKBONE) for key in keys)
    result = Match()
    for name in names:
        candidates = [_in_file(key, headed_model, headed_file) for key in torch_keys(name)]
        found = next((key for key in candidates if key in keys), None)
        if found is not None:
            result.pairs[name] = found
        else:
            result.missing.append(candidates[0])
    wanted = set(result.pairs.values())
    result.unexpected = [
        key
        for key in keys
        if key not in wanted and (headed_model or not headed_file or key.startswith(BACKBONE))
    ]
    return result


def _in_file(key: str, headed_model: bool, headed_file: bool) -> str:
    if headed_model and not headed_file:
        return key.removeprefix(BACKBONE)
    if headed_file and not headed_model:
        return BACKBONE + key
    return key
