"""The CTC model against the reference at the published sizes: logits, hidden states, loss, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tests.gradients import output_and_gradients
from tests.parity.conftest import Pair, make_pair, torch
from tests.parity.gradients import share_of_allowed
from tests.parity.matrix import LOSS_LIMIT

pytestmark = pytest.mark.large

LOGITS = 1e-4

SIZES: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "conv_bias": True,
        "do_stable_layer_norm": True,
        "ctc_loss_reduction": "mean",
    },
}
LABELS = np.array([[5, 6, 6, 7, 8, 20, 31], [9, 4, 10, -100, -100, -100, -100]])


@pytest.fixture(scope="module", params=SIZES)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return make_pair(tmp_path_factory.mktemp(request.param), **SIZES[request.param])


def test_logits_and_hidden_states(pair: Pair, speech: tuple[np.ndarray, np.ndarray]) -> None:
    waveform, mask = speech
    for given in (None, mask):
        with torch.inference_mode():
            expected = pair.reference(
                torch.tensor(waveform),
                attention_mask=None if given is None else torch.tensor(given),
                output_hidden_states=True,
            )
        output = pair.ours(waveform, attention_mask=given, output_hidden_states=True)
        difference = np.abs(to_numpy(output.logits) - expected.logits.numpy()).max()
        assert difference <= LOGITS, f"logits differ by {difference:.1e}"
        assert expected.logits.std() > 0.1  # the comparison is of something
        for index, (state, wanted) in enumerate(
            zip(output.hidden_states, expected.hidden_states, strict=True)
        ):
            scale = max(1.0, float(wanted.abs().max()))
            gap = np.abs(to_numpy(state) - wanted.numpy()).max()
            assert gap <= LOGITS * scale, f"hidden state {index} differs by {gap:.1e}"


def test_loss_and_the_gradient_of_every_variable(pair: Pair, speech: tuple[np.ndarray, np.ndarray]) -> None:
    waveform, mask = speech
    pair.reference.zero_grad()
    expected = pair.reference(
        torch.tensor(waveform), attention_mask=torch.tensor(mask), labels=torch.tensor(LABELS)
    ).loss
    expected.backward()
    wanted = {
        key: parameter.grad.numpy()
        for key, parameter in pair.reference.named_parameters()
        if parameter.grad is not None
    }
    batch = {"input_values": waveform, "attention_mask": mask, "labels": LABELS}
    output, gradients = output_and_gradients(pair.ours, batch)
    assert float(output.loss) == pytest.approx(expected.item(), rel=LOSS_LIMIT)
    assert share_of_allowed(gradients, wanted) <= 1.0


def test_padded_batch_equals_single_clips_whatever_fills_the_padding(
    pair: Pair, speech: tuple[np.ndarray, np.ndarray]
) -> None:
    from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config

    waveform, mask = speech
    model = TFWav2Vec2ForCTC(
        Wav2Vec2Config.from_dict({**pair.ours.config.to_dict(), "feature_norm_mask": True})
    )
    for variable, source in zip(model.weights, pair.ours.weights, strict=True):
        variable.assign(source)
    alone = [
        to_numpy(model(clip[None, : int(valid.sum())]).logits)[0]
        for clip, valid in zip(waveform, mask, strict=True)
    ]
    for filling in (0.0, np.nan, np.inf, 1e30):
        padded = model(np.where(mask, waveform, filling).astype("float32"), attention_mask=mask)
        for row, expected in enumerate(alone):
            frames = int(padded.frame_lengths[row])
            assert frames == len(expected)
            gap = np.abs(to_numpy(padded.logits)[row, :frames] - expected).max()
            assert gap <= LOGITS, f"row {row} padded with {filling} differs by {gap:.1e}"
