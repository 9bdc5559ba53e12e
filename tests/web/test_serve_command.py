"""The command as a shell runs it: what it opens, what it prints, and how it stops."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from websockets.exceptions import ConnectionClosed

from tests.conftest import REPOSITORY
from tests.heads.family import tiny
from tests.web.client import Client
from tests.web.conftest import CLIPS, HeldEngine, running, until
from tfwav2vec2 import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor
from tfwav2vec2.cli.main import cli
from tfwav2vec2.cli.serve import DIGITS_ONLY
from tfwav2vec2.serving.engines import KerasEngine
from tfwav2vec2.web.app import create_app
from tfwav2vec2.web.graph_engine import GraphEngine
from tfwav2vec2.web.opening import open_model
from tfwav2vec2.web.options import ServerOptions
from tfwav2vec2.web.running import is_loopback

CLIP = (CLIPS / "four_digits.flac").read_bytes()


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """``tfwav2vec2 serve`` at a free port, once it has said its address."""
    with subprocess.Popen(
        [sys.executable, "-m", "tfwav2vec2", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name != "TFWAV2VEC2_LITERTJS"},
        # What runs in a shell's background ignores Ctrl-C, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            line = process.stdout.readline()
            found = re.fullmatch(r"(\S+) is served at http://127\.0\.0\.1:(\d+)/ \(Ctrl-C stops\)\n", line)
            assert found, line + process.stderr.read()
            yield process, Client(int(found[2]))
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_the_embedded_model_and_stops_when_told(number: int) -> None:
    with command() as (process, client):
        assert client.transcribe(CLIP).json["text"] == "2695"
        assert client.get("/v1/models/spoken-digits").status == 200
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert out == ""
    assert err.splitlines() == [DIGITS_ONLY, "Stopped"]
    with pytest.raises(ConnectionRefusedError):
        client.get("/health/live")


def test_what_was_begun_is_finished_before_it_stops(held: HeldEngine) -> None:
    options = ServerOptions(max_batch=1)
    with ThreadPoolExecutor(4) as pool, ExitStack() as sessions:
        with running(create_app(held, options=options), options) as client:
            session = sessions.enter_context(client.live())
            session.send('{"sampling_rate": 16000}')
            begun = [pool.submit(client.transcribe, CLIP) for _ in range(4)]
            until(lambda: client.metric("tfwav2vec2_queue_depth") == 3)
            threading.Timer(0.5, held.go.set).start()
        assert [future.result().json["text"] for future in begun] == ["2695"] * 4
        with pytest.raises(ConnectionClosed):
            session.recv(30)
        # The registry of RFC 6455: the service restarts.
        assert session.close_code == 1012


def test_a_second_server_at_the_same_port_is_told_so() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = CliRunner().invoke(cli, ["serve", "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 1
    assert "cannot be listened at (Address already in use): choose another --host or --port" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no/such/model.tflite"], "no LiteRT file"),
        (["http://127.0.0.1:1/v1/models/x"], "is a server already"),
        (["--browser-runtime", "."], "does not hold LiteRT.js"),
        (["--host", "no.such.host.invalid"], "cannot be listened at"),
        (["--max-requests", "0"], "0 is not in the range"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["serve", "--port", "0", *arguments])
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert "Traceback" not in result.output


def test_help_has_an_example_and_names_the_default_address() -> None:
    result = CliRunner().invoke(cli, ["serve", "--help"])
    assert "Example" in result.output
    assert "127.0.0.1" in result.output


def test_without_the_servers_packages_it_says_how_to_get_them() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from tfwav2vec2.cli.main import main\n"
        "sys.argv = ['tfwav2vec2', 'serve', '--port', '0']\n"
        "main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    assert result.returncode == 1
    assert "pip install 'tfwav2vec2[serve]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_neither_help_nor_the_package_imports_the_server() -> None:
    code = (
        "import sys, tfwav2vec2, tfwav2vec2.web; from click.testing import CliRunner; from tfwav2vec2.cli.main import cli\n"
        "CliRunner().invoke(cli, ['serve', '--help'], catch_exceptions=False); print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert not {"starlette", "uvicorn", "tensorflow", "keras", "numpy"} & set(loaded.stdout.split())


@pytest.mark.parametrize(
    ("host", "own"),
    [("localhost", True), ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("0.0.0.0", False), ("::", False),
     ("192.168.0.7", False), ("example.org", False)],
)  # fmt: skip
def test_what_this_machine_alone_can_reach(host: str, own: bool) -> None:
    assert is_loopback(host) is own


# --- what is opened --------------------------------------------------------------------------------------------


def noise(seconds: float = 0.3) -> np.ndarray:
    return np.random.default_rng(5).normal(0, 0.1, (1, round(16_000 * seconds))).astype(np.float32)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="SavedModels are TensorFlow's")
def test_every_kind_of_model_opens_and_gives_the_same(spoken_digits: Path) -> None:
    waveform = noise()
    expected = None
    for model, name, source in (
        (None, "spoken-digits", str(spoken_digits)),
        (str(spoken_digits), "spoken-digits", str(spoken_digits)),
        (str(spoken_digits / "model.tflite"), "model", None),
        (str(spoken_digits / "saved_model"), "saved_model", None),
    ):
        opened = open_model(model, workers=2)
        assert (opened.name, opened.source, len(opened.engines)) == (name, source, 2)
        assert opened.processor.tokenizer.pad_token == "<pad>"
        for engine in opened.engines:
            logits = engine(waveform, [waveform.shape[1]])["logits"]
            expected = logits if expected is None else expected
            np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-3)
        for engine in set(opened.engines):
            engine.close()


def test_a_folder_named_by_a_version_is_called_by_the_one_above() -> None:
    from tfwav2vec2.web.opening import _address_name

    assert _address_name("served/speech/3") == "speech"
    assert _address_name("facebook/wav2vec2-base-960h") == "wav2vec2-base-960h"
    assert _address_name("models/small.tflite") == "small"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a TensorFlow graph")
@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_graph_gives_what_the_model_gives_for_any_shape(tmp_path: Path, norm: str) -> None:
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOI"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    processor = Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), Wav2Vec2CTCTokenizer(tmp_path / "vocab.json"))
    model = tiny("TFWav2Vec2ForCTC", feat_extract_norm=norm)
    graph, itself = GraphEngine(model, processor), KerasEngine(model, processor)
    for lengths in ([1_200, 811, 1_000], [640], [2_000, 2_000]):
        waveform = np.random.default_rng(3).normal(0, 0.1, (len(lengths), max(lengths))).astype(np.float32)
        found, expected = graph(waveform, lengths), itself(waveform, lengths)
        np.testing.assert_array_equal(found["frame_lengths"], expected["frame_lengths"])
        for row, frames in enumerate(expected["frame_lengths"]):
            np.testing.assert_allclose(
                found["logits"][row, :frames], expected["logits"][row, :frames], rtol=0, atol=1e-4
            )
        assert graph.texts(waveform, lengths) == itself.texts(waveform, lengths)
