"""SavedModels: three loaders that know nothing of Keras give what the model gives, whatever stands behind the samples."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import soundfile

from tests.conftest import REPOSITORY
from tests.heads.family import tiny
from tfwav2vec2 import Transcriber, Wav2Vec2FeatureExtractor
from tfwav2vec2.serving import saved_model
from tfwav2vec2.serving.engines import KerasEngine
from tfwav2vec2.serving.saved_model import export_saved_model, run_saved_model

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="SavedModels are TensorFlow's"
)

LENGTHS = np.array([9_000, 4_321, 7_000], np.int32)


@pytest.fixture(scope="module")
def transcriber(spoken_digits: Path) -> Transcriber:
    return Transcriber.from_pretrained(spoken_digits)


@pytest.fixture(scope="module")
def exported(transcriber: Transcriber, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "digits"
    return export_saved_model(transcriber.model, transcriber.processor, folder)


def waveforms(behind: float) -> np.ndarray:
    waveform = np.random.default_rng(0).normal(0.01, 0.1, (len(LENGTHS), LENGTHS.max())).astype("float32")
    for row, length in zip(waveform, LENGTHS, strict=True):
        row[length:] = behind
    return waveform


def expected_logits(transcriber: Transcriber) -> Any:
    features = transcriber.processor.feature_extractor(
        [row[:length] for row, length in zip(waveforms(0.0), LENGTHS, strict=True)],
        sampling_rate=16_000,
        padding=True,
        return_attention_mask=True,
        return_tensors="np",
    )
    return transcriber.model(features["input_values"], attention_mask=features["attention_mask"])


@pytest.mark.parametrize("behind", [0.0, 7.0, np.nan, np.inf])
def test_a_session_gives_the_models_logits_and_ignores_what_stands_behind(
    transcriber: Transcriber, exported: Path, behind: float
) -> None:
    (found,) = run_saved_model(
        exported, "serving_default", [{"waveform": waveforms(behind), "lengths": LENGTHS}]
    )
    expected = expected_logits(transcriber)
    lengths = np.asarray(expected.frame_lengths)
    np.testing.assert_array_equal(found["frame_lengths"], lengths)
    for row, length in enumerate(lengths):
        logits = np.asarray(expected.logits)[row, :length]
        np.testing.assert_allclose(
            found["logits"][row, :length], logits, rtol=0, atol=1e-5 * max(1.0, np.abs(logits).max())
        )
        np.testing.assert_array_equal(found["ids"][row, :length], logits.argmax(-1))
        assert (found["ids"][row, length:] == transcriber.processor.tokenizer.pad_token_id).all()


def test_a_batch_gives_what_single_clips_give(exported: Path) -> None:
    waveform = waveforms(0.0)
    singles = [
        {"waveform": waveform[row : row + 1, :length], "lengths": np.array([length], np.int32)}
        for row, length in enumerate(LENGTHS)
    ]
    together, *alone = run_saved_model(
        exported, "serving_default", [{"waveform": waveform, "lengths": LENGTHS}, *singles]
    )
    for row, single in enumerate(alone):
        length = single["frame_lengths"][0]
        assert length == together["frame_lengths"][row]
        np.testing.assert_allclose(together["logits"][row, :length], single["logits"][0, :length], atol=1e-4)


def test_recordings_read_as_the_transcriber_reads_them(
    transcriber: Transcriber, exported: Path, shared_data: Path
) -> None:
    files = [
        *sorted((shared_data / "fsdd").rglob("*.wav"))[::400],
        *sorted((shared_data / "yesno").rglob("*.wav"))[:2],
    ]
    contents = np.array([path.read_bytes() for path in files], object)
    (found,) = run_saved_model(exported, "transcribe_wav", [{"wav": contents}])
    texts = [transcript.text for transcript in transcriber.transcribe(files)]
    assert [text.decode() for text in found["text"]] == texts
    assert any(texts)
    assert ((found["confidence"] > 0.2) & (found["confidence"] <= 1)).all()


@pytest.mark.parametrize(
    ("lengths", "message"), [([0], "at least"), ([-1], "at least"), ([5000], "must not exceed")]
)
def test_impossible_lengths_are_refused(exported: Path, lengths: list[int], message: str) -> None:
    import tensorflow as tf

    inputs = {"waveform": np.zeros((1, 4000), np.float32), "lengths": np.array(lengths, np.int32)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        run_saved_model(exported, "transcribe", [inputs])


def test_an_unknown_signature_is_named(exported: Path) -> None:
    with pytest.raises(ValueError, match="no signature 'sing'; it has "):
        run_saved_model(exported, "sing", [{}])


def run(command: list[str], **options: Any) -> str:
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **options)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


@pytest.fixture(scope="module")
def of_a_session(exported: Path) -> dict[str, np.ndarray]:
    return run_saved_model(exported, "serving_default", [{"waveform": waveforms(0.0), "lengths": LENGTHS}])[0]


def test_the_saved_model_cli_runs_it(
    exported: Path, of_a_session: dict[str, np.ndarray], tmp_path: Path
) -> None:
    np.savez(tmp_path / "inputs.npz", waveform=waveforms(0.0), lengths=LENGTHS)
    inputs = ";".join(f"{name}={tmp_path / 'inputs.npz'}[{name}]" for name in ("waveform", "lengths"))
    run(
        [sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "run", "--dir", str(exported),
         "--tag_set", "serve", "--signature_def", "serving_default", "--inputs", inputs, "--outdir", str(tmp_path)]
    )  # fmt: skip
    for name, value in of_a_session.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), value, err_msg=name)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")
def test_the_c_api_loads_it_as_a_server_does(
    exported: Path, of_a_session: dict[str, np.ndarray], tmp_path: Path
) -> None:
    import tensorflow as tf

    library = Path(tf.sysconfig.get_lib())
    program = tmp_path / "serve"
    run(
        ["gcc", str(REPOSITORY / "tests" / "serving" / "serve.c"), f"-I{tf.sysconfig.get_include()}", f"-L{library}",
         "-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2", f"-Wl,-rpath,{library}", "-o", str(program)]
    )  # fmt: skip
    waveforms(0.0).tofile(tmp_path / "waveform")
    LENGTHS.tofile(tmp_path / "lengths")
    # The names of the tensors stand in the signature.
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        signature = tf.compat.v1.saved_model.load(session, ["serve"], str(exported)).signature_def[
            "serving_default"
        ]
    names = [
        signature.inputs["waveform"].name,
        signature.inputs["lengths"].name,
        signature.outputs["logits"].name,
    ]
    run(
        [
            str(program),
            str(exported),
            *names,
            str(len(LENGTHS)),
            str(LENGTHS.max()),
            str(tmp_path / "logits"),
        ],
        cwd=tmp_path,
    )
    logits = np.fromfile(tmp_path / "logits", np.float32).reshape(of_a_session["logits"].shape)
    np.testing.assert_array_equal(logits, of_a_session["logits"])


@pytest.mark.parametrize(
    ("name", "signature", "outputs"),
    [
        ("TFWav2Vec2ForSequenceClassification", "classify", {"label", "score", "scores"}),
        ("TFWav2Vec2ForXVector", "embed", {"embedding"}),
        ("TFWav2Vec2ForAudioFrameClassification", "serving_default", {"logits", "frame_lengths"}),
        ("TFWav2Vec2Model", "serving_default", {"last_hidden_state", "frame_lengths"}),
    ],
)
def test_other_heads_have_their_own_answers(
    name: str, signature: str, outputs: set[str], tmp_path: Path
) -> None:
    model, extractor = tiny(name), Wav2Vec2FeatureExtractor()
    folder = export_saved_model(model, extractor, tmp_path / "exported")
    (found,) = run_saved_model(folder, signature, [{"waveform": waveforms(np.nan), "lengths": LENGTHS}])
    assert found.keys() == outputs
    expected = KerasEngine(model, extractor)(waveforms(0.0), LENGTHS)
    if signature == "classify":
        labels = [model.config.id2label[index] for index in expected["logits"].argmax(-1)]
        assert [label.decode() for label in found["label"]] == labels
        expected = {"scores": keras.ops.softmax(expected["logits"]).numpy()}
        np.testing.assert_allclose(found["score"], expected["scores"].max(-1), atol=1e-6)
    if signature == "embed":
        vectors = expected["embeddings"]
        expected = {"embedding": vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)}
    counts = expected.pop("frame_lengths", [None] * len(LENGTHS))
    if "frame_lengths" in found:
        np.testing.assert_array_equal(found["frame_lengths"], counts)
    compared = found.keys() & expected.keys()
    assert compared
    for field in compared:
        for row, value, count in zip(found[field], expected[field], counts, strict=True):
            scale = max(1.0, np.abs(value[:count]).max())
            np.testing.assert_allclose(row[:count], value[:count], rtol=0, atol=1e-5 * scale)
    if signature != "serving_default":
        files = np.array(
            [wav(row[:length]) for row, length in zip(waveforms(0.0), LENGTHS, strict=True)], object
        )
        (of_files,) = run_saved_model(folder, f"{signature}_wav", [{"wav": files}])
        assert of_files.keys() == outputs
        for field, value in found.items():
            if value.dtype == object:
                assert list(of_files[field]) == list(value)
            else:
                np.testing.assert_allclose(of_files[field], value, atol=1e-6)


def wav(samples: np.ndarray) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV", subtype="FLOAT")
    return file.getvalue()


def test_what_exists_stays_and_a_failed_export_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("mine")
    with pytest.raises(FileExistsError, match="exists already: choose another place"):
        export_saved_model(tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), kept)
    assert (kept / "file").read_text() == "mine"

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(saved_model, "run_saved_model", fail)
    with pytest.raises(OSError, match="No space left"):
        export_saved_model(tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
def test_folders_that_a_failed_export_made_are_gone_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: Any) -> None:
        raise error

    # At the end, when all but the last files are written.
    monkeypatch.setattr(saved_model, "bundle_files", fail)
    with pytest.raises(type(error)):
        export_saved_model(
            tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), tmp_path / "new" / "served" / "1"
        )
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_differs_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def different(*arguments: Any) -> list[dict[str, np.ndarray]]:
        return [{name: value + 1 for name, value in each.items()} for each in run_saved_model(*arguments)]

    monkeypatch.setattr(saved_model, "run_saved_model", different)
    with pytest.raises(ValueError, match=r"The SavedModel's \w+ differs from the model's by"):
        export_saved_model(tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_an_id_that_is_not_the_likeliest_is_noticed(
    tiny_ctc: tuple[Any, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def different(*arguments: Any) -> list[dict[str, np.ndarray]]:
        return [{**each, "ids": (each["ids"] + 1) % 10} for each in run_saved_model(*arguments)]

    monkeypatch.setattr(saved_model, "run_saved_model", different)
    with pytest.raises(ValueError, match="The SavedModel's ids differs from the model's by"):
        export_saved_model(*tiny_ctc, tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_tensorflow_takes_for_a_pattern_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'\[', '\*' or '\?' is part of the path, as in .*model \[1\]"):
        export_saved_model(tiny("TFWav2Vec2Model"), Wav2Vec2FeatureExtractor(), tmp_path / "model [1]" / "1")
    assert list(tmp_path.iterdir()) == []


def test_a_model_of_half_precision_answers_in_single_precision(
    tiny_ctc: tuple[Any, Any], tmp_path: Path
) -> None:
    model, processor = tiny("TFWav2Vec2ForCTC", "mixed_bfloat16"), tiny_ctc[1]
    waveform, lengths = waveforms(0.0)[:, :1200], np.array([1200, 811, 1000], np.int32)
    path = tmp_path / "my models é" / "1"
    folder = export_saved_model(model, processor, path, clips=list(waveform[:2]))
    (found,) = run_saved_model(folder, "serving_default", [{"waveform": waveform, "lengths": lengths}])
    assert {name: value.dtype for name, value in found.items()} == {
        "logits": np.float32,
        "frame_lengths": np.int32,
        "ids": np.int32,
    }
    expected = KerasEngine(model, processor)(waveform, lengths)
    for row, length in enumerate(expected["frame_lengths"]):
        logits = expected["logits"][row, :length].astype("float32")
        np.testing.assert_allclose(found["logits"][row, :length], logits, rtol=0, atol=0.2)


def test_what_cannot_be_exported_is_named(transcriber: Transcriber, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exported with its Wav2Vec2Processor"):
        export_saved_model(transcriber.model, Wav2Vec2FeatureExtractor(), tmp_path / "new")
    with pytest.raises(TypeError, match="TFWav2Vec2ForPreTraining cannot be exported"):
        export_saved_model(tiny("TFWav2Vec2ForPreTraining"), Wav2Vec2FeatureExtractor(), tmp_path / "new")
