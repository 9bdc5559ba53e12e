"""What is drawn, beside the reference's own draws: the weights of fresh models, and the spans of SpecAugment."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import tfwav2vec2
from tests.backbone.conftest import to_numpy
from tests.heads.test_initialisation import MIDDLE, MODELS
from tests.parity.conftest import torch, transformers
from tfwav2vec2.backbone.masking import draw_spans
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.key_map import is_transposed, torch_keys

_compute_mask_indices = transformers.models.wav2vec2.modeling_wav2vec2._compute_mask_indices


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Kolmogorov's distance between two samples."""
    values = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(sample), values, side="right") / sample.size for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


@pytest.fixture(scope="module", params=MODELS)
def beginnings(request: pytest.FixtureRequest) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By torch key: the weight of a fresh model here, and of the reference's, both as torch lays them out."""
    fields: dict[str, Any] = MIDDLE | MODELS[request.param]
    keras.utils.set_random_seed(1)
    torch.manual_seed(1)
    ours = getattr(tfwav2vec2, request.param)(tfwav2vec2.Wav2Vec2Config(**fields))
    task = request.param.removeprefix("TF")
    reference = getattr(transformers, task)(transformers.Wav2Vec2Config(**fields))
    expected = {key: value.numpy() for key, value in reference.state_dict().items()}
    pairs = {}
    for name, variable in named_variables(ours).items():
        key = next(key for key in torch_keys(name) if key in expected)
        value = to_numpy(variable)
        pairs[key] = (value.T if is_transposed(name) else value, expected.pop(key))
    assert not expected
    return pairs


def test_every_weight_has_the_references_distribution(
    beginnings: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    for key, (ours, expected) in beginnings.items():
        assert ours.shape == expected.shape, key
        if np.ptp(expected) == 0:
            np.testing.assert_allclose(ours, expected, rtol=1e-6, err_msg=key)
            continue
        one, other = ours.ravel(), expected.ravel()
        # Each beyond by chance about once in a million draws.
        assert distance(one, other) < 2.7 * (2 / one.size) ** 0.5, key
        noise = 5 * (expected.std() / one.size**0.5) * 2**0.5
        assert abs(one.mean() - other.mean()) < noise, key
        assert one.std() == pytest.approx(other.std(), rel=5 / one.size**0.5), key


@pytest.mark.parametrize("padded", [False, True])
def test_spans_are_hidden_where_the_reference_hides_them(padded: bool) -> None:
    """How often each position is hidden, and how many are in a row, over many rows of several lengths."""
    rows, size, span, probability = 6_000, 24, 3, 0.75
    # A whole number of spans at every length: the chance of one more is the same for a whole batch.
    sizes = (24, 16, 8) if padded else (24,)
    lengths = np.resize(np.array(sizes, "int32"), rows)
    given = torch.tensor(np.arange(size) < lengths[:, None], dtype=torch.long)
    np.random.seed(0)  # the reference draws from the global state
    expected = _compute_mask_indices((rows, size), probability, span, given if padded else None, min_masks=1)
    ours = to_numpy(draw_spans(lengths, size, probability, span, 1, keras.random.SeedGenerator(0)))
    for length in sizes:
        one, other = ours[lengths == length], expected[lengths == length]
        np.testing.assert_allclose(one.mean(0), other.mean(0), atol=5 * (0.5 / len(one)) ** 0.5)
        assert distance(one.sum(1), other.sum(1)) < 2.7 * (2 / len(one)) ** 0.5
        assert not one[:, length:].any()
        assert other.any(0)[:length].all()
