"""What a training step on TensorFlow forgets between two products: the same numbers, from less memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

import keras
import numpy as np
import pytest

from tests.backbone.graphs import operations_after_optimization
from tfwav2vec2.backbone.transformer import TransformerLayer
from tfwav2vec2.config import Wav2Vec2Config

pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's graphs")

FRAMES = 40
DROPOUT = {"hidden_dropout": 0.3, "attention_dropout": 0.3, "activation_dropout": 0.3}
PRODUCTS = (
    "MatMul",
    "_MklMatMul",
    "_FusedMatMul",
    "BatchMatMulV2",
    "_MklBatchMatMulV2",
    "_FusedBatchMatMulV2",
)


def make_layer(dtype: str = "float32", **fields: Any) -> TransformerLayer:
    keras.utils.set_random_seed(0)
    sizes = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48}
    return TransformerLayer(Wav2Vec2Config(**sizes, **fields), dtype=dtype)


def step(layer: TransformerLayer, x: Any, keep_probabilities: bool = False) -> Any:
    """What a layer gives in training, and the gradient with respect to its input and all its weights."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True, keep_probabilities=keep_probabilities)[0]
        loss = tf.reduce_sum(tf.square(tf.cast(y, "float32")))
    return y, tape.gradient(loss, [x, *(variable.value for variable in layer.trainable_variables)])


def hidden_states() -> Any:
    import tensorflow as tf

    return tf.constant(np.random.default_rng(0).normal(size=(2, FRAMES, 32)).astype("float32"))


@pytest.mark.parametrize("fields", [{}, {"do_stable_layer_norm": True}, {"hidden_act": "prelu"}])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_graph_gives_what_an_eager_step_gives(dtype: str, fields: dict[str, Any]) -> None:
    """An eager step keeps everything. Dropout hides the same places in both, forwards and backwards."""
    import tensorflow as tf

    x = hidden_states()
    plain_y, plain_gradients = step(make_layer(dtype, **DROPOUT, **fields), x)
    layer = make_layer(dtype, **DROPOUT, **fields)
    y, gradients = tf.function(lambda: step(layer, x), autograph=False)()
    tolerance = 3e-2 if dtype == "mixed_bfloat16" else 1e-5
    for found, expected in zip([y, *gradients], [plain_y, *plain_gradients], strict=True):
        expected = tf.cast(expected, "float32").numpy()
        atol = tolerance * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(tf.cast(found, "float32"), expected, rtol=0, atol=atol)


def test_of_the_products_only_those_around_the_softmax_are_computed_again() -> None:
    import tensorflow as tf

    layer, x = make_layer(), hidden_states()

    def count(keep_probabilities: bool) -> Counter[str]:
        program = tf.function(lambda: step(layer, x, keep_probabilities), autograph=False)
        return Counter(operations_after_optimization(program.get_concrete_function().graph))

    keeping, forgetting = count(True), count(False)
    products_of = [sum(counts[name] for name in PRODUCTS) for counts in (keeping, forgetting)]
    assert keeping["Softmax"] == 1
    assert forgetting["Softmax"] == 2
    assert products_of[0] > 0
    # The scores, and what they choose from the values; no dense layer.
    assert products_of[1] == products_of[0] + 2
