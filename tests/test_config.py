"""The configuration. That its file equals the reference's is in test_processing_goldens.py."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.config_fields import WAV2VEC2_DEFAULTS

names = st.text(alphabet="abcdefgh_", min_size=1, max_size=8).map(lambda name: f"x_{name}")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TINY = {"hidden_size": 16, "num_attention_heads": 2, "num_conv_pos_embedding_groups": 4}


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(names, values, max_size=5), st.integers(1, 5), st.booleans())
def test_unknown_keys_survive(tmp_path, unknown: dict, labels: int, flag: bool) -> None:
    config = Wav2Vec2Config(**TINY, **unknown, num_labels=labels, feature_norm_mask=flag)
    config.save_pretrained(tmp_path)
    again = Wav2Vec2Config.from_pretrained(tmp_path)
    assert again.to_diff_dict() == config.to_diff_dict()
    assert {name: getattr(again, name) for name in unknown} == unknown
    assert (again.num_labels, again.feature_norm_mask) == (labels, flag)
    assert Wav2Vec2Config.from_dict(again.to_dict()) == again


def test_every_field_has_its_default_and_place() -> None:
    config = Wav2Vec2Config()
    for name, default in WAV2VEC2_DEFAULTS.items():
        assert getattr(config, name) == (768 if name == "output_hidden_size" else default)
    assert list(inspect.signature(Wav2Vec2Config).parameters)[:3] == [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
    ]
    assert Wav2Vec2Config(40, 96, num_hidden_layers=3).to_dict()["hidden_size"] == 96
    assert config.inputs_to_logits_ratio == 320
    assert config.num_feat_extract_layers == 7


def test_defaults_are_not_shared() -> None:
    Wav2Vec2Config().conv_dim.append(1)
    assert len(Wav2Vec2Config().conv_dim) == 7


def test_copies_are_equal() -> None:
    config = Wav2Vec2Config(**TINY, extra=[1], name_or_path="somewhere")
    assert copy.deepcopy(config) == pickle.loads(pickle.dumps(config)) == config
    assert config != Wav2Vec2Config(**TINY)
    assert config.name_or_path == "somewhere"
    assert "name_or_path" not in config.to_json_string()


class TestLabels:
    def test_two_by_default_and_not_written(self) -> None:
        config = Wav2Vec2Config()
        assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
        assert "id2label" not in config.to_diff_dict()

    def test_their_number_can_be_set(self) -> None:
        config = Wav2Vec2Config(num_labels=3)
        assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
        config.num_labels = 2
        assert config.num_labels == len(config.label2id) == 2

    def test_their_names_give_the_way_back(self) -> None:
        config = Wav2Vec2Config(id2label={"0": "no", "1": "yes", "2": "maybe"})
        assert config.id2label[2] == "maybe"
        assert config.label2id == {"no": 0, "yes": 1, "maybe": 2}

    def test_names_count_more_than_their_number(self, caplog) -> None:
        assert Wav2Vec2Config(id2label={0: "no"}, num_labels=5).num_labels == 1
        assert "contradicts" in caplog.text
        with pytest.raises(ValueError, match="contradicts"):
            Wav2Vec2Config.from_dict({}, id2label={0: "no"}, num_labels=5)

    def test_overrides_keep_both_ways_together(self) -> None:
        config = Wav2Vec2Config.from_dict({}, id2label={0: "no", 1: "yes", 2: "maybe"})
        assert config.label2id["maybe"] == 2
        assert Wav2Vec2Config.from_dict({"id2label": {"0": "no"}}, num_labels=2).id2label[1] == "LABEL_1"


class TestOverrides:
    def test_fields_are_set_and_the_rest_is_handed_back(self) -> None:
        config, unused = Wav2Vec2Config.from_dict(
            {"extra": 1}, vocab_size=40, extra=2, nonsense=3, return_unused_kwargs=True
        )
        assert (config.vocab_size, config.extra, unused) == (40, 2, {"nonsense": 3})

    def test_what_is_no_field_is_mentioned(self, caplog) -> None:
        config = Wav2Vec2Config.from_dict({}, nonsense=3)
        assert not hasattr(config, "nonsense")
        assert "nonsense" in caplog.text

    def test_several_at_once(self) -> None:
        config = Wav2Vec2Config()
        config.update({"conv_bias": True, "new": 1, "model_type": "x", "num_feat_extract_layers": 3})
        assert (config.conv_bias, config.new, config.model_type, config.num_feat_extract_layers) == (
            True,
            1,
            "wav2vec2",
            7,
        )

    def test_they_are_checked(self) -> None:
        with pytest.raises(TypeError, match="vocab_size must be an integer"):
            Wav2Vec2Config.from_dict({}, vocab_size="x")


def test_return_dict() -> None:
    assert Wav2Vec2Config().use_return_dict
    assert not Wav2Vec2Config(return_dict=False).use_return_dict
    assert not Wav2Vec2Config(torchscript=True).use_return_dict


@pytest.mark.parametrize("dtype", ["float16", np.float16, np.dtype("float16")])
def test_dtypes_are_kept_by_name(dtype) -> None:
    assert Wav2Vec2Config(torch_dtype=dtype).dtype == Wav2Vec2Config(dtype=dtype).dtype == "float16"


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"conv_dim": (512,)}, ValueError, "one entry for each convolution"),
        ({"conv_dim": (), "conv_stride": (), "conv_kernel": ()}, ValueError, "one entry for each"),
        ({"conv_dim": 512}, TypeError, "conv_dim must be a list of integers"),
        ({"tdnn_dim": ["a"]}, TypeError, "tdnn_dim must be a list of integers"),
        ({"hidden_size": "768"}, TypeError, "hidden_size must be an integer; got '768'"),
        ({"layer_norm_eps": None}, TypeError, "layer_norm_eps must be a number"),
        ({"hidden_act": 3}, TypeError, "hidden_act must be a string"),
        ({"conv_bias": "no"}, TypeError, "conv_bias must be a boolean"),
        ({"feat_extract_norm": "batch"}, ValueError, "must be 'group' or 'layer'"),
        ({"num_attention_heads": 7}, ValueError, "multiple of num_attention_heads 7"),
        ({"num_attention_heads": 0}, ValueError, "multiple of num_attention_heads 0"),
        ({"num_conv_pos_embedding_groups": 7}, ValueError, "multiple of num_conv_pos_embedding_groups"),
        ({"problem_type": "guessing"}, ValueError, "problem_type is 'guessing'"),
        ({"id2label": ["a"]}, TypeError, "id2label must be a dictionary"),
        ({"to_dict": 1}, ValueError, "is a method"),
        ({"__class__": 1}, ValueError, "is a method"),
    ],
)  # fmt: skip
def test_bad_fields_are_named(tmp_path, fields, error, message) -> None:
    with pytest.raises(error, match=message):
        Wav2Vec2Config(**fields)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(error, match=rf"config\.json: .*{message}"):
        Wav2Vec2Config.from_pretrained(tmp_path)


def test_positions_are_checked() -> None:
    with pytest.raises(TypeError, match="at most"):
        Wav2Vec2Config(*range(100))
    with pytest.raises(TypeError, match="vocab_size both by position and by name"):
        Wav2Vec2Config(32, vocab_size=32)


class TestFiles:
    def test_another_model_is_refused(self, tmp_path) -> None:
        (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
        with pytest.raises(ValueError, match=r"config\.json: .*'hubert'.*'wav2vec2' only"):
            Wav2Vec2Config.from_pretrained(tmp_path)

    def test_a_folder_without_configuration_is_refused(self, tmp_path) -> None:
        with pytest.raises(FileNotFoundError, match=r"holds no config\.json"):
            Wav2Vec2Config.from_pretrained(tmp_path)

    def test_one_file(self, tmp_path) -> None:
        config = Wav2Vec2Config(**TINY, extra=1)
        config.to_json_file(tmp_path / "a.json", use_diff=False)
        assert Wav2Vec2Config.from_json_file(tmp_path / "a.json") == config
        assert json.loads(config.to_json_string(use_diff=False))["return_dict"] is True

    def test_a_failed_save_leaves_the_old_file(self, tmp_path) -> None:
        Wav2Vec2Config(**TINY).save_pretrained(tmp_path)
        with pytest.raises(TypeError, match="not JSON serializable"):
            Wav2Vec2Config(extra=object()).save_pretrained(tmp_path)
        assert Wav2Vec2Config.from_pretrained(tmp_path).hidden_size == 16
        assert [path.name for path in tmp_path.iterdir()] == ["config.json"]

    @settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        st.dictionaries(
            st.sampled_from([*WAV2VEC2_DEFAULTS, "id2label", "label2id", "dtype", "num_labels"]),
            values,
            max_size=3,
        )
    )
    def test_hostile_fields_give_one_clear_error(self, tmp_path, fields) -> None:
        (tmp_path / "config.json").write_text(json.dumps(fields))
        try:
            message = Wav2Vec2Config.from_pretrained(tmp_path).name_or_path
        except (TypeError, ValueError) as error:
            message = str(error)
        assert str(tmp_path) in message
