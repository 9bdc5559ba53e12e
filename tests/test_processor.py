from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tfwav2vec2 import (
    Wav2Vec2CTCTokenizer,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Processor,
)

RATE = 16_000
VOCABULARY = {t: i for i, t in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGH"])}
CLIPS = [np.linspace(-1, 1, 7, dtype=np.float32), np.linspace(0, 1, 4, dtype=np.float32)]


def make_processor(folder: Path, **fields: object) -> Wav2Vec2Processor:
    path = folder / "vocab.json"
    path.write_text(json.dumps(VOCABULARY))
    return Wav2Vec2Processor(
        Wav2Vec2FeatureExtractor(return_attention_mask=True), Wav2Vec2CTCTokenizer(path, **fields)
    )


@pytest.fixture
def processor(tmp_path) -> Wav2Vec2Processor:
    return make_processor(tmp_path)


def test_audio_goes_to_the_feature_extractor(processor) -> None:
    expected = processor.feature_extractor(CLIPS, sampling_rate=RATE, padding=True, return_tensors="np")
    for out in (
        processor(CLIPS, sampling_rate=RATE, padding=True, return_tensors="np"),
        processor(audio=CLIPS, sampling_rate=RATE, padding=True, return_tensors="np"),
        processor(raw_speech=CLIPS, sampling_rate=RATE, padding=True, return_tensors="np"),
        processor(CLIPS, audio_kwargs={"sampling_rate": RATE, "padding": True}, return_tensors="np"),
    ):
        assert list(out) == ["input_values", "attention_mask"]
        np.testing.assert_array_equal(out.input_values, expected.input_values)


def test_text_goes_to_the_tokenizer(processor) -> None:
    out = processor(text=["AB", "C"], padding=True, return_tensors="np")
    assert list(out) == ["input_ids", "attention_mask"]
    assert out.input_ids.tolist() == [[5, 6], [7, 0]]


@pytest.mark.parametrize("kind", ["np", "tf", "jax"])
def test_both_give_inputs_with_labels(processor, kind: str) -> None:
    out = processor(CLIPS, text=["AB", "C"], sampling_rate=RATE, padding=True, return_tensors=kind)
    assert list(out) == ["input_values", "attention_mask", "labels"]
    assert np.asarray(out.labels).tolist() == [[5, 6], [7, 0]]
    assert out.attention_mask.shape == (2, 7)


def test_each_end_can_have_arguments_of_its_own(processor) -> None:
    out = processor(
        CLIPS,
        text=["AB", "C"],
        audio_kwargs={"sampling_rate": RATE, "padding": "max_length", "max_length": 9},
        text_kwargs={"padding": "max_length", "max_length": 3},
        common_kwargs={"return_tensors": "np"},
    )
    assert (out.input_values.shape, out.labels.shape) == ((2, 9), (2, 3))


def test_the_tokenizers_file_gives_the_defaults_as_in_the_reference(tmp_path) -> None:
    processor = make_processor(tmp_path, return_attention_mask=False)
    assert list(processor(CLIPS[0], sampling_rate=RATE)) == ["input_values"]
    assert list(processor(CLIPS[0], sampling_rate=RATE, return_attention_mask=True)) == [
        "input_values",
        "attention_mask",
    ]


def test_bad_calls_are_named(processor, caplog) -> None:
    with pytest.raises(ValueError, match="give audio or text"):
        processor()
    with pytest.raises(ValueError, match="padding came both by itself and inside"):
        processor(CLIPS, padding=True, audio_kwargs={"padding": True}, sampling_rate=RATE)
    processor(text="A", pading=True)
    assert "no arguments named pading" in caplog.text


def test_padding_of_prepared_examples(processor) -> None:
    features = [{"input_values": clip} for clip in CLIPS]
    labels = [{"input_ids": [5, 6]}, {"input_ids": [7]}]
    both = processor.pad(features, labels=labels, return_tensors="np")
    assert both.input_values.shape == (2, 7)
    assert both.labels.tolist() == [[5, 6], [7, 0]]
    assert list(processor.pad(input_features=features)) == ["input_values", "attention_mask"]
    assert list(processor.pad(labels=labels)) == ["input_ids", "attention_mask"]
    assert processor.pad() is None


def test_decoding_is_the_tokenizers(processor) -> None:
    assert processor.decode([5, 5, 0, 5]) == "AA"
    assert processor.batch_decode([[5], [6]], output_word_offsets=True).text == ["A", "B"]


def test_names_of_the_models_inputs(processor) -> None:
    assert processor.model_input_names == ["input_values", "attention_mask", "labels"]


@pytest.mark.filterwarnings("ignore:as_target_processor is deprecated")
def test_target_mode_still_works(processor) -> None:
    with processor.as_target_processor():
        assert processor(["AB"], return_tensors="np").input_ids.tolist() == [[5, 6]]
        assert processor.pad({"input_ids": [[5], [6, 7]]})["input_ids"] == [[5, 0], [6, 7]]
    assert processor.current_processor is processor.feature_extractor


def test_target_mode_ends_after_an_error(processor) -> None:
    def fail() -> None:
        with processor.as_target_processor():
            raise KeyError

    with pytest.warns(FutureWarning, match="as_target_processor is deprecated"), pytest.raises(KeyError):
        fail()
    assert processor.current_processor is processor.feature_extractor


def test_saving_and_loading_changes_nothing(processor, tmp_path) -> None:
    folder = tmp_path / "saved"
    names = {Path(path).name for path in processor.save_pretrained(folder)}
    assert names == {path.name for path in folder.iterdir()}
    assert names == {
        "preprocessor_config.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.json",
    }
    for name in ("preprocessor_config.json", "tokenizer_config.json"):
        assert json.loads((folder / name).read_text())["processor_class"] == "Wav2Vec2Processor"
    again = Wav2Vec2Processor.from_pretrained(folder)
    assert again.feature_extractor.to_dict() == processor.feature_extractor.to_dict()
    assert again.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert "feature_extractor" in repr(again)


def test_fields_reach_the_end_that_has_them(processor, tmp_path) -> None:
    processor.save_pretrained(tmp_path)
    again = Wav2Vec2Processor.from_pretrained(tmp_path, do_normalize=False, pad_token="A")
    assert again.feature_extractor.do_normalize is False
    assert again.tokenizer.pad_token_id == 5


def test_other_objects_are_refused(processor) -> None:
    with pytest.raises(TypeError, match="feature_extractor must be"):
        Wav2Vec2Processor(processor.tokenizer, processor.tokenizer)
    with pytest.raises(TypeError, match="tokenizer must be"):
        Wav2Vec2Processor(processor.feature_extractor, None)
