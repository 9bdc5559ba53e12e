"""LiteRT files: built-in operators alone, the model's answers at any length, and what int8 may change."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.heads.family import tiny
from tfwav2vec2 import Transcriber, Wav2Vec2FeatureExtractor, Wav2Vec2Processor, enable_lora, load_audio
from tfwav2vec2.serving import litert, quantization
from tfwav2vec2.serving.bundle import read_archive
from tfwav2vec2.serving.endpoints import Endpoint, endpoints
from tfwav2vec2.serving.engines import KerasEngine, LiteRTEngine, import_litert
from tfwav2vec2.serving.litert import export_litert
from tfwav2vec2.serving.litert_graph import check_builtin

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="LiteRT files are made by TensorFlow's converter"
)

LENGTHS = np.array([9_000, 4_321, 7_000], np.int32)
FIXED = 9_000


@pytest.fixture(scope="module")
def transcriber(spoken_digits: Path) -> Transcriber:
    return Transcriber.from_pretrained(spoken_digits)


@pytest.fixture(scope="module")
def exported(transcriber: Transcriber, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "digits.tflite"
    export_litert(transcriber.model, transcriber.processor, path, lengths=[FIXED])
    return path


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray]:
    return [load_audio(path) for path in sorted((REPOSITORY / "demo" / "clips").glob("*.flac"))]


@pytest.fixture
def converted(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversion is done: what follows it is under test."""
    with zipfile.ZipFile(exported) as archive:
        content = exported.read_bytes()[: min(info.header_offset for info in archive.infolist())]
    monkeypatch.setattr("tfwav2vec2.serving.litert_graph.convert", lambda *_: content)


def waveforms(behind: float) -> np.ndarray:
    waveform = np.random.default_rng(0).normal(0.01, 0.1, (len(LENGTHS), LENGTHS.max())).astype("float32")
    for row, length in zip(waveform, LENGTHS, strict=True):
        row[length:] = behind
    return waveform


def check_answers(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(found["frame_lengths"], expected["frame_lengths"])
    for row, length in enumerate(expected["frame_lengths"]):
        logits = expected["logits"][row, :length]
        np.testing.assert_allclose(
            found["logits"][row, :length], logits, rtol=0, atol=1e-5 * max(1.0, np.abs(logits).max())
        )
        np.testing.assert_array_equal(found["ids"][row, :length], logits.argmax(-1))


@pytest.mark.parametrize("behind", [0.0, 7.0, np.nan])
def test_a_batch_of_any_lengths_gives_the_models_answers_whatever_stands_behind(
    transcriber: Transcriber, exported: Path, behind: float
) -> None:
    found = LiteRTEngine(exported)(waveforms(behind), LENGTHS)
    check_answers(found, KerasEngine(transcriber.model, transcriber.processor)(waveforms(0.0), LENGTHS))
    for row, length in enumerate(found["frame_lengths"]):
        assert (found["ids"][row, length:] == transcriber.processor.tokenizer.pad_token_id).all()


def test_a_buffer_of_fixed_length_honours_the_length_of_what_it_holds(
    transcriber: Transcriber, exported: Path
) -> None:
    interpreter = import_litert().Interpreter(str(exported))
    signatures = interpreter.get_signature_list()
    assert set(signatures) == {"serving_default", f"samples_{FIXED}"}
    run = interpreter.get_signature_runner(f"samples_{FIXED}")
    engine = KerasEngine(transcriber.model, transcriber.processor)
    for row, length in zip(waveforms(3.0), LENGTHS, strict=True):
        found = run(waveform=row[None, :FIXED], lengths=np.array([length], np.int32))
        check_answers(found, engine(row[None, :length], [length]))


def test_all_signatures_share_the_weights(transcriber: Transcriber, exported: Path) -> None:
    # A graph for each signature, and the places of the samples in each fixed buffer.
    beside = 500_000
    assert exported.stat().st_size < 4 * transcriber.model.count_params() + beside


def test_the_file_holds_what_belongs_to_the_model(transcriber: Transcriber, exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        assert {"config.json", "vocab.json", "preprocessor_config.json"} <= set(archive.namelist())
        assert archive.testzip() is None
    bundle = read_archive(exported)
    assert isinstance(bundle.processor, Wav2Vec2Processor)
    assert bundle.processor.tokenizer.get_vocab() == transcriber.processor.tokenizer.get_vocab()
    assert bundle.config.conv_dim == transcriber.model.config.conv_dim
    assert bundle.about.items() >= {"precision": "float32", "for_gpu": False}.items()


def test_the_model_is_as_before(transcriber: Transcriber, exported: Path) -> None:
    assert exported.exists()
    dense = [layer for layer in transcriber.model._flatten_layers() if type(layer) is keras.layers.Dense]
    assert dense
    assert all(layer.call.__func__ is keras.layers.Dense.call for layer in dense)


@pytest.mark.usefixtures("converted")
def test_half_precision_halves_the_file(transcriber: Transcriber, tmp_path: Path) -> None:
    written = export_litert(
        transcriber.model, transcriber.processor, tmp_path / "half.tflite", precision="float16"
    )
    assert written.bytes == written.path.stat().st_size < 0.56 * written.float32_bytes


@pytest.mark.usefixtures("converted")
def test_int8_leaves_what_is_heard(transcriber: Transcriber, clips: list[np.ndarray], tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    written = export_litert(transcriber.model, transcriber.processor, path, precision="int8", clips=clips)
    assert written.bytes < written.float32_bytes / 3
    assert written.integer_layers in quantization.LAYERS
    assert read_archive(path).about["integer_layers"] == written.integer_layers
    assert written.agreement >= 0.98
    assert written.time_ratio > 0
    engine = LiteRTEngine(path)
    texts = [engine.texts(clip[None], [len(clip)])[0] for clip in clips]
    assert texts == [next(transcriber.transcribe(clip, source_rate=16_000)).text for clip in clips]
    assert written.words_changed == 0.0


@pytest.mark.usefixtures("converted")
def test_int8_that_changes_too_much_is_refused(
    transcriber: Transcriber, clips: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere = "convolutions and dense layers"
    monkeypatch.setattr(quantization, "LAYERS", {everywhere: quantization.LAYERS[everywhere]})
    # Of this model 8 bits change no label in these clips.
    measured = {"agreement": 0.97, "words_changed": 0.0, "time_ratio": 0.5}
    monkeypatch.setattr(quantization, "_compared", lambda *_: measured)
    with pytest.raises(ValueError, match=rf"agreement .* at least 100.0%, .* 9\d.\d% and .* {everywhere}"):
        export_litert(
            transcriber.model,
            transcriber.processor,
            tmp_path / "small.tflite",
            precision="int8",
            clips=clips,
            least_agreement=1.0,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("converted")
def test_how_many_words_may_change_is_for_the_user_to_say(
    transcriber: Transcriber, clips: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"agreement": 0.99, "words_changed": 0.2, "time_ratio": 0.5}
    monkeypatch.setattr(quantization, "_compared", lambda *_: measured)
    given = transcriber.model, transcriber.processor, tmp_path / "small.tflite"
    with pytest.raises(ValueError, match=r"at most 5.0% of the words may change, .* 99.0% and 20.0%"):
        export_litert(*given, precision="int8", clips=clips)
    assert list(tmp_path.iterdir()) == []
    written = export_litert(*given, precision="int8", clips=clips, most_words_changed=0.2)
    assert (written.agreement, written.words_changed, written.time_ratio) == (0.99, 0.2, 0.5)
    # The first that is tried, which is the smallest.
    assert written.integer_layers == next(iter(quantization.LAYERS))


@pytest.mark.usefixtures("converted")
def test_int8_chosen_on_real_speech_hears_other_speech(
    transcriber: Transcriber, shared_data: Path, tmp_path: Path
) -> None:
    recordings = [load_audio(path) for path in sorted((shared_data / "fsdd").rglob("*.wav"))[::75]]
    chosen_on, others = recordings[::2], recordings[1::2]
    path = tmp_path / "small.tflite"
    written = export_litert(transcriber.model, transcriber.processor, path, precision="int8", clips=chosen_on)
    assert 0.98 <= written.agreement <= 1.0
    assert written.words_changed <= 0.05
    engine = LiteRTEngine(path)
    same = [
        engine.texts(clip[None], [len(clip)]) == transcriber.engine.texts(clip[None], [len(clip)])
        for clip in others
    ]
    assert len(others) >= 10
    assert np.mean(same) >= 0.9


@pytest.mark.usefixtures("converted")
def test_a_file_that_differs_is_not_written(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(litert.LARGEST_DIFFERENCE, "float32", 0.0)
    with pytest.raises(ValueError, match=r"logits differ from the model's by .* nothing was written"):
        export_litert(transcriber.model, transcriber.processor, tmp_path / "new" / "digits.tflite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("converted")
def test_an_export_that_is_interrupted_leaves_nothing(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(litert, "_compare", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_litert(transcriber.model, transcriber.processor, tmp_path / "new" / "digits.tflite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("converted")
def test_a_file_that_does_not_run_is_not_written(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("Node number 249 (SUB) failed to prepare.")

    monkeypatch.setattr(LiteRTEngine, "_run", fail)
    with pytest.raises(ValueError, match=r"does not run in LiteRT \(Node number 249 .* nothing was written"):
        export_litert(transcriber.model, transcriber.processor, tmp_path / "digits.tflite")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("converted")
def test_a_second_export_is_the_same_file(transcriber: Transcriber, exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "my [files] é" / "digits.tflite"
    export_litert(transcriber.model, transcriber.processor, path, lengths=[FIXED])
    assert path.read_bytes() == exported.read_bytes()
    clip = waveforms(0.0)[:1]
    assert LiteRTEngine(path).texts(clip, LENGTHS[:1]) == transcriber.engine.texts(clip, LENGTHS[:1])


class Graph(NamedTuple):
    """What a signature is made of: its operators, whether each GELU is approximate, tensors of unknown sizes."""

    operators: list[str]
    approximate: list[bool]
    resizable: list[str]


def graphs(path: Path) -> list[Graph]:
    from ai_edge_litert.schema_py_generated import BuiltinOperator, ModelT

    names = {number: name for name, number in vars(BuiltinOperator).items() if isinstance(number, int)}
    model = ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    kinds = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    return [
        Graph(
            [kinds[operator.opcodeIndex] for operator in graph.operators],
            [
                operator.builtinOptions.approximate
                for operator in graph.operators
                if kinds[operator.opcodeIndex] == "GELU"
            ],
            [
                tensor.name
                for tensor in graph.tensors
                if tensor.shapeSignature is not None and -1 in list(tensor.shapeSignature)
            ],
        )
        for graph in model.subgraphs
    ]


def test_other_files_keep_the_models_gelu_and_mask(exported: Path) -> None:
    fixed, any_length = sorted(graphs(exported), key=lambda graph: len(graph.resizable))
    for graph in fixed, any_length:
        assert graph.approximate
        assert not any(graph.approximate)
        assert "SELECT_V2" in graph.operators
    assert not fixed.resizable
    assert any_length.resizable


def test_a_file_for_gpus_hears_all_of_its_buffer(tmp_path: Path) -> None:
    model, path = tiny("TFWav2Vec2ForAudioFrameClassification"), tmp_path / "gpu.tflite"
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    export_litert(model, extractor, path, lengths=[900, 1200], for_gpu=True)
    signatures = import_litert().Interpreter(str(path)).get_signature_list()
    assert {name: found["inputs"] for name, found in signatures.items()} == {
        "samples_900": ["waveform"],
        "samples_1200": ["waveform"],
    }
    for graph in graphs(path):
        # Nothing is selected or compared, as masks are, and every size is known beforehand.
        assert graph.operators
        assert not {"SELECT", "SELECT_V2", "LESS", "WHERE", "SHAPE"} & set(graph.operators)
        assert graph.approximate == [True] * graph.operators.count("GELU")
        assert graph.approximate
        assert not graph.resizable
    engine = LiteRTEngine(path)
    assert engine.max_seconds(1) == 1200 / 16_000
    clip = np.random.default_rng(0).normal(0, 0.1, 1000).astype("float32")
    found = engine(clip[None], [1000])
    silence = np.pad(clip, (0, 200))
    # The tanh approximation is off by up to 5e-4 a layer.
    expected = KerasEngine(model, extractor)(silence[None], [1200])
    np.testing.assert_allclose(found["logits"], expected["logits"], atol=2e-2)
    assert found["frame_lengths"] == [model.frame_lengths(1000)]
    with pytest.raises(ValueError, match=r"1201 samples, and the largest buffer .* holds 1200"):
        engine(np.zeros((1, 1201)), [1201])


@pytest.mark.parametrize("lora", [False, True])
def test_a_model_of_mixed_precision_becomes_float32(lora: bool, tmp_path: Path) -> None:
    model, single = (tiny("TFWav2Vec2Model", dtype=dtype) for dtype in ("mixed_float16", "float32"))
    if lora:
        for each in model, single:
            enable_lora(each, rank=2)
        for weight in single.trainable_weights:
            weight.assign(weight + 0.1)
        model.set_weights(single.get_weights())
    extractor, clip = Wav2Vec2FeatureExtractor(), waveforms(0.0)[:1, :1200]
    found = LiteRTEngine(export_litert(model, extractor, tmp_path / "model.tflite").path)(clip, [1200])
    expected = KerasEngine(single, extractor)(clip, [1200])
    np.testing.assert_allclose(found["last_hidden_state"], expected["last_hidden_state"], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("TFWav2Vec2ForSequenceClassification", "logits"),
        ("TFWav2Vec2ForXVector", "embeddings"),
        ("TFWav2Vec2Model", "last_hidden_state"),
    ],
)
def test_other_models_give_their_answers(name: str, answer: str, tmp_path: Path) -> None:
    # Group norm and post-norm layers, where the embedded model has the others.
    model, extractor = tiny(name, feat_extract_norm="group"), Wav2Vec2FeatureExtractor()
    path = export_litert(model, extractor, tmp_path / "model.tflite").path
    found, expected = (engine(waveforms(0.0)[:, :1200], [1200, 811, 1000]) for engine in (
        LiteRTEngine(path), KerasEngine(model, extractor)
    ))  # fmt: skip
    counts = expected.get("frame_lengths", [None] * 3)
    for first, second, count in zip(found[answer], expected[answer], counts, strict=True):
        scale = max(1.0, np.abs(second).max())
        np.testing.assert_allclose(first[:count], second[:count], rtol=0, atol=1e-5 * scale)


def test_an_operator_that_phones_lack_is_an_error(exported: Path) -> None:
    import flatbuffers
    from ai_edge_litert.schema_py_generated import ModelT

    content = exported.read_bytes()
    check_builtin(content)
    model = ModelT.InitFromPackedBuf(content, 0)
    model.operatorCodes[0].customCode = b"FlexErf"
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ValueError, match=r"does not have built in \(FlexErf\)"):
        check_builtin(bytes(builder.Output()))


def test_an_operator_of_tensorflow_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def with_another(*arguments: Any) -> dict[str, Endpoint]:
        function = endpoints(*arguments)["serving_default"].function

        def another(waveform: Any, lengths: Any) -> dict[str, Any]:
            output = function(waveform, lengths)
            return output | {"logits": tf.math.bessel_i1e(output["logits"])}

        return {"serving_default": Endpoint(another)}

    monkeypatch.setattr("tfwav2vec2.serving.litert_graph.endpoints", with_another)
    with pytest.raises(
        ValueError, match=r"does not convert to LiteRT \(Custom ops: BesselI1e\); nothing was written"
    ):
        export_litert(
            tiny("TFWav2Vec2ForSequenceClassification"), Wav2Vec2FeatureExtractor(), tmp_path / "new.tflite"
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int4"}, "one of float32, float16, int8; got 'int4'"),
        ({"precision": "int8"}, "int8 is measured on recordings"),
        ({"lengths": [100]}, "at least .* samples, the fewest that the model answers; got 100"),
        ({"for_gpu": True}, "fixed lengths alone"),
        ({"least_agreement": 98}, "between 0 and 1; got 98"),
    ],
)
def test_a_wrong_request_is_an_error_before_the_model_is_converted(
    transcriber: Transcriber, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        export_litert(transcriber.model, transcriber.processor, tmp_path / "new.tflite", **options)
    assert list(tmp_path.iterdir()) == []


def test_what_stands_there_is_kept(transcriber: Transcriber, tmp_path: Path) -> None:
    path = tmp_path / "digits.tflite"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="exists already"):
        export_litert(transcriber.model, transcriber.processor, path)
    assert path.read_text() == "mine"


def test_speech_recognition_needs_its_vocabulary(transcriber: Transcriber, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="without a vocabulary it has no text"):
        export_litert(transcriber.model, Wav2Vec2FeatureExtractor(), tmp_path / "new.tflite")
    assert list(tmp_path.iterdir()) == []
