"""The classification heads against the reference, stage by stage, and what they refuse."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

import tfwav2vec2
from tests.backbone.conftest import GOLDENS, to_numpy
from tests.heads.family import CLASSIFIERS, FIELDS, SAMPLES, labels_for, padded_batch, tiny, training_batch
from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.heads.am_softmax import AMSoftmaxLoss
from tfwav2vec2.heads.sequence_classification import mean_of_valid
from tfwav2vec2.heads.tdnn import fewest_frames, pool_statistics, tdnn_lengths
from tfwav2vec2.training.cross_entropy import cross_entropy

FOLDERS = sorted((GOLDENS / "heads").iterdir())
TOLERANCE = 1e-5


class Golden:
    """One head in one variant: the model with the reference's weights and behaviour, and the reference's stages."""

    def __init__(self, folder: Any) -> None:
        self.head = folder.name.split("-")[0]
        # The reference takes its statistics over the padding; so does this model, for the comparison.
        self.model = getattr(tfwav2vec2, f"TFWav2Vec2{self.head}").from_pretrained(
            folder, feature_norm_mask=False
        )
        self.stages = dict(np.load(folder / "stages.npz"))

    def check(self, stage: str, value: Any) -> None:
        np.testing.assert_allclose(
            to_numpy(value), self.stages[stage], rtol=1e-5, atol=TOLERANCE, err_msg=stage
        )


@pytest.fixture(scope="module", params=FOLDERS, ids=lambda folder: folder.name)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


def test_each_part_of_the_head(golden: Golden) -> None:
    """Each part is given the reference's own input, so that an error in one does not show in the next."""
    stages, model = golden.stages, golden.model
    if golden.head == "ForXVector":
        x = stages["unpadded/projector"]
        for layer in model.tdnn:
            x = layer(x)
        pooled = pool_statistics(x, np.array([x.shape[1]] * len(x), "int32"))
        golden.check("unpadded/feature_extractor", model.feature_extractor(pooled))
        golden.check("unpadded/logits", model.classifier(stages["unpadded/embeddings"]))
    if golden.head == "ForSequenceClassification":
        projected = stages["padded/projector"]
        lengths = np.array([model.frame_lengths(int(row.sum())) for row in stages["attention_mask"]], "int32")
        golden.check("padded/logits", model.classifier(mean_of_valid(projected, lengths)))


@pytest.mark.parametrize("prefix", ["unpadded/", "padded/"])
def test_whole_model_with_loss(golden: Golden, prefix: str) -> None:
    stages = golden.stages
    mask = stages["attention_mask"] if prefix == "padded/" else None
    output = golden.model(stages["input_values"], attention_mask=mask, labels=stages["labels"])
    golden.check(f"{prefix}logits", output.logits)
    golden.check(f"{prefix}loss", output.loss)
    if golden.head == "ForXVector":
        golden.check(f"{prefix}embeddings", output.embeddings)
    else:
        assert "embeddings" not in output


def test_weighted_sum_returns_the_hidden_states_unasked(golden: Golden) -> None:
    output = golden.model(golden.stages["input_values"])
    assert (output.hidden_states is not None) == golden.model.config.use_weighted_layer_sum


def test_layer_weights_begin_equal_and_train() -> None:
    model = tiny("TFWav2Vec2ForSequenceClassification", use_weighted_layer_sum=True)
    fresh = type(model)(model.config)
    np.testing.assert_allclose(to_numpy(fresh.layer_weights), 1 / 3, rtol=1e-6)
    before = to_numpy(model.layer_weights).copy()
    model.compile("sgd", jit_compile=False)
    model.train_on_batch(training_batch(model))
    assert np.abs(to_numpy(model.layer_weights) - before).max() > 0


@pytest.mark.parametrize("name", CLASSIFIERS[:2])
def test_conv_adapter_is_refused_as_in_the_reference(name: str) -> None:
    with pytest.raises(ValueError, match="add_adapter"):
        getattr(tfwav2vec2, name)(Wav2Vec2Config(**FIELDS, add_adapter=True))


def test_conv_adapter_and_a_sum_of_layers_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="use_weighted_layer_sum or add_adapter"):
        tiny("TFWav2Vec2ForXVector", use_weighted_layer_sum=True, add_adapter=True)


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda labels: labels + 3, "hold the class 5, but config.num_labels is 3"),
        (lambda labels: labels[:2], "labels have the shape"),
        (lambda labels: labels.astype("float32"), "of the type float32"),
    ],
)
def test_labels_that_do_not_fit_are_refused(name: str, change: Any, message: str) -> None:
    model = tiny(name)
    labels = labels_for(name, model.frame_lengths(SAMPLES))
    with pytest.raises(ValueError, match=message):
        model(padded_batch(), labels=change(labels))


def test_frame_labels_one_hot_or_by_index() -> None:
    name = "TFWav2Vec2ForAudioFrameClassification"
    model = tiny(name)
    labels = labels_for(name, model.frame_lengths(SAMPLES))
    by_index = float(model(padded_batch(), labels=labels).loss)
    one_hot = np.eye(3, dtype="int32")[labels]
    assert float(model(padded_batch(), labels=one_hot).loss) == pytest.approx(by_index, rel=1e-6)
    with pytest.raises(ValueError, match=re.escape("(batch, frames, 3)")):
        model(padded_batch(), labels=one_hot[:, :, :2])


@pytest.mark.parametrize("mask", [True, False])
def test_frame_loss_counts_padding_only_in_the_reference_behaviour(mask: bool) -> None:
    name = "TFWav2Vec2ForAudioFrameClassification"
    model = tiny(name, feature_norm_mask=mask, feat_extract_norm="layer")
    labels = labels_for(name, model.frame_lengths(SAMPLES))
    other = labels.copy()
    other[1, model.frame_lengths(811) :] = (other[1, model.frame_lengths(811) :] + 1) % 3
    losses = [float(model(padded_batch(), labels=given).loss) for given in (labels, other)]
    assert (abs(losses[0] - losses[1]) < 1e-6) == mask


def test_clip_too_short_for_the_time_delay_layers_is_refused() -> None:
    model = tiny("TFWav2Vec2ForXVector")
    assert fewest_frames(model.config) == 15
    with pytest.raises(ValueError, match=r"has 14 frames; the time-delay layers need 15"):
        model(np.zeros((1, 450), "float32"))
    batch = padded_batch()
    batch["attention_mask"][2, 400:] = 0
    with pytest.raises(ValueError, match="A clip of 400 samples"):
        model(batch)
    # The shortest clip that is taken: one frame, which has no deviation.
    samples = next(size for size in range(450, 600) if model.frame_lengths(size) == 15)
    assert np.isfinite(to_numpy(model(np.ones((1, samples), "float32")).embeddings)).all()


@given(
    lengths=st.lists(st.integers(2, 9), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_statistics_are_those_of_the_valid_frames(lengths: list[int], seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((len(lengths), 9, 3)).astype("float32")
    x[:, :, 2] = 5.0  # a channel that does not vary
    pooled = to_numpy(
        pool_statistics(ops.convert_to_tensor(x), ops.convert_to_tensor(np.array(lengths, "int32")))
    )
    for row, length in enumerate(lengths):
        part = x[row, :length]
        np.testing.assert_allclose(pooled[row, :3], part.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(pooled[row, 3:], part.std(0, ddof=1), rtol=1e-4, atol=1e-5)


def test_tdnn_lengths_count_the_dilation_unless_the_reference_is_asked_for() -> None:
    config = Wav2Vec2Config(**FIELDS)
    assert tdnn_lengths(config, 100) == 100 - 4 - 4 - 6
    config.feature_norm_mask = False
    assert tdnn_lengths(config, 100) == 100 - 4 - 2 - 2


@given(seed=st.integers(0, 1000), ignored=st.integers(0, 3))
def test_cross_entropy_is_the_mean_over_what_counts(seed: int, ignored: int) -> None:
    rng = np.random.default_rng(seed)
    logits = 5 * rng.standard_normal((3, 4)).astype("float32")
    labels = rng.integers(0, 4, 3).astype("int32")
    labels[:ignored] = -100
    likelihood = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    counted = [-likelihood[row, label] for row, label in enumerate(labels) if label >= 0]
    expected = np.mean(counted) if counted else 0.0
    assert float(cross_entropy(logits, labels)) == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_am_softmax_lowers_the_right_speaker_by_the_margin() -> None:
    loss = AMSoftmaxLoss(2, 2)
    loss.weight.assign(np.array([[2.0, 0.0], [0.0, 3.0]]))  # directions of any length
    embedding = np.array([[4.0, 0.0]], "float32")
    expected = np.log1p(np.exp(30.0 * (0.0 - (1.0 - 0.4))))
    assert float(loss(embedding, np.array([0]))) == pytest.approx(expected, rel=1e-3, abs=1e-6)
    far = np.log1p(np.exp(30.0 * (1.0 - (0.0 - 0.4))))
    assert float(loss(embedding, np.array([1]))) == pytest.approx(far, rel=1e-5)
    assert np.isfinite(float(loss(np.zeros((1, 2), "float32"), np.array([0]))))
