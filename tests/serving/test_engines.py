"""Every engine gives the same text and the same logits, and says what is wrong with what it is given."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import REPOSITORY
from tests.heads.family import tiny
from tests.serving.stand_in_server import Addresses, stand_in_server
from tfwav2vec2 import Wav2Vec2FeatureExtractor, Wav2Vec2Processor, load_audio
from tfwav2vec2.cli.main import cli
from tfwav2vec2.serving.bundle import append_archive, bundle_files
from tfwav2vec2.serving.engines import (
    Engine,
    KerasEngine,
    LiteRTEngine,
    SavedModelEngine,
    is_engine,
    open_engine,
    texts_of,
)
from tfwav2vec2.serving.litert import export_litert
from tfwav2vec2.serving.server_engine import ServerEngine

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow"
)

LENGTHS = [1200, 811, 1000]
KINDS = ("keras", "savedmodel", "litert", "rest", "grpc")


@pytest.fixture(scope="module")
def litert_file(tiny_ctc: tuple[Any, Wav2Vec2Processor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_litert(*tiny_ctc, tmp_path_factory.mktemp("litert") / "tiny.tflite").path


@pytest.fixture(scope="module")
def server(served_ctc: Path) -> Iterator[Addresses]:
    with stand_in_server(served_ctc, "tiny") as addresses:
        yield addresses


@pytest.fixture(scope="module")
def sources(served_ctc: Path, litert_file: Path, server: Addresses) -> dict[str, str]:
    return {
        "savedmodel": str(served_ctc),
        "litert": str(litert_file),
        "rest": f"{server.rest}/v1/models/tiny",
        "grpc": f"grpc://{server.grpc}/tiny",
    }


@pytest.fixture(scope="module")
def engines(tiny_ctc: tuple[Any, Wav2Vec2Processor], sources: dict[str, str]) -> Iterator[dict[str, Engine]]:
    opened = {kind: open_engine(source) for kind, source in sources.items()}
    yield {"keras": KerasEngine(*tiny_ctc), **opened}
    for engine in opened.values():
        engine.close()


def waveforms() -> np.ndarray:
    return np.random.default_rng(3).normal(0.01, 0.1, (len(LENGTHS), max(LENGTHS))).astype("float32")


def test_each_source_opens_as_what_it_is(engines: dict[str, Engine], sources: dict[str, str]) -> None:
    assert all(map(is_engine, sources.values()))
    assert isinstance(engines["savedmodel"], SavedModelEngine)
    assert isinstance(engines["litert"], LiteRTEngine)
    assert isinstance(engines["rest"], ServerEngine)
    assert isinstance(engines["grpc"], ServerEngine)
    assert not is_engine("facebook/wav2vec2-base-960h")


@pytest.mark.parametrize("kind", KINDS[1:])
def test_every_engine_gives_what_the_model_gives(engines: dict[str, Engine], kind: str) -> None:
    expected, found = (engines[name](waveforms(), LENGTHS) for name in ("keras", kind))
    np.testing.assert_array_equal(found["frame_lengths"], expected["frame_lengths"])
    for row, length in enumerate(expected["frame_lengths"]):
        logits = expected["logits"][row, :length]
        np.testing.assert_allclose(
            found["logits"][row, :length], logits, rtol=0, atol=1e-5 * max(1.0, np.abs(logits).max())
        )
    texts = engines["keras"].texts(waveforms(), LENGTHS)
    assert all(texts)
    assert engines[kind].texts(waveforms(), LENGTHS) == texts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("waveform", "lengths", "message"),
    [
        (np.zeros((1, 500)), [0], r"between|at least|refuses"),
        (np.zeros((1, 500)), [501], r"between|exceed|refuses"),
        (np.zeros(500), [500], r"takes a waveform \(batch, samples\).*\(500,\)"),
        (np.zeros((2, 500)), [500], r"one whole number of samples for each row"),
        (np.zeros((1, 500)), [400.5], r"one whole number of samples for each row"),
    ],
)
def test_a_wrong_length_or_shape_is_an_error(
    engines: dict[str, Engine], kind: str, waveform: np.ndarray, lengths: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        engines[kind](waveform, lengths)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_that_are_no_numbers_are_an_error(engines: dict[str, Engine], kind: str) -> None:
    waveform = waveforms()
    waveform[1, 900] = np.inf  # behind the row's samples
    assert all(engines[kind].texts(waveform, LENGTHS))
    waveform[1, 5] = np.nan
    with pytest.raises(ValueError, match="Row 1 holds NaN or infinite samples"):
        engines[kind].texts(waveform, LENGTHS)


def test_a_model_that_computes_no_numbers_gives_no_text(
    engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engines["litert"]
    answer = engine(waveforms(), LENGTHS)
    answer["logits"][1, 0, 0] = np.nan
    monkeypatch.setattr(engine, "_run", lambda *_: answer)
    first, second, third = engine.texts(waveforms(), LENGTHS)
    assert first
    assert second is None
    assert third
    served = {"text": np.array([b"yes", "no"], object), "confidence": np.array([0.5, np.nan])}
    assert texts_of(served) == ["yes", None]


def test_the_command_gives_the_same_text_for_every_engine(
    sources: dict[str, str], tiny_ctc: tuple[Any, Wav2Vec2Processor], tmp_path: Path
) -> None:
    model, processor = tiny_ctc
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    clip = REPOSITORY / "demo" / "clips" / "three_digits.flac"
    heard = set()
    for source in [str(tmp_path / "model"), *sources.values()]:
        result = CliRunner().invoke(cli, ["transcribe", str(clip), "--model", source])
        assert result.exit_code == 0, result.output
        heard.add(result.stdout)
    assert len(heard) == 1
    assert heard.pop().strip()


def test_a_file_needs_neither_tensorflow_nor_keras(litert_file: Path) -> None:
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('tensorflow', 'keras', 'jax', 'torch', 'huggingface_hub', 'h5py'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from tfwav2vec2.cli.main import main\n"
        "main()"
    )
    clip = REPOSITORY / "demo" / "clips" / "three_digits.flac"
    command = [sys.executable, "-c", code, "transcribe", str(clip), "--model", str(litert_file)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    engine = open_engine(litert_file)
    samples = load_audio(clip)
    assert done.stdout.strip() == engine.texts(samples[None], [len(samples)])[0]


def test_a_language_is_not_chosen_again(litert_file: Path) -> None:
    clip = REPOSITORY / "demo" / "clips" / "three_digits.flac"
    result = CliRunner().invoke(
        cli, ["transcribe", str(clip), "--model", str(litert_file), "--language", "fra"]
    )
    assert result.exit_code == 2
    assert "language is fixed" in result.output


def test_a_model_without_a_vocabulary_gives_no_text(tmp_path: Path) -> None:
    model, extractor = tiny("TFWav2Vec2ForSequenceClassification"), Wav2Vec2FeatureExtractor()
    with pytest.raises(ValueError, match="has no vocabulary and gives no text"):
        KerasEngine(model, extractor).texts(waveforms(), LENGTHS)


def test_files_of_another_origin_are_errors(litert_file: Path, tmp_path: Path) -> None:
    content = litert_file.read_bytes()
    path = tmp_path / "other.tflite"
    with pytest.raises(OSError, match="no LiteRT file"):
        open_engine(path)
    path.write_bytes(b"\0" * 100)
    with pytest.raises(OSError, match="no LiteRT file"):
        open_engine(path)
    # Without its archive, and with a damaged one.
    path.write_bytes(content[: content.index(b"PK\x03\x04")])
    with pytest.raises(OSError, match="was not exported by this package"):
        open_engine(path)
    start = content.index(b"PK\x03\x04") + 60
    path.write_bytes(content[:start] + b"\xff" * 40 + content[start + 40 :])
    with pytest.raises((OSError, ValueError)):
        open_engine(path)


def test_a_damaged_network_is_an_error(litert_file: Path, tiny_ctc: tuple[Any, Any], tmp_path: Path) -> None:
    path = tmp_path / "cut.tflite"
    path.write_bytes(litert_file.read_bytes()[:2000])
    append_archive(path, bundle_files(*tiny_ctc, {}))
    with pytest.raises(OSError, match=r"cut.tflite is damaged .* export or download it again"):
        open_engine(path)


def test_other_signatures_are_an_error(tiny_ctc: tuple[Any, Any], tmp_path: Path) -> None:
    import tensorflow as tf

    class Other(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((1, 4), tf.float32, name="x")])
        def double(self, x: Any) -> dict[str, Any]:
            return {"y": x + x}

    module = Other()
    folder, path = tmp_path / "other", tmp_path / "other.tflite"
    tf.saved_model.save(module, str(folder), signatures={"double": module.double})
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert())
    files = bundle_files(*tiny_ctc, {})
    append_archive(path, files)
    (folder / "assets.extra").mkdir()
    for name, content in files.items():
        (folder / "assets.extra" / name).write_bytes(content)
    with pytest.raises(ValueError, match="signatures double, of which none takes waveform and lengths"):
        open_engine(path)
    with pytest.raises(ValueError, match="no signature serving_default of waveform and lengths"):
        open_engine(folder)


@pytest.mark.parametrize("kind", ["savedmodel", "litert"])
def test_an_export_by_a_version_of_another_format_is_refused_before_it_is_loaded(
    served_ctc: Path, litert_file: Path, tmp_path: Path, kind: str
) -> None:
    notes = json.dumps({"format": 99, "version": "7.1"})
    if kind == "savedmodel":
        path = Path(shutil.copytree(served_ctc, tmp_path / "1"))
        (path / "assets.extra" / "export.json").write_text(notes)
        (path / "saved_model.pb").write_bytes(b"not looked at")
    else:
        path = tmp_path / "other.tflite"
        with zipfile.ZipFile(litert_file) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        path.write_bytes(litert_file.read_bytes()[:1000])
        append_archive(path, files | {"export.json": notes.encode()})
    with pytest.raises(
        ValueError, match=r"export format 99, written by version '7.1' .* export the model again"
    ):
        open_engine(path)
    clip = REPOSITORY / "demo" / "clips" / "one_digit.flac"
    result = CliRunner().invoke(cli, ["transcribe", str(clip), "--model", str(path)])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def test_a_saved_model_by_another_tensorflow_is_an_error(served_ctc: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(served_ctc, tmp_path / "1"))
    graph = folder / "saved_model.pb"
    # An operator that this TensorFlow does not have, under a name as long as that of one which it has.
    graph.write_bytes(graph.read_bytes().replace(b"Softmax", b"Hardmax"))
    with pytest.raises(OSError, match=r"cannot be loaded \(.*Hardmax.*\); export it again"):
        open_engine(folder)


def test_weights_are_taken_rather_than_a_program_beside_them(
    tiny_ctc: tuple[Any, Wav2Vec2Processor], tmp_path: Path
) -> None:
    for part in tiny_ctc:
        part.save_pretrained(tmp_path)
    clip = REPOSITORY / "demo" / "clips" / "one_digit.flac"
    command = ["transcribe", str(clip), "--model", str(tmp_path)]
    alone = CliRunner().invoke(cli, command).stdout
    (tmp_path / "saved_model.pb").write_bytes(b"a program")
    assert not is_engine(tmp_path)
    assert CliRunner().invoke(cli, command).stdout == alone != ""


@pytest.mark.parametrize("name", ["somebody/model.tflite", "somebody/speech", "somebody/saved_model"])
def test_no_program_is_fetched_from_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(_: str, filename: str, **__: Any) -> str:
        asked.append(filename)
        raise FileNotFoundError(filename)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    clip = REPOSITORY / "demo" / "clips" / "one_digit.flac"
    result = CliRunner().invoke(cli, ["transcribe", str(clip), "--model", name])
    assert result.exit_code == 1
    assert not [file for file in asked if not file.endswith(".json")]
    with pytest.raises(OSError, match=r"no LiteRT file|holds no SavedModel"):
        open_engine(name)


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_what_the_server_says_of_a_recording_is_handed_on(engines: dict[str, Engine], kind: str) -> None:
    # How many samples make a frame the server alone knows.
    with pytest.raises(ValueError, match=r"refuses the request: .*lengths must be at least"):
        engines[kind](np.zeros((1, 50)), [20])


def test_what_the_graph_says_of_a_recording_is_handed_on(engines: dict[str, Engine]) -> None:
    engine = engines["savedmodel"]
    with pytest.raises(ValueError, match=r"refuses the recording: .*lengths must be at least"):
        engine._call("transcribe", np.zeros((1, 50), np.float32), np.array([20], np.int32))


@pytest.mark.parametrize(
    ("source", "missing", "message"),
    [
        ("litert", "ai_edge_litert", "LiteRT is not installed: pip install"),
        ("savedmodel", "tensorflow", "A SavedModel runs in TensorFlow, which is not installed: pip install"),
        ("grpc", "grpc", "over gRPC needs its messages: pip install"),
    ],
)
def test_what_is_not_installed_is_named(
    sources: dict[str, str], monkeypatch: pytest.MonkeyPatch, source: str, missing: str, message: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=message):
        open_engine(sources[source])


def test_without_keras_the_command_says_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ModuleNotFoundError("No module named 'keras'", name="keras")

    monkeypatch.setattr("tfwav2vec2.cli.opening.import_models", missing)
    clip = REPOSITORY / "demo" / "clips" / "one_digit.flac"
    result = CliRunner().invoke(cli, ["transcribe", str(clip)])
    assert result.exit_code == 1
    assert "No module named 'keras': pip install keras; a .tflite file runs without it" in result.stderr


def test_a_damaged_saved_model_is_an_error(served_ctc: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="holds no SavedModel"):
        open_engine(tmp_path)
    folder = Path(shutil.copytree(served_ctc, tmp_path / "1"))
    (folder / "saved_model.pb").write_bytes(b"\xff" * 50)
    with pytest.raises(OSError, match=r"cannot be loaded .* export it again"):
        open_engine(folder)
    shutil.rmtree(folder / "assets.extra")
    with pytest.raises(OSError, match="does not say how recordings are prepared"):
        open_engine(folder)


@pytest.mark.parametrize(
    "address", ["http://localhost", "http://localhost:8501/models/tiny", "grpc://localhost:8500", "grpc:///x"]
)
def test_an_address_of_another_form_is_an_error(address: str) -> None:
    with pytest.raises(
        ValueError, match=r"no address of a served model: give http://localhost:8501/v1/models/NAME"
    ):
        open_engine(address)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/v1/models/tiny", "grpc://127.0.0.1:9/tiny"])
def test_a_server_that_does_not_answer_is_an_error(address: str) -> None:
    with (
        open_engine(address) as engine,
        pytest.raises(ConnectionError, match=r"127.0.0.1:9.* does not answer"),
    ):
        engine.texts(waveforms(), LENGTHS)


def test_the_command_says_in_one_line_that_a_server_does_not_answer() -> None:
    clip = REPOSITORY / "demo" / "clips" / "one_digit.flac"
    result = CliRunner().invoke(
        cli, ["transcribe", str(clip), "--model", "http://127.0.0.1:9/v1/models/tiny"], catch_exceptions=False
    )
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: http://127.0.0.1:9/v1/models/tiny does not answer")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_a_model_that_is_not_there_is_an_error(sources: dict[str, str], kind: str) -> None:
    with open_engine(sources[kind].replace("tiny", "other")) as engine:  # noqa: SIM117
        with pytest.raises(FileNotFoundError, match="offers no such model"):
            engine.texts(waveforms(), LENGTHS)
