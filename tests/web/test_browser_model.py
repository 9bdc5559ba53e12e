"""What the page needs to run the model itself: figures, a file with the right signature, LiteRT.js."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.web.client import Client
from tests.web.conftest import NAME, running, until
from tfwav2vec2.serving.engines import LiteRTEngine, import_litert
from tfwav2vec2.transcription.streaming import StreamingOptions
from tfwav2vec2.web.app import create_app
from tfwav2vec2.web.litert_runtime import VARIABLE, find_runtime
from tfwav2vec2.web.options import ServerOptions

# Windows that the embedded .tflite file has no signature for.
OTHER = StreamingOptions(left_seconds=0.5)

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="exports are made on TensorFlow"
)


@pytest.fixture
def npm(tmp_path: Path) -> Path:
    """A folder as npm leaves it, with files of a few bytes in LiteRT.js's places."""
    scope = tmp_path / "node_modules" / "@litertjs"
    for package, content in {
        "core": 'import { createWasmLib } from "@litertjs/wasm-utils";\nexport const one = 1;\n',
        "wasm-utils": "export const createWasmLib = 2;\n",
    }.items():
        (scope / package / "dist").mkdir(parents=True)
        (scope / package / "dist" / "index.js").write_text(content)
    (scope / "core" / "wasm").mkdir()
    (scope / "core" / "wasm" / "litert_wasm_internal.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


@pytest.fixture
def serve(npm: Path, spoken_digits: Path) -> Iterator[Callable[..., Client]]:
    """Starts servers that end with the test."""
    with ExitStack() as servers:

        def start(
            file: Path | None = None,
            source: Path | None = None,
            runtime: bool = True,
            streaming: StreamingOptions | None = None,
        ) -> Client:
            options = ServerOptions(name=NAME, streaming=streaming or StreamingOptions())
            app = create_app(
                LiteRTEngine(file or spoken_digits / "model.tflite", threads=1),
                options=options,
                browser_source=source,
                browser_runtime=find_runtime(npm) if runtime else None,
            )
            return servers.enter_context(running(app, options))

        yield start


def test_the_figures_are_the_streams(
    serve: Callable[..., Client], spoken_digits: Path, digits_engine: LiteRTEngine
) -> None:
    figures = serve(source=spoken_digits).get("/browser.json").json
    windows = StreamingOptions().windows(digits_engine.config, digits_engine.sampling_rate)
    for name in ("window", "hop", "receptive_field", "left", "chunk", "right"):
        assert figures[name] == getattr(windows, name)
    assert figures["latency"] == pytest.approx(windows.latency / 16_000, abs=1e-3)
    assert figures["signature"] == f"samples_{windows.window}"
    assert figures["sampling_rate"] == 16_000
    assert figures["vocabulary"][figures["pad_id"]] == "<pad>"
    assert figures["vocabulary"][figures["delimiter_id"]] == "|"
    assert figures["delimiter"] == " "
    assert figures["lower_case"] is False
    assert sorted(set(figures["vocabulary"]) & set("0123456789")) == list("0123456789")


def told_why(client: Client) -> str:
    """What both paths say is missing."""
    figures, model = client.get("/browser.json"), client.get("/model.tflite")
    assert figures.status == 200
    assert model.status == 404
    assert figures.json["problem"] == model.error
    return model.error


def test_nothing_is_missing(serve: Callable[..., Client], spoken_digits: Path) -> None:
    client = serve()
    assert client.get("/browser.json").json["problem"] is None
    assert client.get("/model.tflite").body == (spoken_digits / "model.tflite").read_bytes()


def test_without_a_runtime_it_says_how_to_get_one(serve: Callable[..., Client], spoken_digits: Path) -> None:
    problem = told_why(serve(source=spoken_digits, runtime=False))
    assert "npm install @litertjs/core" in problem
    assert VARIABLE in problem


def test_a_file_without_the_signature_says_how_to_make_one(serve: Callable[..., Client]) -> None:
    assert "--to litert --seconds" in told_why(serve(streaming=OTHER))


def test_the_runtimes_files_and_no_others(serve: Callable[..., Client]) -> None:
    client = serve()
    index = client.get("/runtime/core/dist/index.js")
    assert index.status == 200
    assert b'from "/runtime/wasm-utils/dist/index.js"' in index.body
    assert b"one = 1" in index.body
    assert index.headers["content-type"].startswith("text/javascript")
    assert client.get("/runtime/wasm-utils/dist/index.js").body == b"export const createWasmLib = 2;\n"
    wasm = client.get("/runtime/core/wasm/litert_wasm_internal.wasm")
    assert wasm.body == b"\0asm"
    assert wasm.headers["content-type"] == "application/wasm"
    for path in ("/runtime/../../secret.txt", "/runtime/..%2f..%2fsecret.txt", "/runtime/core", "/runtime/"):
        assert client.get(path).status == 404


@pytest.mark.parametrize(
    "part", [".", "node_modules", "node_modules/@litertjs", "node_modules/@litertjs/core"]
)
def test_the_runtime_is_found_by_any_of_its_folders(
    npm: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = npm / "node_modules" / "@litertjs"
    assert find_runtime(npm / part) == scope
    monkeypatch.setenv(VARIABLE, str(npm / part))
    assert find_runtime(None) == scope


def test_a_folder_without_the_runtime_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert find_runtime(None) is None
    with pytest.raises(FileNotFoundError, match="npm install @litertjs/core"):
        find_runtime(tmp_path)


@pytest.mark.slow
def test_an_export_that_fails_says_so_and_is_tried_again(
    serve: Callable[..., Client], tmp_path: Path
) -> None:
    client = serve(source=tmp_path, streaming=OTHER)
    for _ in range(2):
        answer = client.get("/model.tflite")
        assert answer.status == 503
        assert "could not be exported" in answer.error
        assert "Traceback" not in answer.error


@pytest.mark.slow
@on_tensorflow
def test_the_file_is_exported_once_and_gives_the_models_labels(
    serve: Callable[..., Client],
    spoken_digits: Path,
    digits_engine: LiteRTEngine,
    waveforms: dict[str, np.ndarray],
    tmp_path: Path,
) -> None:
    client = serve(source=spoken_digits, streaming=OTHER)
    first, second = (client.ask("GET", "/model.tflite", seconds=300) for _ in range(2))
    assert first.status == second.status == 200
    assert first.body == second.body
    path = tmp_path / "exported.tflite"
    path.write_bytes(first.body)
    figures = client.get("/browser.json").json
    window = np.zeros((1, figures["window"]), np.float32)
    clip = waveforms["one_digit"]
    window[0, : len(clip)] = clip
    runner = import_litert().Interpreter(str(path)).get_signature_runner(figures["signature"])
    found = runner(waveform=window, lengths=np.array([len(clip)], np.int32))
    expected = digits_engine(clip[None], [len(clip)])
    frames = int(expected["frame_lengths"][0])
    np.testing.assert_array_equal(found["ids"][0, :frames], expected["ids"][0, :frames])
    # Served again by itself, it needs no export.
    again = serve(file=path, streaming=OTHER)
    assert again.get("/browser.json").json["signature"] == figures["signature"]
    assert again.get("/model.tflite").body == first.body


@pytest.mark.slow
@on_tensorflow
def test_stopping_ends_an_export_and_removes_its_folder(
    npm: Path, spoken_digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile
    import threading

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    options = ServerOptions(name=NAME, streaming=OTHER)
    app = create_app(
        LiteRTEngine(spoken_digits / "model.tflite", threads=1),
        options=options,
        browser_source=spoken_digits,
        browser_runtime=find_runtime(npm),
    )
    answers: list[Any] = []

    def ask(client: Client) -> None:
        try:
            answers.append(client.get("/model.tflite").status)
        except OSError as error:
            answers.append(error)

    with running(app, options) as client:
        thread = threading.Thread(target=ask, args=(client,))
        thread.start()
        until(lambda: any(tmp_path.glob("tfwav2vec2-browser-*")))
        thread.join(1)
    thread.join(60)
    assert not thread.is_alive()
    assert not list(tmp_path.glob("tfwav2vec2-browser-*"))
