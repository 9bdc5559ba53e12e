"""The CTC loss against every path written out, finite differences in float64, and torch's goldens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import ctc_reference as reference
from tests.training.ctc_modes import COMPILED, MODES, loss_and_gradient
from tfwav2vec2.training.losses import ctc_loss

GOLDENS = Path(__file__).resolve().parents[1] / "goldens" / "ctc_loss.npz"


# Most tests share one shape, so that compiled code is compiled once.
CLIPS, FRAMES, VOCAB, COLUMNS = 6, 7, 4, 5


def random_logits(*shape: int, scale: float = 2.0, seed: int = 0) -> np.ndarray:
    shape = shape or (CLIPS, FRAMES, VOCAB)
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype("float32")


def run(mode: str, logits: np.ndarray, targets: list[list[int]], frames: Any = FRAMES, **options: Any) -> Any:
    """The loss and gradient of up to six clips of the shape that the tests share, padded with more clips."""
    labels = np.full((CLIPS, COLUMNS), -100)
    for row, target in zip(labels, targets, strict=False):
        row[: len(target)] = target
    lengths = np.full(CLIPS, FRAMES)
    lengths[: len(targets)] = frames
    loss, gradient = loss_and_gradient(mode, logits, labels, lengths, np.full(CLIPS, COLUMNS), **options)
    return loss[: len(targets)], gradient[: len(targets)]


@pytest.mark.parametrize("target", [(), (1,), (1, 2), (1, 1), (2, 1, 2), (2, 2, 1), (1, 1, 1)])
def test_the_recursion_of_the_tests_sums_every_path(target: tuple[int, ...]) -> None:
    logits = random_logits(5, 3)
    assert reference.loss(logits, target) == pytest.approx(reference.loss_by_enumeration(logits, target))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("blank", [0, 2])
def test_every_path_written_out(mode: str, blank: int) -> None:
    logits = random_logits()
    one, two, three = sorted({0, 1, 2, 3} - {blank})
    targets = [[one], [one, two], [one, one], [three, one, three], [two, two, one, three], []]
    losses, _ = run(mode, logits, targets, blank=blank)
    expected = [reference.loss_by_enumeration(*pair, blank) for pair in zip(logits, targets, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


targets = st.lists(st.sampled_from([-100, -1, 0, 1, 2, 3]), min_size=5, max_size=5)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.tuples(targets, st.integers(0, 8), st.integers(0, 5)), min_size=2, max_size=2),
    scale=st.sampled_from([0.1, 2.0, 20.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_loss_and_gradient_of_any_target(
    rows: list[tuple[list[int], int, int]], scale: float, seed: int
) -> None:
    """Repeats, padding between labels, labels that equal the blank, clips too short: each row alone, in float64."""
    logits = random_logits(2, 8, 4, scale=scale, seed=seed)
    labels, frames, columns = (np.array(part) for part in zip(*rows, strict=True))
    losses, gradients = loss_and_gradient(COMPILED, logits, labels, frames, columns, blank=1)
    for row in range(2):
        clip = logits[row, : frames[row]].astype("float64")
        target = [label for label in labels[row, : columns[row]] if label >= 0]
        expected = reference.loss(clip, target, blank=1)
        np.testing.assert_allclose(losses[row], expected, rtol=1e-6, atol=1e-6)
        slope = reference.gradient(clip, target, blank=1) if np.isfinite(expected) else np.zeros_like(clip)
        np.testing.assert_allclose(gradients[row, : frames[row]], slope, atol=2e-6)
        assert not gradients[row, frames[row] :].any()


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize(
    ("mode", "reduction"), [*((m, "none") for m in MODES), (MODES[0], "sum"), (MODES[0], "mean")]
)
def test_goldens_of_torch(mode: str, reduction: str, zero_infinity: bool) -> None:
    golden = np.load(GOLDENS)
    loss, gradient = loss_and_gradient(
        mode,
        golden["logits"],
        golden["labels"],
        golden["logit_lengths"],
        blank=int(golden["blank"]),
        reduction=reduction,
        zero_infinity=zero_infinity,
    )
    name = f"loss_{reduction}_{'zero' if zero_infinity else 'infinite'}"
    np.testing.assert_allclose(loss, golden[name], rtol=1e-6, atol=1e-6)
    # An impossible target has a gradient of zero either way.
    np.testing.assert_allclose(gradient, golden[f"gradient_{reduction}"], atol=2e-6)


@pytest.mark.parametrize("mode", MODES)
def test_too_few_frames_is_counted_not_guessed(mode: str) -> None:
    """Three labels with one repeat need four frames, however likely or unlikely the frames make them."""
    for scale in (0.0, 1.0, 1e4):
        logits = random_logits(scale=scale)
        losses, gradients = run(mode, logits, [[1, 1, 2]] * 2, [3, 4])
        assert losses[0] == np.inf
        assert not gradients[0].any()
        assert losses[1] == pytest.approx(reference.loss(logits[1, :4], [1, 1, 2]))


@pytest.mark.parametrize("mode", MODES)
def test_a_symbol_that_cannot_occur(mode: str) -> None:
    """Logits of minus infinity close some paths or all of them; they never make a NaN."""
    logits = random_logits()
    logits[0, :, 2] = -np.inf  # in the target
    logits[1, :, 3] = -np.inf  # not in the target
    logits[2, 1:3, 1] = -np.inf  # some paths
    losses, gradients = run(mode, logits, [[1, 2]] * 3)
    assert losses[0] == np.inf
    assert not gradients[0].any()
    finite = np.where(np.isinf(logits), -1e3, logits)
    for row in (1, 2):
        assert losses[row] == pytest.approx(reference.loss(finite[row], [1, 2]))
        np.testing.assert_allclose(gradients[row], reference.gradient(finite[row], [1, 2]), atol=2e-6)


@pytest.mark.parametrize("mode", MODES)
def test_empty_targets_and_empty_clips(mode: str) -> None:
    logits = random_logits()
    blanks = -reference.log_softmax(logits)[..., 0]
    losses, gradients = run(mode, logits, [[], [], [], [1]], [7, 3, 0, 0])
    np.testing.assert_allclose(losses, [blanks[0].sum(), blanks[1, :3].sum(), 0.0, np.inf], rtol=1e-6)
    assert not gradients[2:].any()


@pytest.mark.parametrize("mode", MODES)
def test_arrays_without_frames_or_without_labels(mode: str) -> None:
    logits = random_logits(2, 5, 4)
    losses, gradients = loss_and_gradient(mode, logits[:, :0], [[1], [-1]])
    np.testing.assert_array_equal(losses, [np.inf, 0.0])
    assert gradients.shape == (2, 0, 4)
    losses, _ = loss_and_gradient(mode, logits, np.zeros((2, 0), "int32"))
    np.testing.assert_allclose(losses, -reference.log_softmax(logits)[..., 0].sum(1), rtol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("filling", [np.nan, np.inf, -np.inf, 1e30])
def test_padding_is_ignored_whatever_it_holds(mode: str, filling: float) -> None:
    logits, frames, targets = random_logits(), [7, 5, 4], [[1, 2, 2, 3], [3, 3], [1]]
    for clip, length in zip(logits, frames, strict=False):
        clip[length:] = filling
    losses, gradients = run(mode, logits, targets, frames)
    for row, (length, target) in enumerate(zip(frames, targets, strict=True)):
        assert losses[row] == pytest.approx(reference.loss(logits[row, :length], target))
        np.testing.assert_allclose(
            gradients[row, :length], reference.gradient(logits[row, :length], target), atol=2e-6
        )
        assert not gradients[row, length:].any()


def test_a_batch_is_its_clips() -> None:
    logits, frames, labels = (
        random_logits(3, 9, 5),
        [9, 6, 4],
        np.array([[1, 2, 2, 4], [3, 3, -1, -1], [4, -1, -1, -1]]),
    )
    losses, gradients = loss_and_gradient(COMPILED, logits, labels, frames)
    for row, length in enumerate(frames):
        target = labels[row][labels[row] >= 0]
        loss, gradient = loss_and_gradient(COMPILED, logits[row : row + 1, :length], target[None])
        np.testing.assert_allclose(losses[row], loss[0], rtol=1e-6)
        np.testing.assert_allclose(gradients[row, :length], gradient[0], atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_broken_frame_shows(mode: str, broken: float) -> None:
    """NaN inside a clip makes the clip's loss NaN, and no other's."""
    logits = random_logits()
    logits[0, 2, 3] = broken
    losses, gradients = run(mode, logits, [[1, 2]] * 2)
    assert np.isnan(losses[0])
    assert np.isfinite(losses[1])
    assert np.isfinite(gradients[1]).all()


def test_long_and_peaky() -> None:
    """3,000 frames of logits of 10,000 either way: finite, and the loss of float64."""
    rng = np.random.default_rng(1)
    logits = np.where(rng.random((2, 3000, 8)) < 0.3, 1e4, -1e4).astype("float32")
    labels = rng.integers(1, 8, (2, 700))
    losses, gradients = loss_and_gradient(MODES[-1], logits, labels, [3000, 2500])
    clips = logits[0], logits[1, :2500]
    expected = [reference.loss(clip, target) for clip, target in zip(clips, labels, strict=True)]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)
    np.testing.assert_allclose(gradients.clip(-1, 1), gradients, atol=1e-6)
    np.testing.assert_allclose(gradients.sum(-1), 0.0, atol=1e-5)


def test_a_long_clip_keeps_its_digits() -> None:
    """15 s of speech: the gradient along random directions, against float64."""
    logits = random_logits(1, 749, 32, scale=1.0)
    labels = np.random.default_rng(2).integers(1, 32, (1, 150))
    _, gradient = loss_and_gradient(COMPILED, logits, labels)
    for seed in range(3):
        direction = np.random.default_rng(seed).standard_normal(logits[0].shape)
        after, before = (reference.loss(logits[0] + step * direction, labels[0]) for step in (1e-4, -1e-4))
        assert (gradient[0] * direction).sum() == pytest.approx((after - before) / 2e-4, rel=2e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(dtype: str) -> None:
    """The sums are float32's; the gradient comes back in the type of the logits."""
    logits = keras.ops.cast(random_logits(1, 300, 4), dtype)
    exact = keras.ops.convert_to_numpy(keras.ops.cast(logits, "float32"))
    labels = np.tile([1, 2, 3], 20)[None]
    losses, gradients = loss_and_gradient(MODES[0], logits, labels)
    assert losses.dtype == "float32"
    assert losses[0] == pytest.approx(reference.loss(exact[0], labels[0]))
    assert keras.backend.standardize_dtype(gradients.dtype) == dtype
    _, expected = loss_and_gradient(MODES[0], exact, labels)
    np.testing.assert_allclose(gradients.astype("float32"), expected, atol=4e-3)


def test_lists_and_every_integer_type() -> None:
    logits = random_logits(2, 5, 4)
    expected = keras.ops.convert_to_numpy(
        ctc_loss(logits, [[1, 2], [3, 3]], [5, 4], [2, 2], reduction="none")
    )
    for dtype in ("uint8", "int16", "int32", "int64"):
        labels = np.array([[1, 2], [3, 3]], dtype)
        loss = ctc_loss(logits, labels, np.array([5, 4], dtype), np.array([2, 2], dtype), reduction="none")
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(loss), expected)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": [[1, 4], [0, 0]]}, ValueError, "labels hold 4: the vocabulary of the logits ends at 3"),
        ({"labels": [1, 2]}, ValueError, r"labels have the shape \(2,\): it must be \(batch, labels\)"),
        ({"labels": [[1.0], [2.0]]}, TypeError, "labels are of the type float64: they must be ints"),
        ({"labels": [[1], [2], [3]]}, ValueError, r"\[2, 3, 2, 3\] rows"),
        ({"logits": np.zeros((2, 5), "float32")}, ValueError, r"logits have the shape \(2, 5\)"),
        (
            {"logits": np.zeros((2, 5, 4), "int32")},
            TypeError,
            "logits are of the type int32: they must be floats",
        ),
        ({"logit_lengths": [5, 6]}, ValueError, "logit_lengths hold 6: there are 5 frames of logits"),
        ({"logit_lengths": [5, -1]}, ValueError, "logit_lengths hold -1"),
        ({"logit_lengths": [5]}, ValueError, r"\[2, 2, 1, 2\] rows"),
        ({"logit_lengths": 5}, ValueError, r"logit_lengths have the shape \(\)"),
        ({"label_lengths": [3, 2]}, ValueError, "label_lengths hold 3: there are 2 columns of labels"),
        ({"blank": 4}, ValueError, "blank is 4: it must be a symbol of the vocabulary, 0 to 3"),
        ({"blank": -1}, ValueError, "blank is -1"),
        ({"reduction": "average"}, ValueError, "reduction is 'average': it must be one of none, sum, mean"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict, error: type[Exception], message: str) -> None:
    arguments = {"logits": random_logits(2, 5, 4), "labels": [[1, 2], [3, -1]]}
    with pytest.raises(error, match=message):
        ctc_loss(**{**arguments, **change})
