"""TensorFlow Serving's paths: its clients work here, and what it refuses is refused with its status and form."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.web.client import Client
from tests.web.conftest import NAME, SAID, sound_file
from tfwav2vec2.serving.engines import Engine, LiteRTEngine, open_engine
from tfwav2vec2.transcription.engine_transcriber import EngineTranscriber

CLIPS = ("one_digit", "three_digits", "four_digits")


@pytest.fixture(scope="module")
def client_engine(digits_server: Client) -> Iterator[Engine]:
    """The package's client of TensorFlow Serving, pointed at this server."""
    with open_engine(f"{digits_server.address}/v1/models/{NAME}") as engine:
        yield engine


@pytest.fixture(scope="module")
def batch(waveforms: dict[str, np.ndarray]) -> tuple[np.ndarray, list[int]]:
    """Three clips, and behind each something that must not be heard."""
    lengths = [len(waveforms[name]) for name in CLIPS]
    waveform = np.full((len(CLIPS), max(lengths) + 500), 0.7, np.float32)
    for row, name in zip(waveform, CLIPS, strict=True):
        row[: len(waveforms[name])] = waveforms[name]
    return waveform, lengths


def test_the_packages_own_client_reads_the_same_texts(
    client_engine: Engine, digits_engine: LiteRTEngine, batch: tuple[np.ndarray, list[int]]
) -> None:
    texts = client_engine.texts(*batch)
    assert texts == [SAID[name] for name in CLIPS] == digits_engine.texts(*batch)


def test_logits_are_the_engines_and_frames_behind_a_row_are_nothing(
    client_engine: Engine, digits_engine: LiteRTEngine, batch: tuple[np.ndarray, list[int]]
) -> None:
    waveform, lengths = batch
    found, expected = client_engine(waveform, lengths), digits_engine(waveform, lengths)
    assert found.keys() == expected.keys() == {"logits", "frame_lengths", "ids"}
    assert found["logits"].shape == expected["logits"].shape
    np.testing.assert_array_equal(found["frame_lengths"], expected["frame_lengths"])
    for row, frames in enumerate(expected["frame_lengths"]):
        np.testing.assert_allclose(
            found["logits"][row, :frames], expected["logits"][row, :frames], rtol=0, atol=1e-4
        )
        np.testing.assert_array_equal(found["ids"][row, :frames], expected["ids"][row, :frames])
        assert not found["logits"][row, frames:].any()
        assert not found["ids"][row, frames:].any()


def test_the_command_line_transcribes_through_it(client_engine: Engine, clip_bytes: dict[str, bytes]) -> None:
    transcripts = EngineTranscriber(client_engine).transcribe([clip_bytes[name] for name in SAID])
    assert [transcript.text for transcript in transcripts] == list(SAID.values())


def test_sound_files_of_any_format_and_rate_go_into_transcribe_wav(
    digits_server: Client, waveforms: dict[str, np.ndarray]
) -> None:
    clip = waveforms["four_digits"]
    files = [
        sound_file(clip, kind="WAV", subtype="PCM_16"),
        sound_file(clip, kind="OGG"),
        sound_file(np.stack([clip, clip], axis=1), kind="FLAC"),
        sound_file(clip[::2], rate=8_000),
    ]
    instances = [{"b64": base64.b64encode(file).decode()} for file in files]
    answer = digits_server.predict({"signature_name": "transcribe_wav", "instances": instances}).json
    assert [row["text"] for row in answer["predictions"]] == ["2695"] * 4
    assert all(0.5 < row["confidence"] <= 1 for row in answer["predictions"])


# --- beside the stand-in for TensorFlow Serving ----------------------------------------------------------------


@pytest.fixture(scope="module")
def stand_in(spoken_digits: Path) -> Iterator[str]:
    """The embedded SavedModel, as TensorFlow Serving would answer for it."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("SavedModels are TensorFlow's")
    from tests.serving.stand_in_server import stand_in_server

    with stand_in_server(spoken_digits / "saved_model", NAME) as addresses:
        yield addresses.rest


def wav_of(samples: np.ndarray) -> dict[str, str]:
    return {"b64": base64.b64encode(sound_file(samples, kind="WAV", subtype="FLOAT")).decode()}


NOISE = np.random.default_rng(0).normal(0, 0.1, 3_200).astype(np.float32)
SAMPLES = [round(float(each), 4) for each in NOISE]
ROW = {"waveform": SAMPLES, "lengths": 3_000}
COLUMNS = {"waveform": [SAMPLES], "lengths": [3_000]}

ANSWERED = {
    "rows": {"instances": [ROW, ROW]},
    "columns": {"inputs": COLUMNS},
    "a default by an empty name": {"signature_name": "", "inputs": COLUMNS},
    "whole numbers are samples too": {"inputs": {"waveform": [[0, 1] * 1_000], "lengths": [2_000]}},
    "texts by rows": {"signature_name": "transcribe", "instances": [ROW]},
    "texts by columns": {"signature_name": "transcribe", "inputs": COLUMNS},
    "files by name": {"signature_name": "transcribe_wav", "instances": [{"wav": wav_of(NOISE)}]},
    "the only input without a name": {"signature_name": "transcribe_wav", "instances": [wav_of(NOISE)]},
    "the only input's column without a name": {"signature_name": "transcribe_wav", "inputs": [wav_of(NOISE)]},
}
REFUSED: dict[str, Any] = {
    "no JSON": b"{",
    "no object": [1],
    "neither form": {"signature_name": "transcribe"},
    "both forms": {"inputs": COLUMNS, "instances": [ROW]},
    "no such signature": {"signature_name": "translate", "inputs": COLUMNS},
    "a signature's name that is none": {"signature_name": 7, "inputs": COLUMNS},
    "no rows": {"instances": []},
    "rows that are none": {"instances": {"waveform": [0.0]}},
    "rows of two kinds": {"instances": [ROW, 1.0]},
    "a row without lengths": {"instances": [{"waveform": SAMPLES}]},
    "a row with more": {"instances": [{**ROW, "rate": 16_000}]},
    "a column without lengths": {"inputs": {"waveform": [SAMPLES]}},
    "no names for two inputs": {"inputs": [SAMPLES]},
    "a text for samples": {"inputs": {"waveform": [["a"]], "lengths": [1]}},
    "booleans for samples": {"inputs": {"waveform": [[True] * 3_000], "lengths": [3_000]}},
    "a fraction for a length": {"inputs": {"waveform": [SAMPLES], "lengths": [3_000.5]}},
    "a length beyond the samples": {"inputs": {"waveform": [SAMPLES], "lengths": [3_201]}},
    "a length of nothing": {"inputs": {"waveform": [SAMPLES], "lengths": [0]}},
    "a length beyond 32 bits": {"inputs": {"waveform": [SAMPLES], "lengths": [2**40]}},
    "rows of unlike widths": {"instances": [ROW, {"waveform": SAMPLES[:-1], "lengths": 3_000}]},
    "one dimension too few": {"inputs": {"waveform": SAMPLES, "lengths": [3_000]}},
    "one dimension too many": {"inputs": {"waveform": [[SAMPLES]], "lengths": [3_000]}},
    "base64 that is none": {"signature_name": "transcribe_wav", "instances": [{"b64": "?"}]},
    "a file that is no sound": {"signature_name": "transcribe_wav", "instances": [{"b64": "AAAA"}]},
    "a number for a file": {"signature_name": "transcribe_wav", "instances": [3]},
}


def asked(rest: str, request: Any) -> tuple[int, Any]:
    port = int(rest.rpartition(":")[2])
    answer = Client(port).predict(request)
    return answer.status, answer.json


def same(found: Any, expected: Any) -> None:
    """The same keys, shapes and, within what two runtimes differ by, numbers."""
    assert type(found) is type(expected) or {type(found), type(expected)} == {int, float}
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            same(found[key], value)
    elif isinstance(expected, list) and expected and not isinstance(expected[0], (dict, str)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-3)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for each, other in zip(found, expected, strict=True):
            same(each, other)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=2e-3)
    else:
        assert found == expected


@pytest.mark.parametrize("case", ANSWERED)
def test_what_is_answered_has_the_servers_form(digits_server: Client, stand_in: str, case: str) -> None:
    (status, found), (expected_status, expected) = (
        asked(digits_server.address, ANSWERED[case]),
        asked(stand_in, ANSWERED[case]),
    )
    assert status == expected_status == 200
    for answer in (found, expected):
        # Behind a row's end the graph computes on, and we write nothing.
        rows = answer["predictions"] if "predictions" in answer else [answer["outputs"]]
        for row in rows:
            if "logits" in row:
                frames = np.ravel(row["frame_lengths"])[0]
                logits = np.array(row["logits"], np.float32)
                row["logits"] = logits.reshape(-1, *logits.shape[-2:])[:, :frames].tolist()
    same(found, expected)


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_has_the_servers_status_and_form(
    digits_server: Client, stand_in: str, case: str
) -> None:
    (status, found), (expected_status, expected) = (
        asked(digits_server.address, REFUSED[case]),
        asked(stand_in, REFUSED[case]),
    )
    assert status == expected_status == 400
    assert list(found) == list(expected) == ["error"]
    assert len(found["error"]) > 10
    assert "Traceback" not in found["error"]
    assert asked(digits_server.address, {"inputs": COLUMNS})[0] == 200


@pytest.mark.parametrize("path", [f"/v1/models/{NAME}", f"/v1/models/{NAME}/versions/1"])
def test_status_and_metadata_are_the_servers(digits_server: Client, stand_in: str, path: str) -> None:
    reference = Client(int(stand_in.rpartition(":")[2]))
    assert digits_server.get(path).json == reference.get(path).json
    found, expected = (client.get(f"{path}/metadata").json for client in (digits_server, reference))
    # The stand-in leaves out what is empty; the server does not.
    assert found["model_spec"] == {"signature_name": "", **expected["model_spec"]}
    described, other = (
        {
            name: {
                side: {key: shape_of(tensor) for key, tensor in signature[side].items()}
                for side in ("inputs", "outputs")
            }
            for name, signature in answer["metadata"]["signature_def"]["signature_def"].items()
            if not name.startswith("__")
        }
        for answer in (found, expected)
    )
    assert described == other


def shape_of(tensor: dict[str, Any]) -> tuple[str, int]:
    """A tensor's type and rank; a graph does not tell every size."""
    return tensor["dtype"], len(tensor["tensor_shape"].get("dim", []))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/models/other", 404),
        ("GET", f"/v1/models/{NAME}/versions/2", 404),
        ("GET", f"/v1/models/{NAME}/versions/2/metadata", 404),
        ("POST", "/v1/models/other:predict", 404),
        ("GET", f"/v1/models/{NAME}/versions/one", 400),
        ("POST", f"/v1/models/{NAME}/nothing", 400),
        ("GET", "/v1/nothing", 400),
    ],
)
def test_unknown_models_and_paths(
    digits_server: Client, stand_in: str, method: str, path: str, status: int
) -> None:
    reference = Client(int(stand_in.rpartition(":")[2]))
    body = json.dumps({"inputs": COLUMNS}) if method == "POST" else None
    answers = [client.ask(method, path, body) for client in (digits_server, reference)]
    assert [answer.status for answer in answers] == [status, status]
    assert answers[0].error


def test_more_lengths_than_rows_are_refused(digits_server: Client) -> None:
    """The graph itself would take them, and repeat the row."""
    answer = digits_server.predict({"inputs": {"waveform": [SAMPLES], "lengths": [3_000, 3_000]}})
    assert answer.status == 400
    assert "waveform 1, lengths 2" in answer.error


# --- what a client sends to do harm, or by mistake -------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 200_000, "too deep"),
        (b'{"inputs":' * 50_000, "too deep"),
        (b'{"inputs": {"waveform": [[NaN' + b",0.0" * 3_000 + b']], "lengths": [3000]}}', "NaN or infinite"),
        (b'{"inputs": {"waveform": [[1e999' + b",0.0" * 3_000 + b']], "lengths": [3000]}}', "NaN or infinite"),
        (b'{"inputs": {"waveform": [[1e200' + b",0.0" * 3_000 + b']], "lengths": [3000]}}', "NaN or infinite"),
        (b'{"inputs": {"waveform": [[' + b"9" * 5_000 + b']], "lengths": [3000]}}', "JSON Parse error"),
        (b"\xff\xfe\x00garbage", "JSON Parse error"),
        (b"", "JSON Parse error"),
        (b'{"inputs": {"waveform": [[1]], "lengths": [[1]]}}', "not of expected type"),
    ],
    ids=["deep", "deep objects", "NaN", "infinity", "beyond float32", "long number", "garbage", "empty", "nested"],
)  # fmt: skip
def test_bodies_that_break_parsers_are_refused(digits_server: Client, body: bytes, message: str) -> None:
    answer = digits_server.predict(body)
    assert answer.status == 400
    assert message in answer.error
    assert digits_server.predict({"inputs": COLUMNS}).status == 200


def test_a_recording_that_is_too_long_is_refused(start: Any) -> None:
    client = start(max_audio_seconds=1.0)
    long = {"inputs": {"waveform": [[0.0] * 16_001], "lengths": [16_001]}}
    assert "more than 1 s" in client.predict(long).error
    short = {"inputs": {"waveform": [[0.0] * 16_001], "lengths": [16_000]}}
    assert client.predict(short).status == 200
