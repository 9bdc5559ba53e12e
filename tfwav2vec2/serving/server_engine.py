"""A model on a TensorFlow server as an engine: asked over REST or gRPC."""

from __future__ import annotations

import base64
import io
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import soundfile

from tfwav2vec2.serving.engines import Arrays, Engine, texts_of

# What TensorFlow Serving's addresses look like.
_REST = re.compile(r"https?://[^/]+/v1/models/[^/:]+(/versions/\d+|/labels/[^/:]+)?")
_GRPC = re.compile(r"grpc://(?P<target>[^/]+)/(?P<model>[^/:]+)")
_SECONDS = 300.0


class ServerEngine(Engine):
    """A model that TensorFlow Serving offers, exported by :func:`~tfwav2vec2.serving.saved_model.export_saved_model`.

    Args:
        address: ``http://localhost:8501/v1/models/NAME``, with ``/versions/3`` behind it if need be, or
            ``grpc://localhost:8500/NAME``. Recordings go there: name only a server that may have them.
        timeout: how many seconds to wait for an answer.

    Raises:
        ValueError: for an address of neither form.
        ImportError: for gRPC without the package of its messages.
    """

    def __init__(self, address: str, *, timeout: float = _SECONDS) -> None:
        self.name = address = address.rstrip("/")
        self._timeout = timeout
        if found := _GRPC.fullmatch(address):
            self._ask = _Grpc(found["target"], found["model"], timeout)
        elif _REST.fullmatch(address):
            self._ask = self._ask_rest
        else:
            raise ValueError(
                f"{address!r} is no address of a served model: give http://localhost:8501/v1/models/NAME or "
                "grpc://localhost:8500/NAME"
            )

    def texts(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> list[str | None]:
        """As :meth:`Engine.texts`."""
        rows = zip(*self._checked(waveform, lengths), strict=True)
        # Whole samples and not one more: what goes to the server is as short as can be, and says its rate.
        files = [_wav(row[:length], self.sampling_rate) for row, length in rows]
        return texts_of(self._ask("transcribe_wav", {"wav": np.array(files, object)}))

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        return self._ask("serving_default", {"waveform": waveform, "lengths": lengths})

    def close(self) -> None:
        """Close the channel."""
        if isinstance(self._ask, _Grpc):
            self._ask.channel.close()

    def _ask_rest(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        columns = {name: [_plain(row) for row in values] for name, values in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": columns}).encode()
        request = urllib.request.Request(  # noqa: S310  (only http and https come here)
            f"{self.name}:predict", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as response:  # noqa: S310
                outputs = json.loads(response.read())["outputs"]
        except urllib.error.HTTPError as error:
            raise _refusal(self.name, error.code == 404, _message(error)) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConnectionError(
                f"{self.name} does not answer as TensorFlow Serving does ({error}); check the address, and that the server runs"
            ) from error
        kinds = {"text": object, "frame_lengths": np.int32, "ids": np.int32}
        return {name: np.array(values, kinds.get(name, np.float32)) for name, values in outputs.items()}


class _Grpc:
    """Calls of Predict over gRPC."""

    def __init__(self, target: str, model: str, timeout: float) -> None:
        try:
            import grpc
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise ImportError(
                "Asking a server over gRPC needs its messages: pip install 'tfwav2vec2[serving]'; or give its REST address, "
                "http://HOST:8501/v1/models/NAME"
            ) from error
        self._grpc, self._request = grpc, predict_pb2.PredictRequest
        self._target, self._model, self._timeout = target, model, timeout
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(target, options=unlimited)
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self.channel).Predict

    def __call__(self, signature: str, inputs: Mapping[str, np.ndarray]) -> Arrays:
        import tensorflow as tf

        request = self._request()
        request.model_spec.name, request.model_spec.signature_name = self._model, signature
        for name, values in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        try:
            outputs = self._predict(request, timeout=self._timeout).outputs
        except self._grpc.RpcError as error:
            unreachable = (self._grpc.StatusCode.UNAVAILABLE, self._grpc.StatusCode.DEADLINE_EXCEEDED)
            if error.code() in unreachable:
                raise ConnectionError(
                    f"The server {self._target} does not answer ({error.details()}); check the address, and that it runs"
                ) from error
            missing = error.code() == self._grpc.StatusCode.NOT_FOUND
            raise _refusal(f"{self._target}/{self._model}", missing, error.details()) from error
        return {name: tf.make_ndarray(tensor) for name, tensor in outputs.items()}


def _refusal(name: str, missing: bool, message: str) -> Exception:
    message = next(iter(message.strip().splitlines()), "")
    if missing:
        return FileNotFoundError(f"{name} offers no such model or signature ({message}); check its name")
    return ValueError(f"{name} refuses the request: {message}")


def _message(error: urllib.error.HTTPError) -> str:
    content = error.read().decode(errors="replace")
    try:
        return str(json.loads(content)["error"])
    except (ValueError, KeyError, TypeError):
        return content or str(error)


def _plain(value: Any) -> Any:
    """A row as JSON: numbers as they are, bytes as the server wants them."""
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value.tolist()


def _wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file that holds the samples unrounded."""
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="WAV", subtype="FLOAT")
    return content.getvalue()
