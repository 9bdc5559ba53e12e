"""Padding, normalisation and masks. That the values equal the reference's is in test_processing_goldens.py."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwav2vec2 import BatchFeature, Wav2Vec2FeatureExtractor

RATE = 16_000

lengths = st.lists(st.integers(2, 60), min_size=1, max_size=4)
relaxed = settings(deadline=None)


def clips_of(lengths: list[int], dtype: str = "float32") -> list[np.ndarray]:
    rng = np.random.default_rng(sum(lengths))
    return [(1000 * rng.standard_normal(length) + 300).astype(dtype) for length in lengths]


def masked_extractor(**fields: object) -> Wav2Vec2FeatureExtractor:
    return Wav2Vec2FeatureExtractor(return_attention_mask=True, **fields)


@relaxed
@given(lengths, st.sampled_from(["left", "right"]), st.sampled_from([None, 16]), st.sampled_from([0.0, -3.0]))
def test_a_padded_batch_gives_what_single_clips_give(lengths, side, multiple, value) -> None:
    extractor = masked_extractor(padding_side=side, padding_value=value)
    clips = clips_of(lengths)
    batch = extractor(
        clips, sampling_rate=RATE, padding=True, pad_to_multiple_of=multiple, return_tensors="np"
    )
    assert batch.input_values.shape == batch.attention_mask.shape
    assert multiple is None or batch.input_values.shape[1] % multiple == 0
    for clip, values, mask in zip(clips, batch.input_values, batch.attention_mask.astype(bool), strict=True):
        single = extractor(clip, sampling_rate=RATE)["input_values"][0]
        np.testing.assert_array_equal(values[mask], single)
        assert (values[~mask] == value).all()
        assert (
            (np.diff(mask.astype(int)) <= 0).all()
            if side == "right"
            else (np.diff(mask.astype(int)) >= 0).all()
        )


@relaxed
@given(lengths)
def test_each_clip_has_zero_mean_and_unit_variance(lengths) -> None:
    for values in masked_extractor()(clips_of(lengths), sampling_rate=RATE)["input_values"]:
        assert abs(values.mean()) < 1e-5
        assert abs(values.var() - 1) < 1e-4


def test_audio_on_the_left_padded_side_is_never_wiped() -> None:
    clips = clips_of([3, 40])
    extractor = masked_extractor(padding_side="left", do_normalize=True)
    batch = extractor(clips, sampling_rate=RATE, padding=True, return_tensors="np")
    assert np.count_nonzero(batch.input_values[0]) == 3


def test_without_mask_padding_takes_part_in_the_statistics() -> None:
    clip = clips_of([5])[0]
    extractor = Wav2Vec2FeatureExtractor()
    padded = extractor(clip, sampling_rate=RATE, padding="max_length", max_length=10, return_tensors="np")
    assert "attention_mask" not in padded
    raw = np.pad(clip, (0, 5))
    np.testing.assert_allclose(padded.input_values[0], (raw - raw.mean()) / raw.std(), rtol=1e-5)


def test_clips_are_cut_before_they_are_normalised() -> None:
    clip = np.concatenate([clips_of([10])[0], np.full(10, 1e6, np.float32)])
    cut = masked_extractor()(clip, sampling_rate=RATE, truncation=True, max_length=10)["input_values"][0]
    np.testing.assert_array_equal(cut, masked_extractor()(clip[:10], sampling_rate=RATE)["input_values"][0])


def test_cutting_follows_the_multiple() -> None:
    clip = clips_of([30])[0]
    cut = masked_extractor()(clip, sampling_rate=RATE, truncation=True, max_length=10, pad_to_multiple_of=8)
    assert len(cut["input_values"][0]) == len(cut["attention_mask"][0]) == 16


@pytest.mark.parametrize(
    ("given_dtype", "normalised", "raw"),
    [
        ("float64", "float32", "float32"),
        ("float32", "float32", "float32"),
        ("float16", "float16", "float16"),
        ("int16", "float64", "int16"),
    ],
)
def test_dtypes_are_the_references(given_dtype: str, normalised: str, raw: str) -> None:
    clip = np.arange(1, 9).astype(given_dtype)
    assert Wav2Vec2FeatureExtractor()(clip, sampling_rate=RATE)["input_values"][0].dtype == normalised
    plain = Wav2Vec2FeatureExtractor(do_normalize=False)
    assert plain(clip, sampling_rate=RATE, return_tensors="np")["input_values"].dtype == raw


def test_a_constant_clip_stays_finite() -> None:
    values = masked_extractor()(np.full(100, 0.5, np.float32), sampling_rate=RATE)["input_values"][0]
    np.testing.assert_array_equal(values, 0)


@pytest.mark.parametrize("kind", ["np", "tf", "jax"])
def test_tensors_of_each_framework_come_out_and_go_in(kind: str) -> None:
    extractor = masked_extractor()
    clips = clips_of([5, 9])
    batch = extractor(clips, sampling_rate=RATE, padding=True, return_tensors=kind)
    assert isinstance(batch, BatchFeature)
    expected = extractor(clips, sampling_rate=RATE, padding=True, return_tensors="np")
    for name in ("input_values", "attention_mask"):
        np.testing.assert_array_equal(np.asarray(batch[name]), expected[name])
        assert np.asarray(batch[name]).dtype == {"input_values": "float32", "attention_mask": "int32"}[name]
    plain = Wav2Vec2FeatureExtractor(do_normalize=False)
    for tensors in (batch.input_values, list(batch.input_values)):
        again = plain(tensors, sampling_rate=RATE, return_tensors="np").input_values
        np.testing.assert_array_equal(again, expected.input_values)
    repadded = extractor.pad({"input_values": batch.input_values}, padding="max_length", max_length=12)
    assert type(repadded.input_values) is type(batch.input_values)


def test_the_callers_audio_is_left_alone() -> None:
    clips = clips_of([4, 7])
    copies = [clip.copy() for clip in clips]
    examples = [{"input_values": clip} for clip in clips]
    masked_extractor()(clips, sampling_rate=RATE, padding=True)
    masked_extractor().pad(examples)
    for clip, copy, example in zip(clips, copies, examples, strict=True):
        np.testing.assert_array_equal(clip, copy)
        assert list(example) == ["input_values"]


def test_padding_of_prepared_clips_carries_other_fields() -> None:
    examples = [{"input_values": [0.5, 1.0], "speaker": [3]}, {"input_values": [1.0], "speaker": [4]}]
    batch = masked_extractor().pad(examples)
    assert batch.input_values.tolist() == [[0.5, 1.0], [1.0, 0.0]]
    assert batch.attention_mask.tolist() == [[1, 1], [1, 0]]
    assert batch.speaker.tolist() == [[3], [4]]


class TestBadAudio:
    @pytest.mark.parametrize(
        ("audio", "error", "message"),
        [
            (np.zeros(0), ValueError, "The audio is empty"),
            ([], ValueError, "The audio is empty"),
            ([[0.1], []], ValueError, "Clip 1 of the batch is empty"),
            (np.zeros((0, 5)), ValueError, "empty batch"),
            (np.array([0.1, np.nan]), ValueError, "The audio holds NaN or infinite"),
            ([np.zeros(3), np.array([np.inf])], ValueError, "Clip 1 of the batch holds NaN or infinite"),
            (np.zeros((1, 2, 3)), ValueError, r"shape \(1, 2, 3\); it must be mono"),
            ([np.zeros((2, 3))], ValueError, r"Clip 0 of the batch has the shape \(2, 3\)"),
            (np.array(1.0), ValueError, r"shape \(\)"),
            ([0.1, [0.2]], ValueError, "flat list of numbers"),
            (["a"], TypeError, "must be numbers"),
            ([None, 1.0], TypeError, "must be numbers"),
            ("clip.wav", TypeError, "load_audio"),
            (b"RIFF", TypeError, "load_audio"),
        ],
    )
    def test_gives_one_clear_error(self, audio, error, message) -> None:
        for padding in (False, True):
            with pytest.raises(error, match=message):
                masked_extractor()(audio, sampling_rate=RATE, padding=padding)

    def test_another_rate_is_refused_with_the_remedy(self) -> None:
        with pytest.raises(ValueError, match=r"8000 Hz.*trained on 16000 Hz.*load_audio"):
            masked_extractor()(np.zeros(5), sampling_rate=8000)

    def test_no_rate_is_logged(self, caplog) -> None:
        with caplog.at_level(logging.WARNING, logger="tfwav2vec2"):
            masked_extractor()(np.ones(5), sampling_rate=RATE)
            assert not caplog.records
            masked_extractor()(np.ones(5), smapling_rate=RATE)
        assert "No sampling_rate was given" in caplog.text
        assert "no arguments named smapling_rate" in caplog.text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"padding": "max_length"}, "needs max_length"),
        ({"truncation": True}, "needs max_length"),
        ({"padding": "sometimes"}, "padding is 'sometimes'"),
        ({"return_tensors": "xx"}, "return_tensors is 'xx'"),
        ({"return_tensors": "tf"}, "differ in length"),
    ],
)
def test_bad_options_are_named(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        masked_extractor()(clips_of([3, 5]), sampling_rate=RATE, **options)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"padding_side": "top"}, "padding_side"), ({"padding_value": None}, "padding_value")],
)
def test_bad_fields_are_named(fields, message) -> None:
    with pytest.raises(ValueError, match=message):
        Wav2Vec2FeatureExtractor(**fields)(clips_of([3, 5]), sampling_rate=RATE, padding=True)


@pytest.mark.parametrize("rate", [0, -1, None, "16000"])
def test_a_rate_that_is_none_is_refused(rate) -> None:
    with pytest.raises(ValueError, match="sampling_rate must be a rate in Hz"):
        Wav2Vec2FeatureExtractor(sampling_rate=rate)


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        ({"values": [[1.0]]}, ValueError, "needs a field input_values"),
        ({"input_values": [1.0, 2.0]}, ValueError, "takes a batch"),
        ({"input_values": [[1.0]], "labels": [1, 2]}, ValueError, "same number of rows"),
        ([1.0], TypeError, "list of dictionaries"),
    ],
)
def test_what_cannot_be_padded_is_refused(features, error, message) -> None:
    with pytest.raises(error, match=message):
        masked_extractor().pad(features)


class TestFiles:
    def test_saving_and_loading_changes_nothing(self, tmp_path) -> None:
        extractor = masked_extractor(
            padding_value=0.5, padding_side="left", unknown={"kept": [1]}, processor_class="P"
        )
        assert extractor.save_pretrained(tmp_path) == [str(tmp_path / "preprocessor_config.json")]
        again = Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)
        assert again.to_dict() == extractor.to_dict()
        assert again.unknown == {"kept": [1]}
        assert repr(again) == repr(extractor)
        assert (
            Wav2Vec2FeatureExtractor.from_json_file(tmp_path / "preprocessor_config.json").to_dict()
            == again.to_dict()
        )

    def test_a_processor_file_of_transformers_5_is_read(self, tmp_path) -> None:
        fields = {"feature_extractor": {"padding_value": 0.5}, "processor_class": "Wav2Vec2Processor"}
        (tmp_path / "processor_config.json").write_text(json.dumps(fields))
        assert Wav2Vec2FeatureExtractor.from_pretrained(tmp_path).padding_value == 0.5

    def test_a_processor_file_that_is_there_is_brought_up_to_date(self, tmp_path) -> None:
        path = tmp_path / "processor_config.json"
        path.write_text(json.dumps({"feature_extractor": {"padding_value": 0.5}, "other": 1}))
        Wav2Vec2FeatureExtractor(padding_value=2.0).save_pretrained(tmp_path)
        content = json.loads(path.read_text())
        assert (content["feature_extractor"]["padding_value"], content["other"]) == (2.0, 1)

    def test_keywords_take_precedence(self, tmp_path) -> None:
        masked_extractor(unknown=1).save_pretrained(tmp_path)
        extractor, unused = Wav2Vec2FeatureExtractor.from_pretrained(
            tmp_path, do_normalize=False, unknown=2, target_lang="x", return_unused_kwargs=True
        )
        assert (extractor.do_normalize, extractor.unknown, unused) == (False, 2, {"target_lang": "x"})

    def test_a_folder_without_the_file_is_refused(self, tmp_path) -> None:
        with pytest.raises(FileNotFoundError, match=r"holds no preprocessor_config\.json"):
            Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)

    def test_another_kind_is_refused(self, tmp_path) -> None:
        (tmp_path / "preprocessor_config.json").write_text(
            '{"feature_extractor_type": "WhisperFeatureExtractor"}'
        )
        with pytest.raises(
            ValueError, match=r"preprocessor_config\.json describes a WhisperFeatureExtractor"
        ):
            Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"a": nope}'])
    def test_a_damaged_file_is_refused(self, tmp_path, text: str) -> None:
        (tmp_path / "preprocessor_config.json").write_text(text)
        with pytest.raises(OSError, match=r"preprocessor_config\.json"):
            Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(["pad", "save_pretrained", "__call__", "__class__", "zero_mean_unit_var_norm"]))
    def test_a_file_cannot_replace_a_method(self, tmp_path, name: str) -> None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps({name: 1}))
        with pytest.raises(ValueError, match=r"preprocessor_config\.json: .* is a method"):
            Wav2Vec2FeatureExtractor.from_pretrained(tmp_path)
