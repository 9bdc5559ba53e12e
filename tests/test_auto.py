from __future__ import annotations

import json

import pytest

from tests.test_processor import make_processor
from tfwav2vec2 import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForCTC,
    AutoProcessor,
    AutoTokenizer,
    TFAutoModel,
    TFAutoModelForCTC,
    Wav2Vec2Config,
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8, 8),
    "conv_stride": (5, 2),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}
PROCESSING = {
    AutoConfig: Wav2Vec2Config,
    AutoFeatureExtractor: Wav2Vec2FeatureExtractor,
    AutoTokenizer: Wav2Vec2CTCTokenizer,
    AutoProcessor: Wav2Vec2Processor,
}
MODELS = (AutoModel, AutoModelForCTC, TFAutoModel, TFAutoModelForCTC)


@pytest.fixture
def folder(tmp_path):
    make_processor(tmp_path).save_pretrained(tmp_path)
    Wav2Vec2Config(**TINY).save_pretrained(tmp_path)
    return tmp_path


def rewrite(path, **changes) -> None:
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


@pytest.mark.parametrize("door", PROCESSING)
def test_doors_lead_to_the_classes(folder, door) -> None:
    assert type(door.from_pretrained(folder)) is PROCESSING[door]


def test_options_reach_the_class(folder) -> None:
    assert AutoConfig.from_pretrained(folder, vocab_size=40).vocab_size == 40
    assert AutoTokenizer.from_pretrained(folder, do_lower_case=True).do_lower_case
    _, unused = AutoConfig.from_pretrained(folder, nonsense=1, return_unused_kwargs=True)
    assert unused == {"nonsense": 1}


def test_model_doors_lead_to_the_models() -> None:
    config = Wav2Vec2Config(**TINY)
    assert type(AutoModel.from_config(config)).__name__ == "TFWav2Vec2Model"
    assert type(AutoModelForCTC.from_config(config)).__name__ == "TFWav2Vec2ForCTC"
    assert (TFAutoModel, TFAutoModelForCTC) == (AutoModel, AutoModelForCTC)


def test_a_model_comes_back_through_its_door(tmp_path) -> None:
    AutoModelForCTC.from_config(Wav2Vec2Config(**TINY)).save_pretrained(tmp_path)
    assert type(AutoModelForCTC.from_pretrained(tmp_path)).__name__ == "TFWav2Vec2ForCTC"


@pytest.mark.parametrize("door", [AutoConfig, *MODELS])
def test_models_of_another_type_are_refused(folder, door) -> None:
    rewrite(folder / "config.json", model_type="hubert")
    with pytest.raises(
        ValueError, match=r"config\.json is for a model of type 'hubert'; this package opens 'wav2vec2'"
    ):
        door.from_pretrained(folder)


def test_files_without_a_type_are_told_by_their_architecture(folder) -> None:
    rewrite(folder / "config.json", model_type=None, architectures=["Wav2Vec2ForCTC"])
    assert type(AutoConfig.from_pretrained(folder)) is Wav2Vec2Config
    rewrite(folder / "config.json", architectures=["Wav2Vec2ConformerForCTC"])
    with pytest.raises(ValueError, match=r"\['Wav2Vec2ConformerForCTC'\]"):
        AutoConfig.from_pretrained(folder)
    rewrite(folder / "config.json", architectures=None)
    with pytest.raises(ValueError, match="model of type None"):
        AutoModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("door", "file", "key", "name"),
    [
        (AutoTokenizer, "tokenizer_config.json", "tokenizer_class", "Wav2Vec2PhonemeCTCTokenizer"),
        (
            AutoFeatureExtractor,
            "preprocessor_config.json",
            "feature_extractor_type",
            "WhisperFeatureExtractor",
        ),
        (AutoProcessor, "preprocessor_config.json", "processor_class", "WhisperProcessor"),
    ],
)
def test_other_classes_are_refused(folder, door, file, key, name) -> None:
    rewrite(folder / file, **{key: name})
    with pytest.raises(ValueError, match=rf"{file} names the class {name}, which this package does not have"):
        door.from_pretrained(folder)


def test_old_names_of_the_tokenizer_are_known(folder) -> None:
    rewrite(folder / "tokenizer_config.json", tokenizer_class="Wav2Vec2Tokenizer")
    assert type(AutoTokenizer.from_pretrained(folder)) is Wav2Vec2CTCTokenizer


@pytest.mark.parametrize("door", [AutoFeatureExtractor, AutoTokenizer, AutoProcessor])
def test_files_that_name_no_class_are_told_by_the_configuration(folder, door) -> None:
    for file, key in (
        ("preprocessor_config.json", "feature_extractor_type"),
        ("preprocessor_config.json", "processor_class"),
        ("tokenizer_config.json", "tokenizer_class"),
        ("tokenizer_config.json", "processor_class"),
    ):
        rewrite(folder / file, **{key: None})
    assert type(door.from_pretrained(folder)) is PROCESSING[door]
    rewrite(folder / "config.json", model_type="whisper")
    with pytest.raises(ValueError, match="'whisper'"):
        door.from_pretrained(folder)
    (folder / "config.json").unlink()
    assert type(door.from_pretrained(folder)) is PROCESSING[door]


@pytest.mark.parametrize("door", [*PROCESSING, *MODELS])
def test_an_empty_folder_is_refused(tmp_path, door) -> None:
    with pytest.raises(FileNotFoundError, match="holds no"):
        door.from_pretrained(tmp_path)


@pytest.mark.parametrize("door", [*PROCESSING, *MODELS])
def test_doors_are_not_made(door) -> None:
    with pytest.raises(TypeError, match="cannot be made; use"):
        door()
