"""Requests that TensorFlow Serving runs when it loads a SavedModel, so that the first user does not wait for it.

The server reads them from ``assets.extra/tf_serving_warmup_requests``: a TFRecord file, each record a ``PredictionLog``
(https://www.tensorflow.org/tfx/serving/saved_model_warmup). The package that holds this message is no dependency of
this one, so the bytes are written here: every field on the way is a message or a string, which protocol buffers write as
the field's number, the length and the content (https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

FILE = "tf_serving_warmup_requests"

# The numbers of the fields in prediction_log.proto, predict.proto and model.proto of tensorflow_serving/apis.
_PREDICT_LOG = 6
_REQUEST = 1
_MODEL_SPEC, _INPUTS = 1, 2
_NAME, _SIGNATURE_NAME = 1, 3
# An entry of a map is a message with these two fields.
_KEY, _VALUE = 1, 2

_LENGTH_DELIMITED = 2

_SECONDS = 1.0


def warmup_requests(
    signatures: Mapping[str, Sequence[str]], rate: int, shortest: int
) -> dict[str, dict[str, np.ndarray]]:
    """A request for each signature: one recording of noise, a second long.

    Args:
        signatures: for each name what it takes: ``waveform`` and ``lengths``, or ``wav``.
        rate: the model's rate in Hz.
        shortest: the fewest samples that the model takes.

    Returns:
        For each signature its inputs by their names.
    """
    samples = max(round(_SECONDS * rate), shortest)
    noise = np.random.default_rng(0).normal(0.0, 0.1, samples).astype(np.float32)
    inputs = {
        "waveform": noise[None],
        "lengths": np.array([samples], np.int32),
        "wav": np.array([_wav(noise, rate)], object),
    }
    return {signature: {name: inputs[name] for name in names} for signature, names in signatures.items()}


def write_warmup(folder: Path, model: str, requests: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the requests to the file of that name in ``folder``.

    Args:
        folder: the SavedModel's ``assets.extra``.
        model: the name under which the server offers the model.
        requests: for each signature its inputs by their names, as :func:`warmup_requests` gives them.

    Returns:
        The file.
    """
    path = folder / FILE
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            writer.write(_prediction_log(model, signature, inputs))
    return path


def _prediction_log(model: str, signature: str, inputs: Mapping[str, Any]) -> bytes:
    spec = _field(_NAME, model.encode()) + _field(_SIGNATURE_NAME, signature.encode())
    request = _field(_MODEL_SPEC, spec)
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(_INPUTS, _field(_KEY, name.encode()) + _field(_VALUE, tensor))
    return _field(_PREDICT_LOG, _field(_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of 16 bits with one channel."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples.clip(-1, 1) * (2**15 - 1)).astype("<i2").tobytes())
    return content.getvalue()
