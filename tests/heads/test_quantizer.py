"""The Gumbel vector quantizer: choices, gradients, perplexity, temperature."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tests.heads.objective import compiled, tiny_config
from tfwav2vec2.backbone.initializers import skip_initialization
from tfwav2vec2.heads.quantizer import GumbelVectorQuantizer, gumbel_noise, perplexity

GROUPS, ENTRIES, WIDTH = 2, 8, 4
RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((3, 5, 12)).astype("float32")
NOISE = RNG.gumbel(size=(3, 5, GROUPS, ENTRIES)).astype("float32")


@pytest.fixture
def quantizer() -> GumbelVectorQuantizer:
    keras.utils.set_random_seed(0)
    return GumbelVectorQuantizer(tiny_config(), name="quantizer")


def logits_of(quantizer: GumbelVectorQuantizer) -> np.ndarray:
    weights = quantizer.weight_proj
    logits = FEATURES @ to_numpy(weights.kernel) + to_numpy(weights.bias)
    return logits.reshape(3, 5, GROUPS, ENTRIES)


def look_up(quantizer: GumbelVectorQuantizer, codes: np.ndarray) -> np.ndarray:
    table = to_numpy(quantizer.codevectors).reshape(GROUPS, ENTRIES, WIDTH)
    return np.concatenate([table[group][codes[..., group]] for group in range(GROUPS)], axis=-1)


def test_evaluation_takes_the_most_probable_entries(quantizer: GumbelVectorQuantizer) -> None:
    quantized, codes, value = quantizer(FEATURES)
    expected = logits_of(quantizer).argmax(-1)
    np.testing.assert_array_equal(to_numpy(codes), expected)
    np.testing.assert_array_equal(to_numpy(quantized), look_up(quantizer, expected))
    rates = np.stack([np.bincount(expected[..., g].ravel(), minlength=ENTRIES) / 15 for g in range(GROUPS)])
    wanted = np.exp(-(rates * np.log(rates + 1e-7)).sum(-1)).sum()
    assert float(value) == pytest.approx(wanted, rel=1e-5)


def test_noise_decides_and_the_chosen_vectors_are_exact(quantizer: GumbelVectorQuantizer) -> None:
    logits = logits_of(quantizer)
    quantized, codes = quantizer.choose(logits, NOISE)
    expected = (logits + NOISE).argmax(-1)
    assert (expected != logits.argmax(-1)).any()
    np.testing.assert_array_equal(to_numpy(codes), expected)
    np.testing.assert_array_equal(to_numpy(quantized), look_up(quantizer, expected))


def test_straight_through_gradient(quantizer: GumbelVectorQuantizer) -> None:
    """To the logits it is the soft choice's, at the present temperature in compiled code; to the codevectors the hard's."""
    logits = logits_of(quantizer)
    pull = RNG.standard_normal((3, 5, GROUPS * WIDTH)).astype("float32")
    pulled = pull.reshape(3, 5, GROUPS, WIDTH)
    table = to_numpy(quantizer.codevectors).reshape(GROUPS, ENTRIES, WIDTH)
    to_soft = np.einsum("btgd,gvd->btgv", pulled, table)
    step = compiled(quantizer, lambda logits: _gradients(quantizer, logits, pull))
    for temperature in (2.0, 0.5):
        quantizer.temperature.assign(temperature)
        to_logits, to_table = map(to_numpy, step(logits))
        scores = (logits + NOISE) / temperature
        soft = np.exp(scores - scores.max(-1, keepdims=True))
        soft /= soft.sum(-1, keepdims=True)
        expected = soft * (to_soft - (soft * to_soft).sum(-1, keepdims=True)) / temperature
        np.testing.assert_allclose(to_logits, expected, rtol=1e-4, atol=1e-6)
        hard = np.eye(ENTRIES)[scores.argmax(-1)]
        wanted = np.einsum("btgv,btgd->gvd", hard, pulled).reshape(1, GROUPS * ENTRIES, WIDTH)
        np.testing.assert_allclose(to_table, wanted, rtol=1e-4, atol=1e-6)


def _gradients(quantizer: GumbelVectorQuantizer, logits: Any, pull: np.ndarray) -> tuple[Any, Any]:
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        given = tf.convert_to_tensor(logits)
        with tf.GradientTape() as tape:
            tape.watch(given)
            value = tf.reduce_sum(quantizer.choose(given, NOISE)[0] * pull)
        return tuple(map(tf.convert_to_tensor, tape.gradient(value, [given, quantizer.codevectors.value])))
    import jax

    temperature = quantizer.temperature.value

    def function(given: Any, table: Any) -> Any:
        with keras.StatelessScope([(quantizer.codevectors, table), (quantizer.temperature, temperature)]):
            return (quantizer.choose(given, NOISE)[0] * pull).sum()

    return jax.grad(function, argnums=(0, 1))(logits, quantizer.codevectors.value)


def test_training_draws_from_the_softmax_of_the_logits(quantizer: GumbelVectorQuantizer) -> None:
    logits = np.log([0.5, 0.25, 0.125, 0.125] + [1e-9] * 4).astype("float32")
    shape = (1, 20_000, GROUPS, ENTRIES)
    noise = gumbel_noise(shape, keras.random.SeedGenerator(0))
    codes = to_numpy(quantizer.choose(np.broadcast_to(logits, shape), noise)[1])
    for group in range(GROUPS):
        rates = np.bincount(codes[0, :, group], minlength=ENTRIES) / shape[1]
        np.testing.assert_allclose(rates, np.exp(logits), atol=0.015)


def test_training_differs_from_step_to_step_when_compiled(quantizer: GumbelVectorQuantizer) -> None:
    step = compiled(quantizer, lambda x: quantizer(x, training=True)[1])
    assert (to_numpy(step(FEATURES)) != to_numpy(step(FEATURES))).any()


def test_perplexity_of_training_is_that_of_the_probabilities_without_noise(
    quantizer: GumbelVectorQuantizer,
) -> None:
    first, second = (float(quantizer(FEATURES, training=True)[2]) for _ in range(2))
    assert first == second
    soft = np.exp(logits_of(quantizer))
    mean = (soft / soft.sum(-1, keepdims=True)).mean((0, 1))
    assert first == pytest.approx(np.exp(-(mean * np.log(mean + 1e-7)).sum(-1)).sum(), rel=1e-5)


def test_perplexity_counts_the_given_frames() -> None:
    probabilities = np.zeros((2, 3, 1, 4), "float32")
    probabilities[0, :, 0, 0] = 1.0
    probabilities[1, :, 0, 1] = 1.0
    counted = np.array([[1, 1, 0], [1, 1, 0]])
    probabilities[:, 2] = np.nan
    assert float(perplexity(probabilities, counted)) == pytest.approx(2.0, rel=1e-5)
    assert float(perplexity(probabilities[:, :2])) == pytest.approx(2.0, rel=1e-5)
    assert float(perplexity(probabilities, np.zeros((2, 3), bool))) == 1.0


def test_temperature_is_state_and_no_weight(quantizer: GumbelVectorQuantizer) -> None:
    assert float(quantizer.temperature) == 2.0
    assert all(weight is not quantizer.temperature for weight in quantizer.weights)
    assert any(variable is quantizer.temperature for variable in quantizer.non_trainable_variables)
    assert quantizer.count_params() == GROUPS * ENTRIES * (WIDTH + 12 + 1)
    with skip_initialization():
        assert float(GumbelVectorQuantizer(tiny_config()).temperature) == 2.0


def test_initial_values_are_the_reference_distributions() -> None:
    keras.utils.set_random_seed(0)
    quantizer = GumbelVectorQuantizer(tiny_config(num_codevectors_per_group=320, codevector_dim=64))
    codevectors, kernel = to_numpy(quantizer.codevectors), to_numpy(quantizer.weight_proj.kernel)
    assert codevectors.min() >= 0
    assert codevectors.max() <= 1
    assert codevectors.std() == pytest.approx(12**-0.5, rel=0.02)
    assert kernel.std() == pytest.approx(1.0, rel=0.05)
    assert not to_numpy(quantizer.weight_proj.bias).any()


def test_groups_that_do_not_divide_the_codevector_are_refused() -> None:
    with pytest.raises(ValueError, match="codevector_dim 8 must be a multiple of num_codevector_groups 3"):
        GumbelVectorQuantizer(tiny_config(num_codevector_groups=3))


def test_layer_round_trips_through_its_config(quantizer: GumbelVectorQuantizer) -> None:
    again = GumbelVectorQuantizer.from_config(quantizer.get_config())
    assert [tuple(w.shape) for w in again.weights] == [tuple(w.shape) for w in quantizer.weights]
