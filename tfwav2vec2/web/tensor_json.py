"""TensorFlow Serving's JSON: requests to arrays by rows (``instances``) or columns (``inputs``), and answers back.

What is taken and refused, and the shape of what is answered, follow the server's documentation
(https://www.tensorflow.org/tfx/serving/api_rest) and its ``json_tensor.cc``.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfwav2vec2.web import long_json

# The types of tensors, by the names that metadata gives them.
FLOAT, INT32, STRING = "DT_FLOAT", "DT_INT32", "DT_STRING"


@dataclass(frozen=True)
class Tensor:
    """An input or an output: its type, and its size in each dimension, -1 where any will do."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A request, read: the signature's name, its inputs as arrays (strings as a list of bytes), and whether it came by rows."""

    signature: str
    inputs: dict[str, Any]
    by_rows: bool


def read_call(body: bytes, signatures: Mapping[str, Mapping[str, Tensor]]) -> Call:
    """A request's body as arrays.

    Args:
        body: the JSON.
        signatures: the inputs of each signature.

    Raises:
        ValueError: for what the server would refuse.
    """
    request = _parsed(body)
    if not isinstance(request, dict):
        raise ValueError("JSON Value: Is not object")
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise ValueError("'signature_name' key must be a string value.")
    name = name or "serving_default"
    if name not in signatures:
        raise ValueError(
            f'Serving signature name: "{name}" not found in signature def; there are {", ".join(signatures)}'
        )
    if ("instances" in request) == ("inputs" in request):
        raise ValueError(
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist"
        )
    by_rows = "instances" in request
    columns = (_rows if by_rows else _columns)(
        signatures[name], request["instances" if by_rows else "inputs"]
    )
    inputs = {key: _array(key, tensor, columns[key]) for key, tensor in signatures[name].items()}
    if len({len(values) for values in inputs.values()}) > 1:
        sizes = ", ".join(f"{key} {len(values)}" for key, values in inputs.items())
        raise ValueError(f"All inputs need the same number of recordings; got {sizes}")
    return Call(name, inputs, by_rows)


def write_answer(outputs: Mapping[str, Any], by_rows: bool) -> bytes:
    """Outputs (batch, ...) as JSON, in the form in which the request came. What has one name is written without it."""
    columns = {
        name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in outputs.items()
    }
    if not by_rows:
        return long_json.dumps({"outputs": _single(columns)}).encode()
    count = len(next(iter(columns.values())))
    rows = [_single({name: column[row] for name, column in columns.items()}) for row in range(count)]
    return long_json.dumps({"predictions": rows}).encode()


def _parsed(body: bytes) -> Any:
    try:
        return long_json.loads(body)
    except RecursionError as error:
        raise ValueError("JSON Parse error: lists and objects lie too deep inside one another") from error
    except ValueError as error:
        raise ValueError(f"JSON Parse error: {error}") from error


def _single(values: dict[str, Any]) -> Any:
    return next(iter(values.values())) if len(values) == 1 else values


def _columns(tensors: Mapping[str, Tensor], value: Any) -> Mapping[str, Any]:
    columns = value if isinstance(value, dict) and not _is_base64(value) else _unnamed(tensors, value)
    if missing := sorted(tensors.keys() - columns.keys()):
        raise ValueError(f"Missing named input: {missing[0]} in 'inputs' object.")
    return columns


def _rows(tensors: Mapping[str, Tensor], rows: Any) -> Mapping[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise ValueError("Expecting 'instances' to be a list/array with at least one value")
    named = [isinstance(row, dict) and not _is_base64(row) for row in rows]
    if any(named) != all(named):
        raise ValueError("Expecting 'instances' to be all values or all objects")
    if not all(named):
        rows = [_unnamed(tensors, row) for row in rows]
    for place, row in enumerate(rows):
        if row.keys() != tensors.keys():
            raise ValueError(
                f"Failed to process element: {place} of 'instances' list. keys must be equal to: {','.join(sorted(tensors))}"
            )
    return {name: [row[name] for row in rows] for name in tensors}


def _unnamed(tensors: Mapping[str, Tensor], value: Any) -> dict[str, Any]:
    """A value for the only input there is."""
    if len(tensors) > 1:
        raise ValueError(f"Expecting an object, since there are several inputs: {', '.join(sorted(tensors))}")
    return {next(iter(tensors)): value}


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def _array(name: str, tensor: Tensor, value: Any) -> Any:
    """Nested lists as an array of the tensor's type; nothing is converted that the server would not convert."""
    if not isinstance(value, list):
        raise ValueError(f"Expecting a list for {name}, one element for each recording; got {_short(value)}")
    if tensor.dtype == STRING:
        return [_bytes(name, each) for each in value]
    rows: Sequence[Any] = value if len(tensor.shape) > 1 else [value]
    allowed = {int} if tensor.dtype == INT32 else {int, float}
    for row in rows:
        if isinstance(row, np.ndarray) and tensor.dtype == FLOAT:
            continue
        if not isinstance(row, list):
            raise ValueError(f"Expecting a list of numbers for each recording in {name}; got {_short(row)}")
        # bool is a kind of int, and no number here.
        if wrong := set(map(type, row)) - allowed:
            example = next(each for each in row if type(each) in wrong)
            kind = "int32" if tensor.dtype == INT32 else "float"
            raise ValueError(f"JSON Value: {_short(example)} is not of expected type: {kind}, for {name}")
    if len(set(map(len, rows))) > 1:
        raise ValueError(
            f"All recordings in {name} need the same number of samples: pad them, and say by lengths how many count"
        )
    try:
        with np.errstate(over="ignore"):
            return np.array(value, np.int32 if tensor.dtype == INT32 else np.float32)
    except OverflowError as error:
        raise ValueError(f"A number in {name} is too large") from error


def _bytes(name: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        raise ValueError(
            f'JSON Value: {_short(value)} is not of expected type: string, or {{"b64": "..."}}, for {name}'
        )
    try:
        return base64.b64decode(value["b64"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"Unable to base64 decode {name}: {error}") from error


def _short(value: Any) -> str:
    text = json.dumps(value) if not isinstance(value, np.ndarray) else str(value.tolist())
    return text if len(text) <= 60 else f"{text[:60]}..."
