"""Languages exchanged with transformers: each reads the other's files, and both compute the same in every language."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the live comparison needs torch and transformers")
transformers = pytest.importorskip("transformers", reason="the live comparison needs transformers")
safetensors_torch = pytest.importorskip("safetensors.torch")

import tfwav2vec2 as ours  # noqa: E402  # only where the reference is installed
from tfwav2vec2.weights.key_map import is_transposed, torch_keys  # noqa: E402

FIELDS: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": (24, 24, 24),
    "conv_stride": (5, 4, 4),
    "conv_kernel": (10, 4, 4),
    "feat_extract_norm": "layer",
    "conv_bias": True,
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "adapter_attn_dim": 6,
}
VOCABULARIES = {
    "deu": ["<pad>", "<s>", "</s>", "<unk>", "|", "a", "b", "sch", "ng", "ß"],
    "fra": ["<pad>", "<s>", "</s>", "<unk>", "|", "é", "oi", "a", "b", "c", "d", "ç", "l"],
}
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """The reference announces on its own log that a head has another size, which these tests are about."""
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity_warning()


def make_reference(letters: int, **fields: Any) -> Any:
    torch.manual_seed(letters)
    config = transformers.Wav2Vec2Config(**{**FIELDS, "vocab_size": letters, **fields})
    model = transformers.Wav2Vec2ForCTC(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "conv_adapter"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in German with a file for German and one for French, all written by the reference."""
    folder = tmp_path_factory.mktemp("theirs")
    fields = {"add_adapter": request.param, "num_adapter_layers": 1}
    for language, vocabulary in VOCABULARIES.items():
        model = make_reference(len(vocabulary), **fields)
        if language == "deu":
            model.save_pretrained(folder)
        path = folder / f"adapter.{language}.safetensors"
        safetensors_torch.save_file(model._get_adapters(), path, metadata={"format": "pt"})
    vocabularies = {
        language: {token: index for index, token in enumerate(tokens)}
        for language, tokens in VOCABULARIES.items()
    }
    (folder / "vocab.json").write_text(json.dumps(vocabularies), encoding="utf-8")
    extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    tokenizer = transformers.Wav2Vec2CTCTokenizer(folder / "vocab.json", target_lang="deu")
    transformers.Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder


def reference_of(folder: Path, language: str) -> Any:
    model = transformers.Wav2Vec2ForCTC.from_pretrained(
        folder, target_lang=language, ignore_mismatched_sizes=True
    )
    return model.eval()


def assert_equal_logits(reference: Any, model: Any, speech: tuple[np.ndarray, np.ndarray]) -> None:
    waveform, mask = speech
    with torch.no_grad():
        expected = reference(torch.from_numpy(waveform), torch.from_numpy(mask)).logits.numpy()
    output = model(waveform, attention_mask=mask)
    logits = keras.ops.convert_to_numpy(output.logits)
    assert logits.shape == expected.shape
    for row, expected_row, length in zip(logits, expected, np.asarray(output.frame_lengths), strict=True):
        np.testing.assert_allclose(row[:length], expected_row[:length], rtol=0, atol=TOLERANCE)


def tensors(model: Any) -> dict[str, np.ndarray]:
    """A language of this package as torch would have it."""
    return {
        torch_keys(name)[0]: value.T if is_transposed(name) else value
        for name, variable in model.adapter_variables().items()
        for value in [keras.ops.convert_to_numpy(variable)]
    }


def test_every_language_and_back(folder: Path, speech: Any) -> None:
    reference = reference_of(folder, "fra")
    model = ours.TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="fra", feature_norm_mask=False)
    assert_equal_logits(reference, model, speech)
    for language in ("deu", "fra", "deu"):
        reference.load_adapter(language)
        model.load_adapter(language)
        assert model.target_lang == reference.target_lang == language
        assert model.config.vocab_size == reference.config.vocab_size == len(VOCABULARIES[language])
        assert_equal_logits(reference, model, speech)
        expected = {key: tensor.detach().numpy() for key, tensor in reference._get_adapters().items()}
        given = tensors(model)
        assert given.keys() == expected.keys()
        for key, tensor in expected.items():
            np.testing.assert_array_equal(given[key], tensor, err_msg=key)


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save(folder: Path, tmp_path: Path, zipped: bool, speech: Any) -> None:
    reference = reference_of(folder, "fra")
    torch.save(reference._get_adapters(), tmp_path / "adapter.fra.bin", _use_new_zipfile_serialization=zipped)
    model = ours.TFWav2Vec2ForCTC.from_pretrained(folder, feature_norm_mask=False)
    model.config.name_or_path = tmp_path
    model.load_adapter("fra")
    assert_equal_logits(reference, model, speech)


def test_the_reference_reads_what_this_package_wrote(folder: Path, tmp_path: Path, speech: Any) -> None:
    model = ours.TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="deu", feature_norm_mask=False)
    rng = np.random.default_rng(0)
    for language in VOCABULARIES:
        model.load_adapter(language)
        for variable in model.adapter_variables().values():
            variable.assign(variable + 0.1 * rng.standard_normal(variable.shape).astype("float32"))
        model.save_adapter(tmp_path)
    model.save_pretrained(tmp_path)  # in French
    for language in VOCABULARIES:
        reference = reference_of(tmp_path, language)
        model.config.name_or_path = tmp_path
        model.load_adapter(language)
        assert_equal_logits(reference, model, speech)
    whole, info = transformers.Wav2Vec2ForCTC.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info
    assert_equal_logits(whole.eval(), model, speech)


def test_the_languages_loss_has_the_same_gradients(folder: Path, speech: Any) -> None:
    """In every weight that the recipe for a new language trains."""
    if keras.backend.backend() != "tensorflow":
        pytest.skip("gradient tapes are TensorFlow's")
    import tensorflow as tf

    still = {"apply_spec_augment": False, "layerdrop": 0.0, "feature_norm_mask": False}
    still |= {f"{name}_dropout": 0.0 for name in ("hidden", "attention", "activation", "feat_proj", "final")}
    waveform, mask = speech
    labels = np.array([[5, 6, 6, 9], [7, 8, -100, -100]])
    model = ours.TFWav2Vec2ForCTC.from_pretrained(folder, target_lang="fra", **still)
    model.freeze_all_but_adapters()
    with tf.GradientTape() as tape:
        loss = model(waveform, attention_mask=mask, labels=labels).loss
    language = model.adapter_variables()
    assert {id(variable) for variable in model.trainable_variables} == {id(v) for v in language.values()}
    gradients = tape.gradient(loss, [variable.value for variable in language.values()])
    reference = reference_of(folder, "fra")
    reference.freeze_base_model()
    adapters = reference._get_adapters()
    for parameter in adapters.values():
        parameter.requires_grad = True
    expected = reference(torch.from_numpy(waveform), torch.from_numpy(mask), labels=torch.from_numpy(labels))
    expected.loss.backward()
    assert float(loss) == pytest.approx(expected.loss.item(), rel=1e-5)
    largest = max(parameter.grad.norm().item() for parameter in adapters.values())
    for name, gradient in zip(language, gradients, strict=True):
        theirs = adapters[torch_keys(name)[0]].grad.numpy()
        mine = gradient.numpy().T if is_transposed(name) else gradient.numpy()
        assert np.linalg.norm(mine - theirs) <= 1e-3 * np.linalg.norm(theirs) + 1e-6 * largest, name


def test_both_refuse_the_same(folder: Path, tmp_path: Path) -> None:
    held = reference_of(folder, "fra")._get_adapters()
    broken = {
        "less": {key: tensor for key, tensor in held.items() if key != "lm_head.bias"},
        "more": held | {"wav2vec2.masked_spec_embed": torch.zeros(32)},
    }
    for language, tensors in broken.items():
        safetensors_torch.save_file(tensors, tmp_path / f"adapter.{language}.safetensors")
    reference = transformers.Wav2Vec2ForCTC.from_pretrained(folder)
    model = ours.TFWav2Vec2ForCTC.from_pretrained(folder)
    reference.config._name_or_path = str(tmp_path)
    model.config.name_or_path = tmp_path
    for each in (reference, model):
        with pytest.raises(ValueError, match=r"missing.*lm_head\.bias|not this(.|\n)*missing: lm_head\.bias"):
            each.load_adapter("less")
        with pytest.raises(ValueError, match=r"(unexpected keys|not expected): wav2vec2\.masked_spec_embed"):
            each.load_adapter("more")
        with pytest.raises(OSError, match=r"adapter\.ita\.bin"):
            each.load_adapter("ita")
        each.config.adapter_attn_dim = None
        with pytest.raises(ValueError, match="adapter_attn_dim"):
            each.load_adapter("fra")


def test_the_references_new_beginning_keeps_the_adapters(folder: Path) -> None:
    """It says that it draws them anew, and draws the head alone: this package does what is said."""
    reference = transformers.Wav2Vec2ForCTC.from_pretrained(folder)
    model = ours.TFWav2Vec2ForCTC.from_pretrained(folder)
    before = tensors(model)
    reference.init_adapter_layers()
    model.init_adapter_layers()
    key = "wav2vec2.encoder.layers.0.adapter_layer.linear_1.weight"
    theirs = {key: tensor.detach().numpy() for key, tensor in reference._get_adapters().items()}
    for adapters, kept in ((theirs, True), (tensors(model), False)):
        assert np.array_equal(adapters[key], before[key]) is kept
        assert adapters["lm_head.weight"].std() == pytest.approx(0.02, rel=0.2)
        assert not adapters["lm_head.bias"].any()


@pytest.mark.parametrize("language", VOCABULARIES)
def test_processors_in_a_language(folder: Path, tmp_path: Path, language: str) -> None:
    """The reference made afresh: one that is switched, or opened in another language, keeps tokens of the first."""
    theirs = transformers.Wav2Vec2CTCTokenizer(folder / "vocab.json", target_lang=language)
    mine = ours.AutoProcessor.from_pretrained(folder, target_lang=language)
    switched = ours.AutoProcessor.from_pretrained(folder)
    switched.tokenizer.set_target_lang(language)
    switched.save_pretrained(tmp_path)
    text, frames = "schaboi ça éngl", list(range(3, len(VOCABULARIES[language])))
    for processor in (
        mine,
        switched,
        ours.AutoProcessor.from_pretrained(tmp_path),
        transformers.AutoProcessor.from_pretrained(tmp_path),
    ):
        assert processor.tokenizer.target_lang == language
        assert processor(text=text)["input_ids"] == theirs(text)["input_ids"]
        assert processor.decode(frames) == theirs.decode(frames)
    assert not hasattr(mine.feature_extractor, "target_lang")
