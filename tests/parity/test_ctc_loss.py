"""The CTC loss against torch's, at the size of real batches and on many small random ones."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training.ctc_modes import COMPILED, MODES, loss_and_gradient  # noqa: E402 - after the skip


def loss_and_gradient_of_torch(
    logits: np.ndarray,
    labels: np.ndarray,
    frames: np.ndarray,
    dtype: torch.dtype = torch.float64,
    **options: object,
) -> tuple[np.ndarray, np.ndarray]:
    """As the reference's head calls it: labels that are not negative, in a row."""
    inputs = torch.tensor(logits, dtype=dtype, requires_grad=True)
    targets = torch.tensor(labels)
    loss = torch.nn.functional.ctc_loss(
        torch.log_softmax(inputs, dim=-1).transpose(0, 1),
        targets[targets >= 0],
        torch.tensor(frames),
        (targets >= 0).sum(-1),
        **{"reduction": "none", **options},
    )
    loss.sum().backward()
    return loss.detach().numpy(), inputs.grad.numpy()


def real_batch(scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """15 s of speech at 50 frames a second and 10 letters a second."""
    rng = np.random.default_rng(0)
    logits = (scale * rng.standard_normal((8, 749, 32))).astype("float32")
    labels = rng.integers(1, 32, (8, 150))
    labels[3, 100:] = -100
    return logits, labels, np.array([749, 749, 700, 600, 400, 749, 310, 749])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_real_sizes(mode: str, scale: float) -> None:
    logits, labels, frames = real_batch(scale)
    losses, gradients = loss_and_gradient(mode, logits, labels, frames)
    expected, slopes = loss_and_gradient_of_torch(logits, labels, frames)
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(gradients, slopes, atol=1e-4)


def test_closer_to_float64_than_torch_in_float32() -> None:
    batch = real_batch(1.0)
    _, exact = loss_and_gradient_of_torch(*batch)
    ours = np.abs(loss_and_gradient(COMPILED, *batch)[1] - exact).max()
    theirs = np.abs(loss_and_gradient_of_torch(*batch, dtype=torch.float32)[1] - exact).max()
    assert ours < theirs / 10


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("blank", [0, 2])
def test_random_batches(reduction: str, blank: int) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        logits = (rng.choice([0.3, 3.0, 30.0]) * rng.standard_normal((4, 12, 5))).astype("float32")
        labels = rng.integers(-2, 5, (4, 6))
        labels[:, -1] = (
            blank + 1
        ) % 5  # torch's gradient is not the derivative where a target ends with a blank
        arguments = logits, labels, rng.integers(0, 13, 4)
        options = {"blank": blank, "reduction": reduction, "zero_infinity": True}
        loss, gradient = loss_and_gradient(COMPILED, *arguments, **options)
        expected, slope = loss_and_gradient_of_torch(*arguments, **options)
        np.testing.assert_allclose(loss, expected, rtol=2e-6, atol=1e-6)
        np.testing.assert_allclose(gradient, slope, atol=2e-6)
