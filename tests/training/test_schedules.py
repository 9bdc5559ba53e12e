"""Learning rates against their formulas, written out step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from tfwav2vec2.training.schedules import TriStage, WarmupDecay

PEAK = 5e-5


def rates(schedule: Callable[[Any], Any], steps: int) -> list[float]:
    return [float(keras.ops.convert_to_numpy(schedule(step))) for step in range(steps)]


def tri_stage(step: int, warmup: int, hold: int, decay: int, first: float, last: float) -> float:
    """fairseq's four cases."""
    if step < warmup:
        return PEAK * first + (PEAK - PEAK * first) / warmup * step
    if step < warmup + hold:
        return PEAK
    if step <= warmup + hold + decay:
        return PEAK * math.exp(math.log(last) / decay * (step - warmup - hold))
    return PEAK * last


@pytest.mark.parametrize(
    ("total", "shares", "stages"),
    [
        (40, (0.1, 0.4, 0.5), (4, 16, 20)),
        (35, (0.1, 0.4, 0.5), (3, 14, 17)),
        (10, (0.0, 0.5, 0.5), (0, 5, 5)),
        (10, (0.5, 0.0, 0.5), (5, 0, 5)),
    ],
)
def test_the_three_stages_are_fairseqs(
    total: int, shares: tuple[float, float, float], stages: tuple[int, int, int]
) -> None:
    schedule = TriStage(PEAK, total, shares, initial_ratio=0.02, final_ratio=0.05)
    expected = [tri_stage(step, *stages, 0.02, 0.05) for step in range(total + 10)]
    np.testing.assert_allclose(rates(schedule, total + 10), expected, rtol=2e-6)


def test_without_a_decay_the_rate_is_held_to_the_last_step_and_then_drops() -> None:
    schedule = TriStage(PEAK, 10, (0.5, 0.5, 0.0), final_ratio=0.05)
    seen = rates(schedule, 13)
    np.testing.assert_allclose(seen[5:11], PEAK, rtol=1e-6)
    np.testing.assert_allclose(seen[11:], PEAK * 0.05, rtol=1e-6)


DECAYS = {
    "linear": lambda progress: 1 - progress,
    "cosine": lambda progress: (1 + math.cos(math.pi * progress)) / 2,
    "constant": lambda progress: 1.0,
}


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize(("warmup", "last"), [(6, 0.0), (0, 0.0), (6, 0.1)])
def test_a_warm_up_and_every_decay(decay: str, warmup: int, last: float) -> None:
    total = 24

    def expected(step: int) -> float:
        if step < warmup:
            return PEAK * step / warmup
        progress = min((step - warmup) / (total - warmup), 1)
        return PEAK * (last + (1 - last) * DECAYS[decay](progress))

    schedule = WarmupDecay(PEAK, total, warmup, decay, last)
    np.testing.assert_allclose(
        rates(schedule, total + 5), [expected(step) for step in range(total + 5)], rtol=2e-6, atol=PEAK * 1e-7
    )


@pytest.mark.parametrize("schedule", [TriStage(PEAK, 40), WarmupDecay(PEAK, 20, 5, "cosine")])
def test_a_schedule_goes_with_its_optimizer_into_a_file_and_back(schedule: Any) -> None:
    optimizer = keras.optimizers.Adam(schedule)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert rates(again._learning_rate, 40) == rates(schedule, 40)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_fit_takes_the_rate_of_its_step(jit_compile: bool) -> None:
    """Plain gradient descent on a loss whose gradient is 1: every step moves by its rate."""
    schedule = TriStage(0.5, 10, initial_ratio=0.1)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.layers[0].kernel.assign([[0.0]])
    model.compile(
        keras.optimizers.SGD(schedule),
        lambda y, predicted: keras.ops.mean(predicted),
        jit_compile=jit_compile,
    )
    model.fit(np.ones((8, 1), "float32"), np.ones((8, 1), "float32"), batch_size=1, verbose=0, shuffle=False)
    moved = -float(keras.ops.convert_to_numpy(model.layers[0].kernel)[0, 0])
    assert moved == pytest.approx(sum(rates(schedule, 8)), rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TriStage(0.0, 10), "peak is 0.0; it must be above 0"),
        (lambda: TriStage(1.0, 0), "total_steps is 0"),
        (lambda: TriStage(1.0, 10, final_ratio=0.0), "final_ratio is 0.0"),
        (lambda: TriStage(1.0, 10, (0.1, 0.4, 0.4)), "which make 1 together"),
        (lambda: TriStage(1.0, 10, (0.5, 0.5)), "shares of warm-up, hold and decay"),
        (lambda: WarmupDecay(1.0, 10, 10), "A warm-up of 10 steps must end before"),
        (lambda: WarmupDecay(1.0, 10, decay="steps"), "decay is 'steps'"),
        (lambda: WarmupDecay(1.0, 10, final_ratio=2.0), "final_ratio is 2.0"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
