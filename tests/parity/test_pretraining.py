"""The pretraining model against the reference at the published sizes, in evaluation and in training with given noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tests.gradients import output_and_gradients
from tests.heads.objective import STILL, given_noise
from tests.parity.conftest import Pair, torch, transformers
from tests.tiny import TINY
from tfwav2vec2.heads.negatives import sample_negatives
from tfwav2vec2.heads.pretraining import TFWav2Vec2ForPreTraining
from tfwav2vec2.weights.key_map import is_transposed, torch_keys

OUTPUTS = 1e-4
LOSS_RELATIVE = 1e-5
GRADIENT_RELATIVE, GRADIENT_OF_LARGEST = 1e-3, 1e-6
TEMPERATURE = 1.7
NUMBERS = ("loss", "contrastive_loss", "diversity_loss", "codevector_perplexity")

STABLE = {"feat_extract_norm": "layer", "conv_bias": True, "do_stable_layer_norm": True}
LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "codevector_dim": 768,
    "proj_codevector_dim": 768,
}
SIZES: dict[str, dict[str, Any]] = {
    "tiny": TINY,
    "tiny-stable": {**TINY, **STABLE, "num_codevector_groups": 4, "num_codevectors_per_group": 6},
    "base": {},
    "large": {**STABLE, **LARGE},
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[] if name.startswith("tiny") else [pytest.mark.large]) for name in SIZES
    ],
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder: Path = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(**{**SIZES[request.param], **STILL})
    reference = transformers.Wav2Vec2ForPreTraining(config).eval()
    with torch.no_grad():
        for parameter in reference.parameters():
            scale = 0.1 if parameter.ndim == 1 else 0.1 * parameter.std()
            parameter.add_(scale * torch.randn_like(parameter))
    reference.save_pretrained(folder)
    # The reference takes its statistics over the padding; for the comparison, so does this model.
    ours = TFWav2Vec2ForPreTraining.from_pretrained(folder, feature_norm_mask=False)
    reference.set_gumbel_temperature(TEMPERATURE)
    ours.set_gumbel_temperature(TEMPERATURE)
    return Pair(reference, ours)


@pytest.fixture(scope="module")
def batch(pair: Pair, speech: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    """Clips with hidden frames, and negatives drawn by this package, one in ten from anywhere in the batch."""
    waveform, mask = speech
    rng = np.random.default_rng(1)
    lengths = [pair.ours.frame_lengths(int(length)) for length in mask.sum(1)]
    hidden = np.zeros((len(lengths), max(lengths)), bool)
    for row, length in enumerate(lengths):
        for start in rng.choice(length - 10, max(length // 15, 2), replace=False):
            hidden[row, start : start + 10] = True
    negatives = to_numpy(sample_negatives(hidden, 20, pair.ours.seed_generator))
    anywhere = rng.integers(0, hidden.size, negatives.shape, dtype="int32")
    return {
        "input_values": waveform,
        "attention_mask": mask,
        "mask_time_indices": hidden,
        "sampled_negative_indices": np.where(rng.random(negatives.shape) < 0.1, anywhere, negatives),
    }


def gumbel_softmax_with(noise: np.ndarray) -> Any:
    """Torch's gumbel_softmax with this noise (batch, frames, groups, entries) in place of its own."""
    given = torch.tensor(noise.reshape(-1, noise.shape[-1]))

    def gumbel_softmax(logits: Any, tau: float, hard: bool) -> Any:
        soft = torch.softmax((logits + given) / tau, dim=-1)
        chosen = torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)
        return chosen - soft.detach() + soft

    return mock.patch("torch.nn.functional.gumbel_softmax", gumbel_softmax)


def run_reference(pair: Pair, batch: dict[str, np.ndarray]) -> tuple[Any, dict[str, np.ndarray]]:
    pair.reference.zero_grad()
    output = pair.reference(**{name: torch.tensor(value) for name, value in batch.items()})
    output.loss.backward()
    return output, {
        key: parameter.grad.numpy().copy()
        for key, parameter in pair.reference.named_parameters()
        if parameter.grad is not None
    }


def compare(expected: Any, wanted: dict[str, np.ndarray], output: Any, gradients: dict[str, Any]) -> None:
    for name in ("projected_states", "projected_quantized_states"):
        gap = np.abs(to_numpy(output[name]) - expected[name].detach().numpy()).max()
        assert gap <= OUTPUTS, f"{name} differ by {gap:.1e}"
        assert expected[name].std() > 0.1  # the comparison is of something
    for name in NUMBERS:
        assert float(output[name]) == pytest.approx(expected[name].item(), rel=LOSS_RELATIVE), name
    largest = max(np.linalg.norm(gradient) for gradient in wanted.values())
    checked = set()
    for name, gradient in gradients.items():
        key = torch_keys(name)[0]
        if key not in wanted:
            assert gradient is None or not np.any(gradient), f"{name} has a gradient, the reference's none"
            continue
        value = gradient.T if is_transposed(name) else gradient
        limit = GRADIENT_RELATIVE * np.linalg.norm(wanted[key]) + GRADIENT_OF_LARGEST * largest
        gap = np.linalg.norm(value - wanted[key])
        assert gap <= limit, f"the gradient of {name} differs by {gap:.2e}, allowed {limit:.2e}"
        checked.add(key)
    assert checked == set(wanted)


def test_evaluation_with_loss_and_gradients(pair: Pair, batch: dict[str, np.ndarray]) -> None:
    pair.reference.eval()
    expected, wanted = run_reference(pair, batch)
    compare(expected, wanted, *output_and_gradients(pair.ours, batch, training=False))


def test_training_with_given_noise(pair: Pair, batch: dict[str, np.ndarray]) -> None:
    config = pair.ours.config
    shape = (
        *batch["mask_time_indices"].shape,
        config.num_codevector_groups,
        config.num_codevectors_per_group,
    )
    noise = np.random.default_rng(2).gumbel(size=shape).astype("float32")
    pair.reference.train()
    with gumbel_softmax_with(noise):
        expected, wanted = run_reference(pair, batch)
    with given_noise(noise):
        output, gradients = output_and_gradients(pair.ours, batch, training=True)
    compare(expected, wanted, output, gradients)


def test_outputs_without_mask_and_without_padding(pair: Pair, batch: dict[str, np.ndarray]) -> None:
    pair.reference.eval()
    waveform = batch["input_values"][:1]
    with torch.inference_mode():
        expected = pair.reference(torch.tensor(waveform), output_hidden_states=True)
    output = pair.ours(waveform, output_hidden_states=True)
    assert output.loss is None
    perplexity = expected.codevector_perplexity.item()
    assert float(output.codevector_perplexity) == pytest.approx(perplexity, rel=LOSS_RELATIVE)
    for state, wanted in zip(output.hidden_states, expected.hidden_states, strict=True):
        scale = max(1.0, float(wanted.abs().max()))
        assert np.abs(to_numpy(state) - wanted.numpy()).max() <= OUTPUTS * scale


def test_reference_negatives_have_the_same_distribution() -> None:
    """Frame by frame, over many draws."""
    from transformers.models.wav2vec2.modeling_wav2vec2 import _sample_negative_indices

    hidden = np.zeros((2, 9), bool)
    hidden[0, [0, 2, 3, 7]] = hidden[1, [1, 8, 4]] = True
    draws = 30_000
    np.random.seed(0)
    theirs = _sample_negative_indices(hidden.shape, draws, hidden)
    ours = to_numpy(sample_negatives(hidden, draws, keras.random.SeedGenerator(0)))
    for row, frame in np.ndindex(hidden.shape):
        rates = [np.bincount(x[row, frame], minlength=hidden.size) / draws for x in (theirs, ours)]
        np.testing.assert_allclose(rates[1], rates[0], atol=0.02)


def test_saved_models_open_in_the_reference(pair: Pair, tmp_path: Path) -> None:
    pair.ours.save_pretrained(tmp_path)
    loaded, report = transformers.Wav2Vec2ForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    state = pair.reference.state_dict()
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, state[key]), key
