"""From any format to any other and back, bit for bit, or not at all."""

from __future__ import annotations

import itertools
import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.weights.conftest import TINY
from tests.weights.formats.test_safetensors_writer import random_bits
from tests.weights.hub_server import Hub
from tfwav2vec2 import TFWav2Vec2ForCTC, TFWav2Vec2Model, Wav2Vec2Config, Wav2Vec2Processor
from tfwav2vec2.weights import conversion
from tfwav2vec2.weights.architecture import BARE, HEADS, model_class
from tfwav2vec2.weights.checkpoint import Checkpoint
from tfwav2vec2.weights.conversion import DTYPES, Report, convert
from tfwav2vec2.weights.destination import FORMATS
from tfwav2vec2.weights.files import read_json
from tfwav2vec2.weights.model_files import open_model_files

EMBEDDING = "wav2vec2.masked_spec_embed"
SMALL_HEADS = {
    "classifier_proj_size": 6,
    "tdnn_dim": [6, 8],
    "tdnn_kernel": [3, 1],
    "tdnn_dilation": [1, 1],
    "xvector_output_dim": 5,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "num_codevectors_per_group": 8,
}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def tensors_of(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "model.safetensors")


def assert_same_bits(folder: Path, other: Path) -> None:
    expected, given = tensors_of(folder), tensors_of(other)
    assert given.keys() == expected.keys()
    for key, array in expected.items():
        assert given[key].dtype == array.dtype
        assert given[key].shape == array.shape
        assert given[key].tobytes() == array.tobytes()


def change(folder: Path, edit: Any) -> Path:
    tensors = tensors_of(folder)
    edit(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def folders(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A model of any bits, NaNs of every kind among them, in each dtype."""
    made = {}
    for dtype in DTYPES:
        made[dtype] = Path(shutil.copytree(tiny_folder, tmp_path_factory.mktemp("any") / dtype))
        change(
            made[dtype],
            lambda tensors, dtype=dtype: tensors.update(
                {key: random_bits(array.shape, dtype, len(key)) for key, array in tensors.items()}
            ),
        )
    return made


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the saved model that a test may change."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


# --- what comes out -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_there_and_back(folders: dict[str, Path], tmp_path: Path, dtype: str) -> None:
    """Along a way that takes every step from one format to another, and to itself, once."""
    steps = [list(FORMATS)[int(number)] for number in "0010203112132233" + "0"]
    assert len(set(itertools.pairwise(steps))) == len(FORMATS) ** 2
    expected = tensors_of(folders[dtype])
    source = folders[dtype]
    for number, kind in enumerate(steps):
        destination = tmp_path / f"{number}-{kind}"
        convert(source, destination, to=kind)
        with open_model_files(destination) as (checkpoint, config):
            assert checkpoint.shapes == {key: array.shape for key, array in expected.items()}
            for key, array in expected.items():
                given = checkpoint.read(key)
                assert given.dtype == array.dtype == dtype
                assert given.tobytes() == array.tobytes()
        assert config.dtype == dtype
        source = destination
    assert contents(source) == contents(tmp_path / "0-safetensors")


@pytest.mark.parametrize("name", [BARE, *HEADS])
def test_every_class(tmp_path: Path, name: str) -> None:
    model = model_class(name)(Wav2Vec2Config(**TINY, **SMALL_HEADS, use_weighted_layer_sum=True))
    model.save_pretrained(tmp_path / "model")
    for kind in FORMATS:
        report = convert(tmp_path / "model", tmp_path / kind, to=kind)
        assert report.architecture == name
        assert report.initialised == ()
        convert(tmp_path / kind, tmp_path / f"{kind}-back")
        assert_same_bits(tmp_path / "model", tmp_path / f"{kind}-back")


def test_keras_opens_its_files(tiny_model: Any, tiny_folder: Path, tmp_path: Path) -> None:
    waveform = np.random.default_rng(0).normal(size=(2, 2000)).astype(np.float32)
    expected = keras.ops.convert_to_numpy(tiny_model(waveform).logits)
    report = convert(tiny_folder, tmp_path / "model.keras")
    assert (report.format, report.files) == ("keras", ("model.keras",))
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(waveform).logits, expected)
    convert(tiny_folder, tmp_path / "model.weights.h5")
    filled = TFWav2Vec2ForCTC(tiny_model.config)
    filled.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(filled(waveform).logits, expected)


def test_from_pretrained_opens_every_format(tiny_model: Any, tiny_folder: Path, tmp_path: Path) -> None:
    for kind in FORMATS:
        convert(tiny_folder, tmp_path / kind, to=kind)
        opened = TFWav2Vec2ForCTC.from_pretrained(tmp_path / kind)
        np.testing.assert_array_equal(opened.lm_head.kernel, tiny_model.lm_head.kernel)


def test_the_report(tiny_folder: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report = convert(tiny_folder, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    tensors = tensors_of(tiny_folder)
    assert isinstance(report, Report)
    assert report.source == tiny_folder / "model.safetensors"
    assert report.destination == tmp_path / "out"
    assert (report.format, report.architecture) == ("safetensors", "Wav2Vec2ForCTC")
    assert report.files == ("config.json", "model.safetensors")
    assert {tensor.key: tensor.shape for tensor in report.tensors} == {
        key: array.shape for key, array in tensors.items()
    }
    assert {tensor.dtype for tensor in report.tensors} == {"float32"}
    assert report.parameters == sum(array.size for array in tensors.values())
    assert report.bytes == sum(array.nbytes for array in tensors.values())
    assert len(seen) == len(tensors)
    assert seen == sorted(seen)
    assert seen[-1] == (report.bytes, report.bytes)


def test_old_names_and_bare_files_get_todays_names(tiny_folder: Path, folder: Path, tmp_path: Path) -> None:
    conv = "wav2vec2.encoder.pos_conv_embed.conv"

    def rename(tensors: dict[str, np.ndarray]) -> None:
        tensors[f"{conv}.weight_g"] = tensors.pop(f"{conv}.parametrizations.weight.original0")
        tensors[f"{conv}.weight_v"] = tensors.pop(f"{conv}.parametrizations.weight.original1")

    convert(change(folder, rename), tmp_path / "out")
    assert_same_bits(tiny_folder, tmp_path / "out")
    change(
        folder,
        lambda tensors: [tensors.pop(key) for key in list(tensors) if key.startswith("lm_head")],
    )
    assert convert(folder, tmp_path / "bare").architecture == BARE
    TFWav2Vec2Model.from_pretrained(tmp_path / "bare")
    assert all(not key.startswith("wav2vec2.") for key in tensors_of(tmp_path / "bare"))


def test_another_dtype(tiny_folder: Path, tmp_path: Path) -> None:
    for dtype in DTYPES:
        report = convert(tiny_folder, tmp_path / dtype, dtype=dtype)
        assert {tensor.dtype for tensor in report.tensors} == {dtype}
        assert read_json(tmp_path / dtype / "config.json")["dtype"] == dtype
        for key, array in tensors_of(tiny_folder).items():
            np.testing.assert_array_equal(tensors_of(tmp_path / dtype)[key], array.astype(DTYPES[dtype]))


def test_numbers_too_large_for_the_dtype(folder: Path, tmp_path: Path) -> None:
    change(folder, lambda tensors: tensors["lm_head.bias"].fill(1e5))
    with pytest.raises(
        ValueError, match=r"lm_head\.bias holds numbers too large for float16; convert to bfloat16"
    ):
        convert(folder, tmp_path / "out", dtype="float16")
    assert not (tmp_path / "out").exists()
    convert(folder, tmp_path / "out", dtype="bfloat16")


def test_several_dtypes_in_one_file(folder: Path, tmp_path: Path) -> None:
    change(
        folder, lambda tensors: tensors.update({"lm_head.bias": tensors["lm_head.bias"].astype("float16")})
    )
    convert(folder, tmp_path / "torch", to="torch")
    convert(tmp_path / "torch", tmp_path / "back")
    assert_same_bits(folder, tmp_path / "back")
    # A model of Keras's has one.
    assert {tensor.dtype for tensor in convert(folder, tmp_path / "keras", to="keras").tensors} == {
        "float32",
        "float16",
    }
    convert(tmp_path / "keras", tmp_path / "wide")
    wide = tensors_of(tmp_path / "wide")
    assert {array.dtype for array in wide.values()} == {np.dtype("float32")}
    for key, array in tensors_of(folder).items():
        np.testing.assert_array_equal(wide[key], array)


def test_a_model_that_was_never_masked(folder: Path, tmp_path: Path) -> None:
    """Published models lack the embedding that only SpecAugment reads, and so do their conversions."""
    change(folder, lambda tensors: tensors.pop(EMBEDDING))
    for kind in ("safetensors", "torch"):
        assert convert(folder, tmp_path / kind, to=kind).initialised == ()
        assert_same_bits(folder, tmp_path / "safetensors")
    report = convert(folder, tmp_path / "keras", to="keras")
    assert report.initialised == (EMBEDDING,)
    assert EMBEDDING not in {tensor.key for tensor in report.tensors}
    convert(tmp_path / "keras", tmp_path / "back")
    drawn = tensors_of(tmp_path / "back")[EMBEDDING]
    assert np.unique(drawn).size == drawn.size
    assert ((drawn >= 0) & (drawn < 1)).all()


def test_several_files(tiny_folder: Path, tmp_path: Path) -> None:
    report = convert(tiny_folder, tmp_path / "out", max_shard_size="4KB")
    assert "model.safetensors.index.json" in report.files
    convert(tmp_path / "out", tmp_path / "back")
    assert_same_bits(tiny_folder, tmp_path / "back")


# --- the small files ----------------------------------------------------------------------------------------------------


def test_the_small_files_come_along(folder: Path, tmp_path: Path) -> None:
    for name in ("vocab.json", "preprocessor_config.json", "tokenizer_config.json"):
        (folder / name).write_text(json.dumps({"name": name}))
    (folder / "notes.txt").write_text("mine")
    (folder / "adapter.fra.safetensors").write_bytes(b"French")
    report = convert(folder, tmp_path / "out")
    assert (tmp_path / "out" / "adapter.fra.safetensors").read_bytes() == b"French"
    assert "vocab.json" in report.files
    assert "notes.txt" not in report.files
    assert read_json(tmp_path / "out" / "vocab.json") == {"name": "vocab.json"}
    convert(folder, tmp_path / "alone.keras")
    assert not (tmp_path / "vocab.json").exists()


class SelfDescribed(Checkpoint):
    """A checkpoint that brings its configuration and its dictionary, as fairseq's do."""

    def __init__(self, tensors: dict[str, np.ndarray], fields: dict[str, Any], vocabulary: Any) -> None:
        super().__init__(Path("checkpoint.pt"))
        self.tensors = tensors
        self.shapes = {key: array.shape for key, array in tensors.items()}
        self.config_fields, self.vocabulary = fields, vocabulary

    def read(self, key: str) -> np.ndarray:
        return self.tensors[key]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("norm", ["group", "layer"])
@pytest.mark.parametrize("known", [True, False])
def test_a_file_that_describes_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, norm: str, known: bool
) -> None:
    TFWav2Vec2ForCTC(Wav2Vec2Config(**TINY, feat_extract_norm=norm)).save_pretrained(tmp_path / "model")
    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", "E", "T", "A", "O", "N"]
    checkpoint = SelfDescribed(
        tensors_of(tmp_path / "model"),
        {**TINY, "feat_extract_norm": norm},
        {symbol: index for index, symbol in enumerate(symbols)} if known else None,
    )
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "checkpoint.pt").touch()
    (tmp_path / "downloads" / "vocab.json").write_text('{"of": "another model"}')
    monkeypatch.setattr("tfwav2vec2.weights.model_files.open_checkpoint", lambda *_, **__: checkpoint)
    convert(tmp_path / "downloads" / "checkpoint.pt", tmp_path / "out")
    assert_same_bits(tmp_path / "model", tmp_path / "out")
    extractor = read_json(tmp_path / "out" / "preprocessor_config.json")
    assert extractor["return_attention_mask"] == (norm == "layer")
    assert extractor["do_normalize"] is True
    assert (tmp_path / "out" / "vocab.json").exists() == known
    if known:
        processor = Wav2Vec2Processor.from_pretrained(tmp_path / "out")
        assert processor.tokenizer.get_vocab() == checkpoint.vocabulary
        assert processor.decode([5, 5, 0, 6, 4, 7]) == "ET A"


def test_a_configuration_of_ones_own(tiny_folder: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(tiny_folder / "model.safetensors", lone / "weights.bin")
    with pytest.raises(
        FileNotFoundError, match=r"weights\.bin does not tell what model it holds, .* give it as config"
    ):
        convert(lone / "weights.bin", tmp_path / "out")
    for config in (tiny_folder, tiny_folder / "config.json", Wav2Vec2Config.from_pretrained(tiny_folder)):
        convert(lone / "weights.bin", tmp_path / "out", config=config, overwrite=True)
        assert_same_bits(tiny_folder, tmp_path / "out")


def test_a_model_on_the_hub(hub: Hub, tiny_folder: Path, tmp_path: Path) -> None:
    hub.add("someone/model", {**contents(tiny_folder), "vocab.json": b"{}"})
    report = convert("someone/model", tmp_path / "out", to="torch")
    assert report.files == ("config.json", "pytorch_model.bin", "vocab.json")
    convert(tmp_path / "out", tmp_path / "back")
    assert_same_bits(tiny_folder, tmp_path / "back")


# --- what does not fit, and what must not be lost ----------------------------------------------------------------------


def test_everything_that_does_not_fit_is_listed_in_one_line(folder: Path, tmp_path: Path) -> None:
    def edit(tensors: dict[str, np.ndarray]) -> None:
        del tensors["wav2vec2.encoder.layer_norm.weight"]
        tensors["stranger"] = np.zeros(3, np.float32)
        tensors["lm_head.bias"] = np.zeros(7, np.float32)

    change(folder, edit)
    for kind in FORMATS:
        with pytest.raises(ValueError, match="are not those of TFWav2Vec2ForCTC") as caught:
            convert(folder, tmp_path / "out", to=kind)
        assert "\n" not in str(caught.value)
        assert (
            "missing: wav2vec2.encoder.layer_norm.weight; not expected: stranger; "
            "of another shape: lm_head.bias (file (7,), model (10,))" in str(caught.value)
        )
    assert not (tmp_path / "out").exists()


def test_hundreds_of_strangers_are_counted(folder: Path, tmp_path: Path) -> None:
    change(folder, lambda tensors: tensors.update({f"s{index:03d}": np.zeros(1) for index in range(300)}))
    with pytest.raises(ValueError, match=r"not expected: s000, .*, s019 and 280 more;"):
        convert(folder, tmp_path / "out")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_failure_leaves_everything_as_it_was(tiny_folder: Path, tmp_path: Path, kind: str) -> None:
    def fail(done: int, total: int) -> None:
        if done > total / 2:
            raise OSError("No space left on device")

    other = {"config.json": b"{}", "model.safetensors": b"old", "mine.txt": b"mine"}
    (tmp_path / "there").mkdir()
    for name, content in other.items():
        (tmp_path / "there" / name).write_bytes(content)
    for place in ("new", "there"):
        with pytest.raises(OSError, match="No space left on device"):
            convert(tiny_folder, tmp_path / place, to=kind, overwrite=True, progress=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert contents(tmp_path / "there") == other


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5"])
def test_a_failure_leaves_a_file_as_it_was(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    def fail(done: int, total: int) -> None:
        raise OSError("No space left on device")

    (tmp_path / name).write_text("precious")
    with pytest.raises(OSError, match="No space left"):
        convert(tiny_folder, tmp_path / name, overwrite=True, progress=fail)
    assert contents(tmp_path) == {name: b"precious"}


def test_what_is_there_is_not_written_over(tiny_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    convert(tiny_folder, out)  # an empty folder is free
    (out / "mine.txt").write_text("mine")
    before = contents(out)
    with pytest.raises(
        FileExistsError, match="is there already; give another destination, or ask to overwrite"
    ):
        convert(tiny_folder, out, to="torch")
    assert contents(out) == before
    (out / "vocab.json").write_text("{}")
    convert(tiny_folder, out, to="torch", overwrite=True)
    # Of the model that was there nothing stays, and of everything else everything.
    assert sorted(contents(out)) == ["config.json", "mine.txt", "pytorch_model.bin"]
    convert(tiny_folder, tmp_path / "a.keras")
    with pytest.raises(FileExistsError, match=r"a\.keras is there already"):
        convert(tiny_folder, tmp_path / "a.keras")
    convert(tiny_folder, tmp_path / "a.keras", overwrite=True)


def test_the_source_is_never_written_over(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    for source in (folder, folder / "model.safetensors"):
        with pytest.raises(FileExistsError, match="is what is to be converted"):
            convert(source, folder, to="torch", overwrite=True)
    convert(folder, tmp_path / "a.keras")
    with pytest.raises(FileExistsError, match="is what is to be converted"):
        convert(tmp_path / "a.keras", tmp_path / "a.keras", overwrite=True)
    assert contents(folder) == before
    # Beside the source there is room.
    convert(folder, folder / "extra.keras")


@pytest.mark.parametrize(
    ("destination", "options", "message"),
    [
        ("out", {"to": "onnx"}, "to is 'onnx'; give one of safetensors, torch, keras, weights-h5"),
        ("out", {"dtype": "int8"}, "dtype is 'int8'; give one of float32, float16, bfloat16"),
        ("out.safetensors", {}, "looks like the name of a file; give the name of a folder"),
        ("out.bin", {"to": "torch"}, "looks like the name of a file"),
        ("out.keras", {"to": "torch"}, r"has the suffix of keras, and to is 'torch'"),
        ("out.weights.h5", {"to": "keras"}, r"has the suffix of weights-h5, and to is 'keras'"),
    ],
)
def test_what_cannot_be_asked_for(
    tiny_folder: Path, tmp_path: Path, destination: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        convert(tiny_folder, tmp_path / destination, **options)
    assert list(tmp_path.iterdir()) == []


def test_files_and_folders_are_not_mistaken_for_one_another(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(OSError, match="file is a file; give the name of a folder"):
        convert(tiny_folder, tmp_path / "file", overwrite=True)
    with pytest.raises(OSError, match=r"folder\.keras is a folder; give the name of a file"):
        convert(tiny_folder, tmp_path / "folder.keras", overwrite=True)


@pytest.mark.parametrize(("first", "second"), list(zip(FORMATS, reversed(FORMATS), strict=True)))
def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path, first: str, second: str) -> None:
    """A model of many equal layers: converting it takes a few of them, not all."""
    config = Wav2Vec2Config(**{**TINY, "num_hidden_layers": 6, "intermediate_size": 32_768})
    TFWav2Vec2ForCTC(config).save_pretrained(tmp_path / "model")
    report = convert(tmp_path / "model", tmp_path / "first", to=first)
    tracemalloc.start()
    try:
        convert(tmp_path / "first", tmp_path / "second", to=second)
        assert tracemalloc.get_traced_memory()[1] < report.bytes / 2
    finally:
        tracemalloc.stop()


def test_nothing_is_trusted_that_the_file_says_of_its_size(folder: Path, tmp_path: Path) -> None:
    config = read_json(folder / "config.json") | {"num_hidden_layers": 10**9}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"describes a model of [\d,]+ weights or more"):
        convert(folder, tmp_path / "out")


def test_the_formats_of_the_command_line() -> None:
    from tfwav2vec2.cli import convert as command

    assert tuple(FORMATS) == command.FORMATS
    assert tuple(conversion.DTYPES) == command.DTYPES
