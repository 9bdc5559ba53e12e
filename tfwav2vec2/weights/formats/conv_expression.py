"""fairseq's text for the front end's convolutions, such as ``[(512, 10, 5)] + [(512, 3, 2)] * 4``, read without running it."""

from __future__ import annotations

import ast
from typing import Any

Convolution = tuple[int, int, int]

# Published texts have fewer than a hundred characters and describe seven layers.
_MAX_CHARACTERS = 1000
_MAX_LAYERS = 100


def parse_convolutions(text: str) -> list[Convolution]:
    """The (channels, kernel, stride) of each layer, from lists of triples joined by ``+`` and repeated by ``*``.

    Raises:
        ValueError: for any other expression.
    """
    if len(text) <= _MAX_CHARACTERS:
        try:
            layers = _evaluate(ast.parse(text.strip(), mode="eval").body)
        except (SyntaxError, RecursionError, MemoryError):
            layers = None
        if isinstance(layers, list) and layers and all(map(_is_convolution, layers)):
            return layers
    raise ValueError(
        f"conv_feature_layers is {text[:100]!r}; it must be a list of (channels, kernel, stride), as in "
        "'[(512, 10, 5)] + [(512, 3, 2)] * 4'"
    )


def _evaluate(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.Tuple(elts=parts):
            return tuple(_evaluate(part) for part in parts)
        case ast.List(elts=parts):
            return [_evaluate(part) for part in parts]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            first, second = _evaluate(left), _evaluate(right)
            if isinstance(first, list) and isinstance(second, list):
                return _bounded(first, second)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            part, times = _evaluate(left), _evaluate(right)
            if isinstance(times, list):
                part, times = times, part
            if isinstance(part, list) and type(times) is int and 0 <= times <= _MAX_LAYERS:
                return _bounded(*[part] * times)
    return None


def _bounded(*parts: list[Any]) -> list[Any] | None:
    if sum(map(len, parts)) > _MAX_LAYERS:
        return None
    return [layer for part in parts for layer in part]


def _is_convolution(layer: Any) -> bool:
    return (
        isinstance(layer, tuple) and len(layer) == 3 and all(type(size) is int and size > 0 for size in layer)
    )
