"""A stand-in for TensorFlow Serving on this machine: its Predict calls over gRPC and REST, answered by TensorFlow sessions.

What is asked and answered, and with which status a request is refused, follows the server's own sources
(``predict_util.cc``, ``json_tensor.cc``, ``http_rest_api_handler.cc``). Model and versions are one folder.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

v1 = tf.compat.v1
Code = grpc.StatusCode

LOOPBACK = "127.0.0.1"
# The server puts no limit on the size of a message; gRPC's own would be 4 MB.
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
CODES = {code.value[0]: code for code in Code}
HTTP_STATUS = {Code.OK: 200, Code.NOT_FOUND: 404, Code.UNIMPLEMENTED: 501, Code.INTERNAL: 500}


@dataclass(frozen=True)
class Addresses:
    """Where a stand-in listens: ``127.0.0.1:PORT`` for gRPC, ``http://127.0.0.1:PORT`` for REST."""

    grpc: str
    rest: str


class Refused(Exception):
    """A request that the server answers with a status other than OK."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@contextmanager
def stand_in_server(folder: Path, name: str = "model") -> Iterator[Addresses]:
    """Serve the SavedModel in ``folder`` under ``name``, by gRPC and by REST, each with a session of its own."""
    with Servable(folder, name) as of_grpc, Servable(folder, name) as of_rest:
        service = grpc.server(ThreadPoolExecutor(max_workers=8), options=UNLIMITED)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(of_grpc), service)
        grpc_port = service.add_insecure_port(f"{LOOPBACK}:0")
        service.start()
        handler = type("HandlerOfServable", (Handler,), {"servable": of_rest})
        web = ThreadingHTTPServer((LOOPBACK, 0), handler)
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield Addresses(f"{LOOPBACK}:{grpc_port}", f"http://{LOOPBACK}:{web.server_port}")
        finally:
            web.shutdown()
            thread.join()
            web.server_close()
            service.stop(grace=None).wait()


class Servable:
    """A SavedModel in a TensorFlow session, which may be asked from several threads."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name, self.folder = name, folder
        self.version = int(folder.name) if folder.name.isdigit() else 1
        graph = tf.Graph()
        self.session = v1.Session(graph=graph)
        with graph.as_default():
            loaded = v1.saved_model.load(self.session, ["serve"], str(folder))
        self.signatures = dict(loaded.signature_def)

    def __enter__(self) -> Servable:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    def check(self, name: str, version: int | None = None) -> None:
        """Refuse what asks for another model."""
        if name != self.name or version not in (None, self.version):
            wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise Refused(Code.NOT_FOUND, f"Servable not found for request: {wanted}")

    def predict(
        self, signature: Any, inputs: Mapping[str, np.ndarray], output_filter: tuple[str, ...] = ()
    ) -> dict[str, np.ndarray]:
        """What a signature's definition gives for arrays by their names."""
        if inputs.keys() != signature.inputs.keys():
            raise Refused(
                Code.INVALID_ARGUMENT,
                f"input size does not match signature: Sent extra: {sorted(inputs.keys() - signature.inputs.keys())}. "
                f"Missing but required: {sorted(signature.inputs.keys() - inputs.keys())}.",
            )
        for name, value in inputs.items():
            expected = tf.dtypes.as_dtype(signature.inputs[name].dtype)
            given = tf.dtypes.as_dtype(value.dtype)
            if given != expected:
                raise Refused(
                    Code.INVALID_ARGUMENT,
                    f"Expects {name} to be {expected.name} but {given.name} is provided",
                )
        if unknown := [name for name in output_filter if name not in signature.outputs]:
            raise Refused(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {unknown[0]} Outputs expected to be in the set "
                f"{sorted(signature.outputs)}.",
            )
        if len(set(output_filter)) < len(output_filter):
            raise Refused(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {output_filter}")
        try:
            return self.session.run(
                {name: signature.outputs[name].name for name in output_filter or signature.outputs},
                {signature.inputs[name].name: value for name, value in inputs.items()},
            )
        except tf.errors.OpError as error:
            # The heading is that of Python's session.
            message = error.message.removeprefix("Graph execution error:").lstrip()
            raise Refused(CODES[error.error_code], message) from error
        except ValueError as error:
            raise Refused(Code.INVALID_ARGUMENT, str(error)) from error


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The gRPC service: Predict and GetModelMetadata; the base class answers that the others are not implemented."""

    def __init__(self, servable: Servable) -> None:
        self.servable = servable

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return self._predict(request)
        except Refused as refused:
            context.abort(refused.code, str(refused))

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            self.servable.check(request.model_spec.name, version_of(request.model_spec))
            if list(request.metadata_field) != ["signature_def"]:
                raise Refused(Code.INVALID_ARGUMENT, "Metadata field is not supported")
            return metadata(self.servable)
        except Refused as refused:
            context.abort(refused.code, str(refused))

    def _predict(self, request: Any) -> Any:
        servable = self.servable
        servable.check(request.model_spec.name, version_of(request.model_spec))
        name = request.model_spec.signature_name or "serving_default"
        if name not in servable.signatures:
            raise Refused(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        outputs = servable.predict(servable.signatures[name], inputs, tuple(request.output_filter))
        response = predict_pb2.PredictResponse(model_spec=spec(servable, name))
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


def version_of(model_spec: Any) -> int | None:
    return model_spec.version.value if model_spec.HasField("version") else None


def spec(servable: Servable, signature: str = "") -> Any:
    found = model_pb2.ModelSpec(name=servable.name, signature_name=signature)
    found.version.value = servable.version
    return found


def metadata(servable: Servable) -> Any:
    response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec(servable))
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.signatures.items():
        signatures.signature_def[name].CopyFrom(signature)
    response.metadata["signature_def"].Pack(signatures)
    return response


class Handler(BaseHTTPRequestHandler):
    """The REST interface of one servable: predict, status and metadata."""

    servable: Servable
    protocol_version = "HTTP/1.1"
    PATH = re.compile(
        r"/v1/models/(?P<name>[^/:]+)(/versions/(?P<version>\d+))?(?P<verb>:predict|/metadata)?"
    )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(":predict", lambda: predict_of_json(self.servable, body))

    def do_GET(self) -> None:
        if self.path.endswith("/metadata"):
            # The server writes the field names as the protocol buffers have them.
            self._answer("/metadata", lambda: json_format.MessageToDict(metadata(self.servable), preserving_proto_field_name=True))  # fmt: skip
        else:
            state = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            status = {"version": str(self.servable.version), **state}
            self._answer(None, lambda: {"model_version_status": [status]})

    def log_message(self, *_: object) -> None:
        """Nothing: tests read what a client gets."""

    def _answer(self, verb: str | None, answer: Any) -> None:
        try:
            found = self.PATH.fullmatch(self.path)
            if found is None or found["verb"] != verb:
                raise Refused(
                    Code.INVALID_ARGUMENT, f"Malformed request: {self.command} {self.path.partition('?')[0]}"
                )
            self.servable.check(found["name"], int(found["version"]) if found["version"] else None)
            code, content = Code.OK, answer()
        except Refused as refused:
            code, content = refused.code, {"error": str(refused)}
        body = json.dumps(content).encode()
        self.send_response(HTTP_STATUS.get(code, 400))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def predict_of_json(servable: Servable, body: bytes) -> dict[str, Any]:
    """The answer to a request's body, in the row format (``instances``) or in columns (``inputs``), as it was asked."""
    try:
        request = json.loads(body)
    except ValueError as error:
        raise Refused(Code.INVALID_ARGUMENT, f"JSON Parse error: {error}") from error
    if not isinstance(request, dict):
        raise Refused(Code.INVALID_ARGUMENT, "JSON Value: Is not object")
    name = request.get("signature_name", "serving_default")
    if not isinstance(name, str):
        raise Refused(Code.INVALID_ARGUMENT, "'signature_name' key must be a string value.")
    # An empty name is the default, as it is over gRPC.
    name = name or "serving_default"
    if name not in servable.signatures:
        raise Refused(Code.INVALID_ARGUMENT, f'Serving signature name: "{name}" not found in signature def')
    signature = servable.signatures[name]
    if ("instances" in request) == ("inputs" in request):
        raise Refused(
            Code.INVALID_ARGUMENT,
            "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist",
        )
    if "inputs" in request:
        outputs = servable.predict(signature, of_columns(signature, request["inputs"]))
        columns = {key: to_json(key, value) for key, value in outputs.items()}
        return {"outputs": single(columns)}
    outputs = servable.predict(signature, of_rows(signature, request["instances"]))
    columns = {key: to_json(key, value) for key, value in outputs.items()}
    count = len(request["instances"])
    if any(len(column) != count for column in columns.values()):
        raise Refused(Code.INVALID_ARGUMENT, "an output has inconsistent batch size")
    rows = [single({key: column[row] for key, column in columns.items()}) for row in range(count)]
    return {"predictions": rows}


def single(values: dict[str, Any]) -> Any:
    """What has one name is written without it."""
    return next(iter(values.values())) if len(values) == 1 else values


def of_columns(signature: Any, value: Any) -> dict[str, np.ndarray]:
    named = isinstance(value, dict) and not is_base64(value)
    if not named:
        value = unnamed(signature, value)
    if missing := signature.inputs.keys() - value.keys():
        raise Refused(Code.INVALID_ARGUMENT, f"Missing named input: {sorted(missing)[0]} in 'inputs' object.")
    return {key: to_array(signature.inputs[key], value[key]) for key in signature.inputs}


def of_rows(signature: Any, rows: Any) -> dict[str, np.ndarray]:
    if not isinstance(rows, list) or not rows:
        raise Refused(
            Code.INVALID_ARGUMENT, "Expecting 'instances' to be a list/array with at least one value"
        )
    named = [isinstance(row, dict) and not is_base64(row) for row in rows]
    if any(named) != all(named):
        raise Refused(Code.INVALID_ARGUMENT, "Expecting 'instances' to be all values or all objects")
    if not all(named):
        rows = [unnamed(signature, row) for row in rows]
    for place, row in enumerate(rows):
        if row.keys() != signature.inputs.keys():
            raise Refused(
                Code.INVALID_ARGUMENT,
                f"Failed to process element: {place} of 'instances' list. keys must be equal to: "
                f"{','.join(sorted(signature.inputs))}",
            )
    return {key: to_array(info, [row[key] for row in rows]) for key, info in signature.inputs.items()}


def unnamed(signature: Any, value: Any) -> dict[str, Any]:
    """A value for the only input there is."""
    if len(signature.inputs) > 1:
        raise Refused(
            Code.INVALID_ARGUMENT,
            "expecting an object as multiple input tensors required as per tensorinfo_map",
        )
    return {next(iter(signature.inputs)): value}


def is_base64(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str)


def to_array(info: Any, value: Any) -> np.ndarray:
    """JSON's nested lists as an array of the input's type; nothing is converted that the server would not convert."""
    dtype = tf.dtypes.as_dtype(info.dtype)
    converted = convert(dtype, value)
    try:
        return np.array(converted, dtype.as_numpy_dtype)
    except (ValueError, OverflowError) as error:
        raise Refused(Code.INVALID_ARGUMENT, f"Encountered list at unexpected size: {error}") from error


def convert(dtype: tf.DType, value: Any) -> Any:
    if isinstance(value, list):
        return [convert(dtype, each) for each in value]
    if dtype == tf.string:
        if is_base64(value):
            try:
                return base64.b64decode(value["b64"], validate=True)
            except binascii.Error as error:
                raise Refused(Code.INVALID_ARGUMENT, "Unable to base64 decode") from error
        if isinstance(value, str):
            return value.encode()
    elif isinstance(value, int if dtype.is_integer else (int, float)) and not isinstance(value, bool):
        return value
    raise Refused(
        Code.INVALID_ARGUMENT,
        f"JSON Value: {str(value)[:100]} Type: {type(value).__name__} is not of expected type: {dtype.name}",
    )


def to_json(name: str, value: np.ndarray) -> Any:
    if value.dtype != object:
        return value.tolist()

    def string(content: bytes) -> Any:
        # By its name a string is bytes for the server, and text otherwise.
        return {"b64": base64.b64encode(content).decode()} if name.endswith("_bytes") else content.decode()

    def nested(content: Any) -> Any:
        return [nested(each) for each in content] if isinstance(content, list) else string(content)

    return nested(value.tolist())
