"""One model, many languages: adapters and heads read from files of their own, switched, trained and saved."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from tests.weights.conftest import TINY
from tests.weights.formats import torch_files
from tests.weights.hub_server import Hub
from tests.weights.test_pretrained import assert_same, contents, values
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
from tfwav2vec2.backbone import compiled_call
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.readers import CheckpointError

MULTILINGUAL = TINY | {"num_hidden_layers": 2, "do_stable_layer_norm": True, "adapter_attn_dim": 4}
# Letters of each language, the blank among them: two of one size.
LETTERS = {"deu": 10, "fra": 13, "eng": 10}
NAME = "somebody/many"
WAVEFORM = np.random.default_rng(0).standard_normal((2, 700)).astype("float32")
LABELS = np.array([[3, 4, 4], [5, 9, -100]], "int32")
BATCH = {"input_values": WAVEFORM, "labels": LABELS}


def make(letters: int = 10, **fields: Any) -> TFWav2Vec2ForCTC:
    """A model whose weights are all off their initial values."""
    model = TFWav2Vec2ForCTC(Wav2Vec2Config(**{**MULTILINGUAL, "vocab_size": letters, **fields}))
    rng = np.random.default_rng(letters)
    for variable in named_variables(model).values():
        variable.assign(variable + 0.2 * rng.standard_normal(variable.shape).astype("float32"))
    return model


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in its first language, with a file for each; tests only read it."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(1)
    model = make()
    model.save_pretrained(folder)
    for language, letters in LETTERS.items():
        if language != "deu":
            model = make(letters)
            for variable in model.adapter_variables().values():
                variable.assign(rng.standard_normal(variable.shape).astype("float32"))
        model.save_adapter(folder, language)
    return folder


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(original, tmp_path / "model"))


@pytest.fixture
def model(original: Path) -> TFWav2Vec2ForCTC:
    return TFWav2Vec2ForCTC.from_pretrained(original)


def logits(model: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(WAVEFORM).logits)


def change(path: Path, **tensors: Any) -> None:
    """Set tensors of a language's file, by key with "__" for the dots; None removes one."""
    held = load_file(path)
    for name, tensor in tensors.items():
        key = name.replace("__", ".")
        held.pop(key, None)
        if tensor is not None:
            held[key] = tensor
    save_file(held, path)


# --- switching ----------------------------------------------------------------------------------------------------------


def test_a_language_is_what_its_file_holds(model: Any, original: Path) -> None:
    for language, letters in LETTERS.items():
        model.load_adapter(language)
        assert (model.target_lang, model.config.vocab_size) == (language, letters)
        assert logits(model).shape[-1] == letters
        held = load_file(original / f"adapter.{language}.safetensors")
        assert len(held) == len(model.adapter_variables()) == 2 * 6 + 2
        key = "wav2vec2.encoder.layers.1.adapter_layer.linear_1"
        adapter = model.wav2vec2.encoder.layers[1].adapter_layer
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(adapter.linear_1.kernel).T, held[f"{key}.weight"]
        )
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(model.lm_head.bias), held["lm_head.bias"])


@pytest.mark.parametrize("jit_compile", [True, False])
def test_there_and_back_gives_the_same_logits_bit_for_bit(model: Any, jit_compile: bool) -> None:
    model.configure_call(jit_compile=jit_compile)
    first = logits(model)
    given = {}
    for language in ("fra", "eng", "deu", "eng", "fra", "deu"):
        model.load_adapter(language)
        np.testing.assert_array_equal(given.setdefault(language, logits(model)), logits(model))
    np.testing.assert_array_equal(given["deu"], first)
    assert not np.array_equal(given["eng"], first)


def test_the_rest_of_the_model_is_not_touched(model: Any) -> None:
    before = named_variables(model)
    arrays = values(model)
    count = len(model.weights)
    model.load_adapter("fra")
    after = named_variables(model)
    assert list(after) == list(before)
    for name, variable in after.items():
        # A head of another size is new; what else belongs to the language holds other values.
        assert (variable is before[name]) == (not name.startswith("lm_head"))
        if name not in model.adapter_variables():
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), arrays[name])
    assert len(model.weights) == count
    assert [variable.path for variable in model.weights[-2:]] == [
        f"{model.name}/lm_head/kernel",
        f"{model.name}/lm_head/bias",
    ]


def test_only_the_language_is_read(model: Any, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    model.config.name_or_path = folder
    model.load_adapter("fra")
    assert model.target_lang == "fra"


def test_the_same_language_again(model: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    model.config.name_or_path = folder
    model.load_adapter("fra", force_load=False)
    (folder / "adapter.fra.safetensors").unlink()
    with caplog.at_level(logging.INFO, "tfwav2vec2"):
        model.load_adapter("fra", force_load=False)
    assert "'fra' are loaded already" in caplog.text
    with pytest.raises(FileNotFoundError, match="no adapters for the language 'fra'"):
        model.load_adapter("fra")


def test_models_may_share_a_configuration(model: Any) -> None:
    """The size of the head counts, not what the configuration says of it by now."""
    other = TFWav2Vec2ForCTC(model.config)
    for each in (model, other):
        each.load_adapter("fra")
        assert logits(each).shape[-1] == 13


@pytest.mark.parametrize("jit_compile", [True, False])
def test_programs_follow_the_language(model: Any, jit_compile: bool) -> None:
    model.configure_call(jit_compile=jit_compile)
    programs = int(jit_compile and keras.backend.backend() in compiled_call._COMPILING_BACKENDS)
    first = logits(model)
    model.load_adapter("eng")
    second = logits(model)
    # A head of the same size keeps the program; a new head needs another.
    assert model.compiled_programs == programs
    model.load_adapter("fra")
    assert model.compiled_programs == 0
    assert logits(model).shape[-1] == 13
    assert model.compiled_programs == programs
    model.load_adapter("deu")
    np.testing.assert_allclose(logits(model), first, rtol=0, atol=1e-5)
    assert np.abs(second - first).max() > 0.1


@pytest.mark.parametrize(
    "fields", [{"add_adapter": True, "output_hidden_size": 12}, {"output_hidden_size": 12}]
)
def test_the_width_of_a_new_head(fields: dict[str, Any], tmp_path: Path) -> None:
    """The reference gives every new head output_hidden_size, and fails where the frames are of another width."""
    make(**fields).save_pretrained(tmp_path)
    other = make(13, **fields)
    other.save_adapter(tmp_path, "fra")
    model = TFWav2Vec2ForCTC.from_pretrained(tmp_path, target_lang="fra")
    assert tuple(model.lm_head.kernel.shape) == (12 if "add_adapter" in fields else 16, 13)
    assert logits(model).shape[-1] == 13


def test_a_post_norm_model_has_a_head_a_language(tmp_path: Path) -> None:
    """Its layers have no place for adapters, in the reference neither."""
    make(do_stable_layer_norm=False).save_pretrained(tmp_path)
    path = make(13, do_stable_layer_norm=False).save_adapter(tmp_path, "fra")
    assert set(load_file(path)) == {"lm_head.weight", "lm_head.bias"}
    assert logits(TFWav2Vec2ForCTC.from_pretrained(tmp_path, target_lang="fra")).shape[-1] == 13


@pytest.mark.parametrize("dtype", ["bfloat16", "mixed_bfloat16"])
def test_the_dtype_is_the_models(original: Path, tmp_path: Path, dtype: str) -> None:
    model = TFWav2Vec2ForCTC.from_pretrained(original, dtype=dtype, target_lang="fra")
    assert {variable.dtype for variable in model.adapter_variables().values()} == {model.variable_dtype}
    path = model.save_adapter(tmp_path)
    with safe_open(path, "np") as file:
        assert file.get_slice("lm_head.weight").get_dtype() == ("BF16" if dtype == "bfloat16" else "F32")
    again = TFWav2Vec2ForCTC.from_pretrained(original, dtype=dtype)
    again.config.name_or_path = tmp_path
    again.load_adapter("fra")
    assert_same(again, model)


# --- opening a model in a language ------------------------------------------------------------------------------------------


def test_a_model_is_opened_in_a_language(model: Any, original: Path) -> None:
    model.load_adapter("fra")
    for options in ({}, {"ignore_mismatched_sizes": True}):
        opened = TFWav2Vec2ForCTC.from_pretrained(original, target_lang="fra", **options)
        assert opened.target_lang == "fra"
        assert_same(opened, model)
    assert TFWav2Vec2ForCTC.from_pretrained(original).target_lang is None


def test_the_languages_head_wins(model: Any, original: Path) -> None:
    """Whatever the configuration says of the vocabulary, and whatever the model's own file holds."""
    model.load_adapter("fra")
    for options in ({"vocab_size": 7}, {"config": model.config}, {"config": model.config, "strict": False}):
        assert_same(TFWav2Vec2ForCTC.from_pretrained(original, target_lang="fra", **options), model)


def test_a_file_without_any_language_will_do(model: Any, folder: Path) -> None:
    path = folder / "model.safetensors"
    shared = {key: value for key, value in load_file(path).items() if key not in load_keys(folder)}
    save_file(shared, path)
    with pytest.raises(ValueError, match=r"missing: .*adapter_layer"):
        TFWav2Vec2ForCTC.from_pretrained(folder)
    model.load_adapter("fra")
    assert_same(TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="fra"), model)


def load_keys(folder: Path) -> set[str]:
    return set(load_file(folder / "adapter.deu.safetensors"))


def test_the_rest_of_the_file_is_checked_as_ever(folder: Path) -> None:
    path = folder / "model.safetensors"
    held = load_file(path)
    bias = held.pop("wav2vec2.encoder.layer_norm.bias")
    save_file(held, path)
    with pytest.raises(ValueError, match=r"missing: wav2vec2\.encoder\.layer_norm\.bias\n"):
        TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="fra")
    save_file(held | {"wav2vec2.encoder.layer_norm.bias": bias[1:]}, path)
    with pytest.raises(ValueError, match=r"layer_norm\.bias \(file \(15,\), model \(16,\)\)"):
        TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="fra")
    with pytest.warns(UserWarning, match=r"layer_norm\.bias \(file \(15,\)") as caught:
        TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="fra", ignore_mismatched_sizes=True)
    assert caught[0].filename == __file__


def test_a_new_model_takes_a_language_too(model: Any) -> None:
    model.load_adapter("fra")
    fresh = TFWav2Vec2ForCTC(Wav2Vec2Config(**MULTILINGUAL, _name_or_path=model.config.name_or_path), "fra")
    assert fresh.target_lang == "fra"
    for name, variable in fresh.adapter_variables().items():
        np.testing.assert_array_equal(
            keras.ops.convert_to_numpy(variable), keras.ops.convert_to_numpy(named_variables(model)[name])
        )


@pytest.mark.parametrize("options", [{}, {"revision": "v2", "subfolder": "best"}])
def test_languages_on_the_hub(hub: Hub, model: Any, original: Path, options: dict[str, str]) -> None:
    prefix = f"{options['subfolder']}/" if options else ""
    files = {f"{prefix}{name}": content for name, content in contents(original).items()}
    hub.add(NAME, {})
    hub.add(NAME, files, revision=options.get("revision", "main"))
    opened = TFWav2Vec2ForCTC.from_pretrained(NAME, target_lang="fra", **options)
    model.load_adapter("fra")
    assert_same(opened, model)
    hub.requests.clear()
    opened.load_adapter("deu", **options)
    assert {path.rpartition("/")[2] for _, path in hub.requests} == {"adapter.deu.safetensors"}
    model.load_adapter("deu")
    assert_same(opened, model)
    hub.requests.clear()
    opened.load_adapter("fra", local_files_only=True, **options)
    assert hub.requests == []
    with pytest.raises(
        FileNotFoundError, match=r"neither adapter\.ita\.safetensors nor adapter\.ita\.bin is"
    ):
        opened.load_adapter("ita", **options)
    assert (opened.target_lang, opened.config.vocab_size) == ("fra", 13)


@pytest.mark.parametrize("save", [torch_files.save_zip, torch_files.save_legacy])
def test_files_of_torch_are_read_where_there_are_no_others(model: Any, folder: Path, save: Any) -> None:
    model.load_adapter("fra")
    other = TFWav2Vec2ForCTC.from_pretrained(folder)
    safe = folder / "adapter.fra.safetensors"
    (folder / "adapter.fra.bin").write_bytes(b"not looked at")
    other.load_adapter("fra")
    (folder / "adapter.fra.bin").write_bytes(save(load_file(safe)))
    safe.unlink()
    other.load_adapter("deu")
    other.load_adapter("fra")
    assert_same(other, model)


# --- what is refused, with nothing changed ------------------------------------------------------------------------------------

ADAPTER = "wav2vec2__encoder__layers__0__adapter_layer__linear_1__"


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (
            {f"{ADAPTER}bias": None, f"{ADAPTER}weight": None},
            r"missing: .*linear_1\.bias, .*linear_1\.weight\n",
        ),
        ({"lm_head__bias": None}, r"missing: lm_head\.bias\n"),
        ({"lm_head__weight": None, "lm_head__bias": None}, r"missing: lm_head\.bias, lm_head\.weight\n"),
        ({"wav2vec2__masked_spec_embed": np.zeros(16, "f4")}, r"not expected: wav2vec2\.masked_spec_embed\n"),
        (
            {f"{ADAPTER}weight": np.zeros((5, 16), "f4")},
            r"linear_1\.weight \(file \(5, 16\), model \(4, 16\)\)",
        ),
        (
            {"lm_head__weight": np.zeros((13, 12), "f4")},
            r"lm_head\.weight \(file \(13, 12\), model \(13, 16\)\)",
        ),
        ({"lm_head__weight": np.zeros((12, 16), "f4")}, r"lm_head\.bias \(file \(13,\), model \(12,\)\)"),
        ({"lm_head__weight": np.zeros((), "f4")}, r"lm_head\.weight \(file \(\), model \(0, 16\)\)"),
        (
            {"lm_head__weight": np.zeros((0, 16), "f4"), "lm_head__bias": np.zeros((0,), "f4")},
            r"lm_head\.weight \(file \(0, 16\)",
        ),
    ],
)
def test_tensors_of_another_model(folder: Path, tensors: dict[str, Any], message: str) -> None:
    model = TFWav2Vec2ForCTC.from_pretrained(folder)
    change(folder / "adapter.fra.safetensors", **tensors)
    with (
        unchanged(model),
        pytest.raises(ValueError, match=rf"adapter\.fra\.safetensors are not(.|\n)*{message}"),
    ):
        model.load_adapter("fra")
    with pytest.raises(ValueError, match=message):
        TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="fra")


class unchanged:
    """Inside, a model may not change in any way that can be seen."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def _state(self) -> tuple[Any, ...]:
        model = self.model
        return (
            [(name, id(variable)) for name, variable in named_variables(model).items()],
            [value.tobytes() for value in values(model).values()],
            (model.target_lang, model.config.vocab_size, model.compiled, model.compiled_programs),
        )

    def __enter__(self) -> None:
        self.before = self._state()

    def __exit__(self, *_: Any) -> None:
        assert self._state() == self.before


@pytest.mark.parametrize("name", ["adapter.fra.safetensors", "adapter.fra.bin"])
def test_a_damaged_file(folder: Path, name: str) -> None:
    held = load_file(folder / "adapter.fra.safetensors")
    (folder / "adapter.fra.safetensors").unlink()
    path = folder / name
    if path.suffix == ".bin":
        path.write_bytes(torch_files.save_legacy(held))
    else:
        save_file(held, path)
    whole = path.read_bytes()
    model = TFWav2Vec2ForCTC.from_pretrained(folder)
    for size in (0, 7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with unchanged(model), pytest.raises(CheckpointError, match=name.replace(".", r"\.")) as caught:
            model.load_adapter("fra")
        assert "\n" not in str(caught.value)
    path.write_bytes(b"cos\nsystem\n(S'echo'\ntR.")
    with unchanged(model), pytest.raises(CheckpointError):
        model.load_adapter("fra")


@pytest.mark.parametrize(
    "language",
    ["../x", "..\\x", "/etc/passwd", "a/b", "c:x", "", "x\0", "fra\n", "x" * 65, "*", None, 3, ["fra"]],
)
def test_names_that_are_no_language(folder: Path, language: Any) -> None:
    (folder / "x.safetensors").write_bytes((folder / "adapter.fra.safetensors").read_bytes())
    model = TFWav2Vec2ForCTC.from_pretrained(folder)
    with (
        unchanged(model),
        pytest.raises(ValueError, match=r"target_lang is .*must be the name of a language"),
    ):
        model.load_adapter(language)
    before = contents(folder)
    if language is not None:
        with pytest.raises(ValueError, match="must be the name of a language"):
            TFWav2Vec2ForCTC.from_pretrained(folder, target_lang=language)
        with pytest.raises(ValueError, match="must be the name of a language"):
            model.save_adapter(folder, language)
    assert contents(folder) == before


def test_a_script_belongs_to_a_languages_name(model: Any, tmp_path: Path) -> None:
    path = model.save_adapter(tmp_path / "new", "azj-script_latin")
    assert path == tmp_path / "new" / "adapter.azj-script_latin.safetensors"


def test_models_without_adapters(tiny_model: Any, tiny_folder: Path, tmp_path: Path) -> None:
    for act in (
        lambda: tiny_model.load_adapter("fra"),
        lambda: tiny_model.save_adapter(tmp_path, "fra"),
        tiny_model.init_adapter_layers,
        tiny_model.freeze_all_but_adapters,
        tiny_model.adapter_variables,
        lambda: TFWav2Vec2ForCTC.from_pretrained(tiny_folder, target_lang="fra"),
    ):
        with pytest.raises(ValueError, match=r"no adapters for languages: config\.adapter_attn_dim is None"):
            act()
    assert not list(tmp_path.iterdir())


def test_nowhere_to_look(model: Any) -> None:
    model.config.name_or_path = ""
    with (
        unchanged(model),
        pytest.raises(FileNotFoundError, match=r"nowhere to look for adapter\.fra\.safetensors"),
    ):
        model.load_adapter("fra")


def test_options_that_do_not_exist(model: Any) -> None:
    with pytest.raises(TypeError, match="load_adapter got revison"):
        model.load_adapter("fra", revison="main")


# --- saving ---------------------------------------------------------------------------------------------------------------


def test_whole_models_are_saved_in_their_language(model: Any, tmp_path: Path) -> None:
    model.load_adapter("fra")
    expected = logits(model)
    model.save_pretrained(tmp_path / "folder")
    opened = TFWav2Vec2ForCTC.from_pretrained(tmp_path / "folder")
    assert opened.config.vocab_size == 13
    assert_same(opened, model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert (loaded.config.vocab_size, loaded.target_lang) == (13, "fra")
    np.testing.assert_allclose(logits(loaded), expected, rtol=0, atol=1e-6)
    loaded.load_adapter("deu")
    model.load_adapter("deu")
    assert_same(loaded, model)
    model.save_weights(tmp_path / "model.weights.h5")
    opened.config.name_or_path = model.config.name_or_path
    opened.load_adapter("eng")
    opened.load_weights(tmp_path / "model.weights.h5")
    assert_same(opened, model)


def test_a_language_is_saved_as_it_was_read(model: Any, original: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="target_lang is 'None'"):
        model.save_adapter(tmp_path)
    model.load_adapter("fra")
    path = model.save_adapter(tmp_path)
    ours, theirs = load_file(path), load_file(original / path.name)
    assert ours.keys() == theirs.keys()
    for key, tensor in theirs.items():
        np.testing.assert_array_equal(ours[key], tensor)
    with safe_open(path, "np") as file:
        assert file.metadata() == {"format": "pt"}


def test_a_failed_save_changes_nothing(model: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = contents(folder)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        model.save_adapter(folder, "fra")
    monkeypatch.undo()
    assert contents(folder) == before


# --- training -------------------------------------------------------------------------------------------------------------


def test_adapters_are_drawn_anew(model: Any) -> None:
    before, language = values(model), model.adapter_variables().keys()
    keras.utils.set_random_seed(0)
    model.init_adapter_layers()
    assert model.target_lang is None
    for name, value in values(model).items():
        if name not in language:
            np.testing.assert_array_equal(value, before[name])
        elif name.endswith(("bias", "beta")):
            assert not value.any()
        elif name.endswith("gamma"):
            assert (value == 1).all()
        else:
            assert 0.5 < value.std() / model.config.initializer_range < 2
    kernels = [
        value.tobytes() for name, value in values(model).items() if name in language and "kernel" in name
    ]
    assert len(set(kernels)) == len(kernels) == 2 * 2 + 1


def test_the_references_recipe_trains_the_language_alone(model: Any, tmp_path: Path) -> None:
    """Draw the adapters anew, freeze all the rest, train, and write the language's file."""
    keras.utils.set_random_seed(0)
    model.init_adapter_layers()
    model.freeze_base_model()
    model.freeze_all_but_adapters()
    language = model.adapter_variables()
    assert {id(v) for v in model.trainable_variables} == {id(v) for v in language.values()}
    # Asked layer by layer too, as an optimizer of one's own may.
    layer = model.wav2vec2.encoder.layers[0]
    assert len(layer.trainable_variables) == len(layer.adapter_layer.trainable_variables) == 6
    before = values(model)
    model.compile(optimizer=keras.optimizers.Adam(1e-2), metrics=[])
    losses = model.fit(BATCH, batch_size=2, epochs=4, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for name, value in values(model).items():
        assert np.array_equal(value, before[name]) == (name not in language), name
    model.save_adapter(tmp_path, "mine")
    expected = logits(model)
    model.load_adapter("eng")
    model.config.name_or_path = tmp_path
    model.load_adapter("mine")
    np.testing.assert_allclose(logits(model), expected, rtol=0, atol=1e-5)


def test_a_compiled_model_never_trains_the_old_head(model: Any) -> None:
    model.compile(optimizer="adam", metrics=[])
    model.fit(BATCH, verbose=0)
    model.load_adapter("eng")  # as many letters: the head is the same
    model.fit(BATCH, verbose=0)
    first = model.evaluate(BATCH, verbose=0)
    model.load_adapter("fra")
    with pytest.raises(ValueError, match="compile"):
        model.fit(BATCH, verbose=0)
    model.compile(optimizer="adam", metrics=[])
    assert model.evaluate(BATCH, verbose=0) != pytest.approx(first)
    model.fit(BATCH, verbose=0)
    assert model.predict(WAVEFORM, verbose=0).logits.shape[-1] == 13


def test_a_frozen_head_stays_frozen(model: Any) -> None:
    model.lm_head.trainable = False
    model.load_adapter("fra")
    assert not model.lm_head.trainable_variables
    model.load_adapter("deu")
    model.lm_head.trainable = True
    model.freeze_all_but_adapters()
    model.lm_head.bias.trainable = False
    model.load_adapter("fra")
    assert [variable.trainable for variable in (model.lm_head.kernel, model.lm_head.bias)] == [True, False]
