"""A padded batch gives what single clips give, whatever fills the padding."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backbone.conftest import to_numpy
from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
from tfwav2vec2.backbone.lengths import frame_lengths, shortest_clip

TOLERANCE = 1e-5
VARIANTS = {
    "group": {},
    "layer": {"feat_extract_norm": "layer", "conv_bias": True},
    "stable": {"do_stable_layer_norm": True},
    "conv_adapter": {"add_adapter": True, "num_adapter_layers": 2, "output_hidden_size": 12},
    "unmasked_layer": {"feat_extract_norm": "layer", "feature_norm_mask": False},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("filling", [0.0, np.nan, np.inf, -np.inf, 1e30])
def test_batch_equals_single_clips(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], variant: str, filling: float
) -> None:
    model = tiny_model(**VARIANTS[variant]).configure_call(jit_compile=False)
    if variant == "unmasked_layer" and not np.isfinite(filling):
        pytest.skip("feature_norm_mask=False is the reference's behaviour, which reads the padding")
    rng = np.random.default_rng(1)
    lengths = [900, 611, 317, 900]
    mask = (np.arange(900)[None] < np.array(lengths)[:, None]).astype("int32")
    batch = np.where(mask, rng.standard_normal((4, 900)), filling).astype("float32")
    padded = model(batch, attention_mask=mask)
    assert np.isfinite(to_numpy(padded.logits)).all()
    for row, length in enumerate(lengths):
        alone = to_numpy(model(batch[row : row + 1, :length]).logits)[0]
        frames = int(padded.frame_lengths[row])
        assert frames == len(alone) == model.frame_lengths(length)
        np.testing.assert_allclose(to_numpy(padded.logits)[row, :frames], alone, rtol=0, atol=TOLERANCE)


def test_reference_behaviour_can_be_asked_for(tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    """With feature_norm_mask=False the group norm reads the padding, as the reference's does."""
    waveform = np.random.default_rng(2).standard_normal((1, 600)).astype("float32")
    padded = np.pad(waveform, [(0, 0), (0, 300)])
    mask = np.pad(np.ones_like(waveform), [(0, 0), (0, 300)])
    ours, reference = tiny_model(), tiny_model(feature_norm_mask=False)
    frames = ours.frame_lengths(600)
    alone = to_numpy(ours(waveform).logits)
    assert np.abs(to_numpy(ours(padded, mask).logits)[:, :frames] - alone).max() < TOLERANCE
    assert np.abs(to_numpy(reference(padded, mask).logits)[:, :frames] - alone).max() > 1e-3


def test_row_without_a_frame_is_finite_and_counts_no_frames(
    tiny_model: Callable[..., TFWav2Vec2ForCTC],
) -> None:
    model = tiny_model()
    mask = np.zeros((2, 400), "int32")
    mask[0] = 1
    mask[1, : shortest_clip(model.config) - 1] = 1
    output = model(np.ones((2, 400), "float32"), attention_mask=mask)
    assert to_numpy(output.frame_lengths).tolist() == [model.frame_lengths(400), 0]
    assert np.isfinite(to_numpy(output.logits)).all()


@given(st.integers(0, 40_000))
@settings(deadline=None)
def test_frame_lengths_count_whole_windows(samples: int) -> None:
    config = Wav2Vec2Config()
    frames = frame_lengths(config, samples)
    # With the usual convolutions a frame sees 400 samples and moves by 320.
    assert frames == max((samples - 400) // 320 + 1, 0)
    assert shortest_clip(config) == 400


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"input_values": np.zeros((1, 30), "float32")}, "shorter than one frame"),
        ({"input_values": np.zeros(500, "float32")}, r"must be \(batch, samples\)"),
        (
            {"input_values": np.zeros((1, 500), "float32"), "attention_mask": np.ones((1, 400), "int32")},
            "must be the same",
        ),
        (
            {"input_values": np.zeros((1, 500), "float32"), "attention_mask": np.arange(500)[None] > 100},
            "padding must stand at the end",
        ),
        ({"input_values": np.zeros((1, 500), "float32"), "input_ids": np.zeros((1, 5))}, "input_ids"),
    ],
)
def test_bad_input_is_refused(
    tiny_model: Callable[..., TFWav2Vec2ForCTC], inputs: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_model()(inputs)
