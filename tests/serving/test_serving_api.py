"""TensorFlow Serving's interfaces: what its messages and its files make of an exported model, without its server.

The messages are those of the package ``tensorflow-serving-api``; a stand-in answers them by a TensorFlow session.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import keras
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from google.protobuf.message import Message
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)
from tensorflow_serving.config import model_server_config_pb2

from tests.heads.family import tiny
from tests.serving.conftest import BATCHING
from tests.serving.stand_in_server import Addresses, stand_in_server
from tfwav2vec2 import Wav2Vec2FeatureExtractor, Wav2Vec2Processor
from tfwav2vec2.serving import saved_model, warmup
from tfwav2vec2.serving.model_server import ServedModel, server_files
from tfwav2vec2.serving.saved_model import export_saved_model, run_saved_model, signatures_of

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModels are TensorFlow's"
)

NAME = "served"
RATE = 16_000
LENGTHS = np.array([9_000, 4_321, 7_000], np.int32)


@pytest.fixture(scope="module")
def server(served_ctc: Path) -> Iterator[Addresses]:
    with stand_in_server(served_ctc, NAME) as addresses:
        yield addresses


@pytest.fixture(scope="module")
def stub(server: Addresses) -> Iterator[Any]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def waveforms() -> np.ndarray:
    waveform = np.random.default_rng(0).normal(0.01, 0.1, (len(LENGTHS), LENGTHS.max())).astype("float32")
    for row, length in zip(waveform, LENGTHS, strict=True):
        row[length:] = 7.0
    return waveform


def wav_file(samples: int = 8_000, rate: int = 8_000) -> bytes:
    content = io.BytesIO()
    noise = np.random.default_rng(1).normal(0.0, 2_000.0, samples).astype("<i2")
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(noise.tobytes())
    return content.getvalue()


def predict(stub: Any, inputs: dict[str, Any], signature: str = "", name: str = NAME, **fields: Any) -> Any:
    request = predict_pb2.PredictRequest(**fields)
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return stub.Predict(request)


def arrays(response: Any) -> dict[str, np.ndarray]:
    return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}


def post(server: Addresses, body: Any, name: str = NAME) -> dict[str, Any]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(f"{server.rest}/v1/models/{name}:predict", content) as answer:
        return json.load(answer)


def refusal(server: Addresses, body: Any, name: str = NAME) -> tuple[int, str]:
    with pytest.raises(urllib.error.HTTPError) as caught:
        post(server, body, name)
    with caught.value as answer:
        return answer.code, json.load(answer)["error"]


def as_rows(waveform: np.ndarray, lengths: np.ndarray) -> list[dict[str, Any]]:
    return [
        {"waveform": row.tolist(), "lengths": int(length)}
        for row, length in zip(waveform, lengths, strict=True)
    ]


# --- what is answered ------------------------------------------------------------------------------------------


def test_three_sessions_give_one_answer_and_the_models(
    tiny_ctc: tuple[Any, Wav2Vec2Processor], served_ctc: Path, server: Addresses, stub: Any
) -> None:
    inputs = {"waveform": waveforms(), "lengths": LENGTHS}
    (direct,) = run_saved_model(served_ctc, "serving_default", [inputs])
    by_grpc = arrays(predict(stub, inputs))
    columns = post(server, {"inputs": {name: value.tolist() for name, value in inputs.items()}})["outputs"]
    rows = post(server, {"instances": as_rows(**inputs)})["predictions"]
    assert by_grpc.keys() == columns.keys() == rows[0].keys() == direct.keys()
    for name, value in direct.items():
        np.testing.assert_array_equal(by_grpc[name], value)
        assert by_grpc[name].dtype == value.dtype
        np.testing.assert_array_equal(np.array(columns[name], value.dtype), value)
        np.testing.assert_array_equal(np.array([row[name] for row in rows], value.dtype), value)

    model, processor = tiny_ctc
    features = processor.feature_extractor(
        [row[:length] for row, length in zip(waveforms(), LENGTHS, strict=True)],
        sampling_rate=RATE,
        padding=True,
        return_attention_mask=True,
        return_tensors="np",
    )
    expected = model(features["input_values"], attention_mask=features["attention_mask"])
    np.testing.assert_array_equal(direct["frame_lengths"], expected.frame_lengths)
    for row, length in enumerate(direct["frame_lengths"]):
        logits = np.asarray(expected.logits)[row, :length]
        np.testing.assert_allclose(direct["logits"][row, :length], logits, rtol=0, atol=1e-5)


def test_files_and_samples_give_one_text(served_ctc: Path, server: Addresses, stub: Any) -> None:
    files = np.array([wav_file(), wav_file(12_000, RATE)], object)
    (direct,) = run_saved_model(served_ctc, "transcribe_wav", [{"wav": files}])
    assert all(direct["text"])
    np.testing.assert_array_equal(
        arrays(predict(stub, {"wav": files}, "transcribe_wav"))["text"], direct["text"]
    )
    encoded = [{"b64": base64.b64encode(file).decode()} for file in files]
    expected = [text.decode() for text in direct["text"]]
    for body in (
        {"instances": encoded},
        {"instances": [{"wav": each} for each in encoded]},
        {"inputs": encoded},
        {"inputs": {"wav": encoded}},
    ):
        answer = post(server, {"signature_name": "transcribe_wav", **body})
        rows = answer.get("predictions")
        assert (answer["outputs"]["text"] if rows is None else [row["text"] for row in rows]) == expected


def test_the_default_signature_and_a_filter(stub: Any) -> None:
    inputs = {"waveform": waveforms(), "lengths": LENGTHS}
    response = predict(stub, inputs, output_filter=["frame_lengths"])
    assert response.model_spec.signature_name == "serving_default"
    assert (response.model_spec.name, response.model_spec.version.value) == (NAME, 1)
    assert arrays(response).keys() == {"frame_lengths"}
    assert arrays(predict(stub, inputs, "serving_default")).keys() == {"logits", "frame_lengths", "ids"}


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"name": "other"}, "NOT_FOUND", "Servable not found"),
        ({"signature": "sing"}, "FAILED_PRECONDITION", '"sing" not found'),
        ({"output_filter": ["volume"]}, "INVALID_ARGUMENT", "alias not found in signature: volume"),
        ({"inputs": {"waveform": waveforms()}}, "INVALID_ARGUMENT", "Missing but required: .'lengths'"),
        (
            {"inputs": {"waveform": waveforms(), "lengths": LENGTHS + 1}},
            "INVALID_ARGUMENT",
            "must not exceed",
        ),
        (
            {"inputs": {"waveform": waveforms(), "lengths": LENGTHS.astype("int64")}},
            "INVALID_ARGUMENT",
            "lengths to be int32",
        ),
        (
            {"signature": "transcribe_wav", "inputs": {"wav": np.array([b"RIFF"], object)}},
            "INVALID_ARGUMENT",
            "Not a WAV file",
        ),
    ],
)
def test_a_bad_request_over_grpc_is_refused(
    stub: Any, changes: dict[str, Any], code: str, message: str
) -> None:
    request = {"inputs": {"waveform": waveforms(), "lengths": LENGTHS}, **changes}
    with pytest.raises(grpc.RpcError) as caught:
        predict(stub, **request)
    assert caught.value.code() is grpc.StatusCode[code]
    assert re.search(message, caught.value.details())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "JSON Parse error"),
        ({"signature_name": "sing", "instances": [1]}, '"sing" not found in signature def'),
        ({"signature_name": "transcribe"}, "expecting only one of"),
        ({"instances": [{"waveform": [0.0]}]}, "keys must be equal to: lengths,waveform"),
        ({"instances": [[0.0], [0.0]]}, "multiple input tensors required"),
        ({"inputs": {"waveform": [[0.0, 0.1], [0.0]], "lengths": [2, 1]}}, "unexpected size"),
        ({"inputs": {"waveform": [["loud"]], "lengths": [1]}}, "not of expected type: float32"),
        ({"inputs": {"waveform": [[0.0]], "lengths": [1.0]}}, "not of expected type: int32"),
        ({"inputs": {"waveform": [[0.0]], "lengths": [1]}}, "lengths must be at least"),
        ({"signature_name": "transcribe_wav", "instances": [{"b64": "no"}]}, "base64"),
        ({"signature_name": "transcribe_wav", "instances": ["text"]}, "Not a WAV file"),
    ],
)
def test_a_bad_request_over_rest_is_refused(server: Addresses, body: Any, message: str) -> None:
    code, error = refusal(server, body)
    assert code == 400
    assert message in error


def test_an_unknown_model_is_not_found(server: Addresses) -> None:
    assert refusal(server, {"instances": [0]}, "other") == (
        404,
        "Servable not found for request: Latest(other)",
    )


# --- what lies beside the model --------------------------------------------------------------------------------


def test_the_warm_up_requests_are_the_servers_messages_and_are_answered(served_ctc: Path, stub: Any) -> None:
    file = served_ctc / "assets.extra" / "tf_serving_warmup_requests"
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    assert len(records) <= 1_000  # what the server takes
    logs = [prediction_log_pb2.PredictionLog.FromString(record) for record in records]
    assert [log.predict_log.request.model_spec.signature_name for log in logs] == list(
        signatures_of(served_ctc)
    )
    for record, log in zip(records, logs, strict=True):
        request = log.predict_log.request
        assert request.model_spec.name == NAME
        # Every byte is read, and in the order of the fields, as the class itself writes them.
        assert log.WhichOneof("log_type") == "predict_log"
        assert log.ByteSize() == len(record)
        log.DiscardUnknownFields()
        assert log.ByteSize() == len(record)
        takes, gives = signatures_of(served_ctc)[request.model_spec.signature_name]
        assert request.inputs.keys() == set(takes)
        assert arrays(stub.Predict(request)).keys() == set(gives)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**21 - 1, 2**32])
def test_lengths_are_written_as_protocol_buffers_write_them(value: int) -> None:
    # A field of that number in any message: the key and the length are such numbers.
    message = tf.train.Int64List(value=[value]).SerializeToString()
    assert message.endswith(warmup._varint(value))
    assert message == warmup._field(1, warmup._varint(value))


def batching_parameters() -> type[Message]:
    """The message of ``session_bundle_config.proto``, which the package of the server's messages does not have."""
    numbers = {
        "max_batch_size": 1,
        "batch_timeout_micros": 2,
        "max_enqueued_batches": 3,
        "num_batch_threads": 4,
    }
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="batching_parameters.proto", syntax="proto3", dependency=["google/protobuf/wrappers.proto"]
    )
    message = file.message_type.add(name="BatchingParameters")
    for name, number in numbers.items():
        message.field.add(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            label=field.LABEL_OPTIONAL,
            type_name=".google.protobuf.Int64Value",
        )
    message.field.add(
        name="pad_variable_length_inputs", number=7, type=field.TYPE_BOOL, label=field.LABEL_OPTIONAL
    )
    pool = descriptor_pool.DescriptorPool()
    wrappers = descriptor_pb2.FileDescriptorProto(name="google/protobuf/wrappers.proto")
    wrappers_pb2.DESCRIPTOR.CopyToProto(wrappers)
    pool.Add(wrappers)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("BatchingParameters"))


def test_the_configuration_files_are_the_servers(served_ctc: Path) -> None:
    extra = served_ctc / "assets.extra"
    models = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((extra / "models.config").read_text(), models)
    (config,) = models.model_config_list.config
    assert (config.name, config.base_path, config.model_platform) == (NAME, f"/models/{NAME}", "tensorflow")

    batching: Any = batching_parameters()()
    text_format.Parse((extra / "batching.config").read_text(), batching)
    assert batching.pad_variable_length_inputs
    assert batching.max_batch_size.value == BATCHING.max_batch_size
    assert batching.batch_timeout_micros.value == BATCHING.batch_timeout_micros
    assert batching.num_batch_threads.value == BATCHING.num_batch_threads
    assert batching.max_enqueued_batches.value == BATCHING.max_enqueued_batches


def test_a_batch_as_the_server_pads_it_gives_what_single_requests_give(served_ctc: Path) -> None:
    singles = [
        {"waveform": row[None, :length], "lengths": np.array([length], np.int32)}
        for row, length in zip(waveforms(), LENGTHS, strict=True)
    ]
    waveform = waveforms()
    for row, length in zip(waveform, LENGTHS, strict=True):
        # The server's choice: the tensor's own first value.
        row[length:] = row[0]
    together, *alone = run_saved_model(
        served_ctc, "serving_default", [{"waveform": waveform, "lengths": LENGTHS}, *singles]
    )
    for row, single in enumerate(alone):
        frames = single["frame_lengths"][0]
        assert together["frame_lengths"][row] == frames
        logits = single["logits"][0]
        allowed = 1e-5 * max(1.0, np.abs(logits).max())
        np.testing.assert_allclose(together["logits"][row, :frames], logits, rtol=0, atol=allowed)


def commands_of(folder: Path) -> list[str]:
    return re.findall(r"```sh\n(.*?)\n```", (folder / "assets.extra" / "SERVING.md").read_text(), re.DOTALL)


@pytest.mark.skipif(
    shutil.which("bash") is None or shutil.which("curl") is None, reason="needs bash and curl"
)
def test_the_commands_of_the_text_are_answered(served_ctc: Path, server: Addresses, tmp_path: Path) -> None:
    (tmp_path / "recording.wav").write_bytes(wav_file())
    _, status, *requests = commands_of(served_ctc)
    assert len(requests) == len(signatures_of(served_ctc))

    def answer(command: str) -> Any:
        script = "set -o pipefail\n" + command.replace("http://localhost:8501", server.rest)
        run = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
        return json.loads(run.stdout)

    assert answer(status)["model_version_status"][0]["state"] == "AVAILABLE"
    for command, (name, (_, gives)) in zip(requests, signatures_of(served_ctc).items(), strict=True):
        assert f'"{name}"' in command
        found = answer(command)
        outputs = found["outputs"] if "outputs" in found else found["predictions"][0]
        assert outputs.keys() == set(gives)


@pytest.mark.parametrize(("parent", "folder"), [("served", "3"), ("my models", "7"), ("models", "digits")])
def test_the_server_finds_its_files_where_the_command_puts_them(
    tiny_ctc: tuple[Any, Wav2Vec2Processor], served_ctc: Path, tmp_path: Path, parent: str, folder: str
) -> None:
    path = tmp_path / parent / folder
    served = ServedModel.of(path)
    files = server_files(
        served, signatures_of(served_ctc), rate=RATE, server_batching=BATCHING, graph_batches=False
    )
    extra = path / "assets.extra"
    extra.mkdir(parents=True)
    for name, text in files.items():
        (extra / name).write_text(text)
    start = commands_of(path)[0]
    # The shell says what docker would be given, in the folder that the text names.
    (beside,) = re.findall(r"folder that holds `([^`]+)`", files["SERVING.md"])
    (place,) = [each.parent for each in tmp_path.rglob(beside)]
    script = "docker() { printf '%s\\n' \"$@\"; }\n" + start
    run = subprocess.run(["bash", "-c", script], cwd=place, capture_output=True, text=True, check=True)
    arguments = run.stdout.splitlines()
    source, target, mode = arguments[arguments.index("-v") + 1].split(":")
    assert mode == "ro"
    assert "tensorflow/serving" in arguments
    given = {name: value for name, _, value in (each.partition("=") for each in arguments)}
    assert "--enable_batching" in given
    for option in ("--model_config_file", "--batching_parameters_file"):
        assert (Path(source) / Path(given[option]).relative_to(target)).is_file()
    # In the model's folder on the server the version's is found by its number.
    models = model_server_config_pb2.ModelServerConfig()
    text_format.Parse(files["models.config"], models)
    (config,) = models.model_config_list.config
    version = Path(target).relative_to(config.base_path) if folder == "digits" else Path(folder)
    assert str(version).isdigit()


@pytest.mark.parametrize(
    ("path", "given", "expected"),
    [
        ("base/served/1", None, "served"),
        ("base/digits", None, "digits"),
        ("base/my model/12", None, "my_model"),
        ("base/-x", None, "x"),
        ("base/.../1", None, "model"),
        ("base/served/1", "Other-1.0", "Other-1.0"),
    ],
)
def test_a_model_is_named_after_its_folder(
    tmp_path: Path, path: str, given: str | None, expected: str
) -> None:
    assert ServedModel.of(tmp_path / path, given).name == expected


# --- what is not written ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a:b", "-a", 'a"b'])
def test_a_name_that_no_address_can_hold_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="cannot name a served model: use letters"):
        export_saved_model(tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), tmp_path / "new", name=name)
    assert list(tmp_path.iterdir()) == []


def test_an_export_whose_warm_up_fails_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def empty(signatures: Any, *_: Any) -> Any:
        inputs = {"waveform": np.zeros((1, 9), np.float32), "lengths": np.array([9], np.int32)}
        return dict.fromkeys(signatures, inputs)

    monkeypatch.setattr(warmup, "warmup_requests", empty)
    with pytest.raises(ValueError, match=r"serving_default does not answer a second of noise \(.*at least"):
        export_saved_model(tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_written_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(saved_model, "server_files", fail)
    with pytest.raises(OSError, match="No space left"):
        export_saved_model(tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_padding_changes_is_not_batched(tmp_path: Path) -> None:
    model = tiny("TFWav2Vec2Model", feature_norm_mask=False)
    extra = export_saved_model(model, Wav2Vec2FeatureExtractor(), tmp_path / "m" / "1") / "assets.extra"
    assert {path.name for path in extra.iterdir()} == {
        "tf_serving_warmup_requests",
        "models.config",
        "SERVING.md",
        "config.json",
        "preprocessor_config.json",
        "export.json",
    }
    text = (extra / "SERVING.md").read_text()
    assert "must not put requests together" in text
    assert "--enable_batching" not in text.partition("## Batching")[0]


def test_each_weight_is_written_once(tiny_ctc: tuple[Any, Wav2Vec2Processor], served_ctc: Path) -> None:
    model, _ = tiny_ctc
    reader = tf.train.load_checkpoint(str(served_ctc / "variables" / "variables"))
    shapes = reader.get_variable_to_shape_map()
    written = sum(int(np.prod(shape)) for name, shape in shapes.items() if "VARIABLE_VALUE" in name)
    assert written == sum(int(np.prod(weight.shape)) for weight in model.weights)
