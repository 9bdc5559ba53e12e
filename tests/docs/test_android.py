"""What the Kotlin of docs/android.md names is in the files that are really exported: names, types, shapes, archive."""

from __future__ import annotations

import itertools
import json
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.heads.family import tiny
from tfwav2vec2 import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.serving.engines import FIXED, LiteRTEngine, import_litert
from tfwav2vec2.serving.litert import export_litert

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="LiteRT files are made by TensorFlow's converter"
)

PAGE = (REPOSITORY / "docs" / "android.md").read_text(encoding="utf-8")
CPU, GPU = (block for block in re.findall(r"```kotlin\n(.*?)```", PAGE, re.DOTALL) if "import " in block)
CONSTANTS = dict(re.findall(r"const val (\w+) = (.+)", CPU))
SIGNATURE = json.loads(CONSTANTS["SIGNATURE"])
SAMPLES, RATE = int(CONSTANTS["SAMPLES"]), int(CONSTANTS["RATE"])
LENGTH = 70_000
# The last record of a ZIP archive.
END_OF_DIRECTORY = struct.Struct("<4s4H2LH")

Details = dict[str, tuple[str, list[int]]]


@pytest.fixture(scope="module")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Wav2Vec2Processor:
    tokens = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAOI"]
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
    vocabulary.write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    return Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), Wav2Vec2CTCTokenizer(vocabulary))


@pytest.fixture(scope="module")
def model() -> Any:
    """A tiny model with the frames of the paper's architecture: 20 ms each, and 400 samples in the first."""
    return tiny("TFWav2Vec2ForCTC", conv_kernel=[10, 15, 9], conv_stride=[5, 8, 8])


@pytest.fixture(scope="module")
def exported(
    model: Any, processor: Wav2Vec2Processor, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """The file for the CPU and the one for GPUs."""
    paths = {kind: tmp_path_factory.mktemp(kind) / "speech.tflite" for kind in ("cpu", "gpu")}
    for kind, path in paths.items():
        export_litert(model, processor, path, lengths=[SAMPLES], for_gpu=kind == "gpu")
    return paths


def signature(path: Path) -> tuple[Any, Details, Details]:
    """What runs the page's signature, what it takes and what it gives."""
    runner = import_litert().Interpreter(str(path)).get_signature_runner(SIGNATURE)
    takes, gives = (
        {name: (np.dtype(tensor["dtype"]).name, tensor["shape"].tolist()) for name, tensor in details.items()}
        for details in (runner.get_input_details(), runner.get_output_details())
    )
    return runner, takes, gives


def test_the_signature_is_that_of_the_length_which_the_command_asks_for() -> None:
    assert f"{FIXED}{SAMPLES}" == SIGNATURE
    seconds = re.search(r"tfwav2vec2 export .* --seconds (\d+)", PAGE)
    assert int(seconds[1]) * RATE == SAMPLES


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_table_is_what_the_file_says(exported: dict[str, Path], kind: str) -> None:
    _, takes, gives = signature(exported[kind])
    rows = re.findall(r"^\| ?(takes|gives|) ?\| `(\w+)` \| (\w+) \| (\[.*?\]) \|", PAGE, re.MULTILINE)
    sizes = {"frames": str(gives["ids"][1][1]), "labels": str(gives["logits"][1][2])}
    tables: dict[str, Details] = {"takes": {}, "gives": {}}
    side = ""
    for named, name, dtype, shape in rows:
        side = named or side
        tables[side][name] = (dtype, json.loads(re.sub(r"[a-z]+", lambda word: sizes[word[0]], shape)))
    if kind == "gpu":
        del tables["takes"]["lengths"]
    assert tables == {"takes": takes, "gives": gives}


def test_the_buffers_of_the_interpreter_have_the_files_names_and_types(exported: dict[str, Path]) -> None:
    _, takes, gives = signature(exported["cpu"])
    call = re.search(r"runSignature\(\s*mapOf\((.*)\),\s*mapOf\((.*)\),\s*SIGNATURE", CPU)
    kinds = {"FloatBuffer": "float32", "IntBuffer": "int32"}
    given, asked = (
        {name: kinds[kind] for name, kind in re.findall(r'"(\w+)" to (\w+)\.wrap', part)}
        for part in call.groups()
    )
    assert given == {name: dtype for name, (dtype, _) in takes.items()}
    assert asked
    assert asked.items() <= {name: dtype for name, (dtype, _) in gives.items()}.items()
    assert re.search(r'getOutputTensorFromSignature\("(\w+)", SIGNATURE\)\.shape\(\)\[1\]', CPU)[1] in asked


def test_the_buffers_for_the_gpu_are_all_that_its_file_has(exported: dict[str, Path]) -> None:
    _, takes, gives = signature(exported["gpu"])
    assert dict(re.findall(r'"(\w+)" to compiled\.createInputBuffer\("(\w+)", SIGNATURE\)', GPU)) == {
        name: name for name in takes
    }
    outputs = re.search(
        r"listOf\((.*)\)\.associateWith \{ compiled\.createOutputBuffer\(it, SIGNATURE\)", GPU
    )
    assert set(re.findall(r'"(\w+)"', outputs[1])) == set(gives)
    assert takes[re.search(r'getValue\("(\w+)"\)\.writeFloat', GPU)[1]][0] == "float32"
    assert gives[re.search(r'getValue\("(\w+)"\)\.readInt', GPU)[1]][0] == "int32"


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_archive_is_found_from_the_files_end(exported: dict[str, Path], model: Any, kind: str) -> None:
    content = exported[kind].read_bytes()
    # An archive without a comment ends with this record, so that the page may count from the file's end.
    assert END_OF_DIRECTORY.unpack(content[-END_OF_DIRECTORY.size :])[0] == b"PK\5\6"
    from_end = int(re.search(r"file\.length\(\) - (\d+)", CPU)[1])
    within_entry = int(re.search(r"directory \+ (\d+)", CPU)[1])
    (directory,) = struct.unpack_from("<L", content, len(content) - from_end)
    (first,) = struct.unpack_from("<L", content, directory + within_entry)
    assert content[first : first + 4] == b"PK\3\4"
    with zipfile.ZipFile(exported[kind]) as archive:
        assert first == min(info.header_offset for info in archive.infolist())
        files = {
            name: json.loads(archive.read(name))
            for name in re.findall(r'files\.getValue\("([\w.]+)"\)', CPU + GPU)
        }
    assert set(files) == {"config.json", "vocab.json"}
    asked = re.findall(r'(?:config|JSONObject\(.*\))\.get\w+\("(\w+)"\)', CPU)
    assert {name: files["config.json"][name] for name in asked} == {
        "conv_kernel": list(model.config.conv_kernel),
        "conv_stride": list(model.config.conv_stride),
        "pad_token_id": model.config.pad_token_id,
    }


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_what_the_page_says_of_lengths_and_labels_holds(
    exported: dict[str, Path], model: Any, kind: str
) -> None:
    runner, _, gives = signature(exported[kind])
    assert gives["ids"][1][1] == frame_lengths(model.config, SAMPLES) == 499
    assert frame_lengths(model.config, 400) == 1 > frame_lengths(model.config, 399)
    buffer = np.zeros((1, SAMPLES), np.float32)
    buffer[0, :LENGTH] = np.random.default_rng(0).normal(0.0, 0.1, LENGTH)
    counted = frame_lengths(model.config, LENGTH)
    if kind == "gpu":
        found = runner(waveform=buffer)
        assert found["frame_lengths"].tolist() == [499]
    else:
        silent = runner(waveform=buffer, lengths=np.array([LENGTH], np.int32))
        buffer[0, LENGTH:] = 3.0
        found = runner(waveform=buffer, lengths=np.array([LENGTH], np.int32))
        assert found["frame_lengths"].tolist() == [counted]
        assert (found["ids"][0, counted:] == model.config.pad_token_id).all()
        np.testing.assert_array_equal(found["ids"], silent["ids"])
    np.testing.assert_array_equal(found["ids"][0, :counted], found["logits"][0, :counted].argmax(-1))

    # What `Letters` does.
    engine = LiteRTEngine(exported[kind])
    vocabulary = engine.processor.tokenizer.get_vocab()
    letters = {label: " " if letter == "|" else letter for letter, label in vocabulary.items()}
    labels = [label for label, _ in itertools.groupby(found["ids"][0, :counted].tolist())]
    text = "".join(letters[label] for label in labels if label != model.config.pad_token_id).strip()
    assert text
    assert engine.texts(buffer, [LENGTH]) == [text]
