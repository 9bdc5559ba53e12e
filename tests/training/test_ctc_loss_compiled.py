"""The CTC loss inside compiled code: what is built, what is not known there, and derivatives of derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.ctc_modes import BACKEND, COMPILED, MODES, loss_and_gradient
from tfwav2vec2.training.losses import ctc_loss

on_tensorflow = pytest.mark.skipif(BACKEND != "tensorflow", reason="about graphs and tapes of TensorFlow")
on_jax = pytest.mark.skipif(BACKEND != "jax", reason="about transformations of JAX")
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="about autograd of torch")
LOGITS = np.random.default_rng(0).standard_normal((3, 7, 4)).astype("float32")
LABELS = np.array([[1, 2, -1], [3, 3, -1], [2, 1, 2]])


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "eager"])
def test_a_label_outside_the_vocabulary(mode: str) -> None:
    """Values are not known while code is compiled: the loss says that something is wrong, the weights stay sound."""
    expected, _ = loss_and_gradient(mode, LOGITS, LABELS, zero_infinity=True)
    losses, gradients = loss_and_gradient(mode, LOGITS, [[1, 4, -1], *LABELS[1:]], zero_infinity=True)
    assert np.isnan(losses[0])
    assert not gradients[0].any()
    np.testing.assert_allclose(losses[1:], expected[1:], rtol=1e-6)


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "eager"])
def test_lengths_are_clipped(mode: str) -> None:
    losses, gradients = loss_and_gradient(mode, LOGITS, LABELS, [9, -2, 7], [9, 3, -1])
    expected, slopes = loss_and_gradient(mode, LOGITS, LABELS, [7, 0, 7], [3, 3, 0])
    np.testing.assert_array_equal(losses, expected)
    np.testing.assert_array_equal(gradients, slopes)


def tensors_of_a_trace(frames: int, columns: int) -> list[tuple[str, int]]:
    """The operation and the number of elements of everything that a compiled loss with its gradient computes."""
    logits, labels = np.zeros((2, frames, 32), "float32"), np.ones((2, columns), "int32")
    if BACKEND == "tensorflow":
        import tensorflow as tf

        @tf.function
        def run(logits: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(logits)
                loss = ctc_loss(logits, labels)
            return tape.gradient(loss, logits)

        graph = run.get_concrete_function(logits).graph
        graphs = [graph, *(graph._get_function(name).graph for name in graph._functions)]
        operations = [operation for each in graphs for operation in each.get_operations()]
        return [(op.type, out.shape.num_elements() or 0) for op in operations for out in op.outputs]

    import jax
    from jax.extend.core import jaxprs_in_params

    def equations(jaxpr: Any) -> Iterator[Any]:
        for equation in jaxpr.eqns:
            yield equation
            for inner in jaxprs_in_params(equation.params):
                yield from equations(inner)

    jaxpr = jax.make_jaxpr(jax.grad(lambda x: ctc_loss(x, labels)))(logits).jaxpr
    return [
        (equation.primitive.name, math.prod(out.aval.shape))
        for equation in equations(jaxpr)
        for out in equation.outvars
    ]


@pytest.mark.skipif(BACKEND == "torch", reason="torch runs eagerly: there is no trace to look into")
def test_memory_is_linear_and_nothing_calls_the_host() -> None:
    """No tensor is larger than the states of both passes: no square of the labels, no vocabulary for each label."""
    for frames, columns in ((203, 10), (203, 80)):  # one frame more is a full turn of the loop
        trace = tensors_of_a_trace(frames, columns)
        operations = {operation for operation, _ in trace}
        assert {"While", "StatelessWhile", "scan", "while"} & operations, "the loop was not traced"
        assert not [name for name in operations if "callback" in name or "PyFunc" in name]
        clips, states = 2, 2 * (columns + 2)
        assert max(size for _, size in trace) <= clips * (frames + 1) * max(states, 32)


@on_tensorflow
def test_one_trace_for_every_length() -> None:
    import tensorflow as tf

    signature = [
        tf.TensorSpec([None, None, 4]),
        tf.TensorSpec([None, None], "int64"),
        tf.TensorSpec([None], "int32"),
    ]

    @tf.function(input_signature=signature)
    def run(logits: Any, labels: Any, frames: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(logits)
            loss = ctc_loss(logits, labels, frames, reduction="none")
        return loss, tape.gradient(loss, logits)

    for clips, frames, columns in ((3, 7, 3), (2, 5, 2), (3, 7, 0), (1, 0, 1)):
        arguments = LOGITS[:clips, :frames], LABELS[:clips, :columns], np.full(clips, frames, "int32")
        for result, expected in zip(run(*arguments), loss_and_gradient("eager", *arguments), strict=True):
            np.testing.assert_allclose(result, expected, atol=1e-6)
    with pytest.raises(ValueError, match="vocabulary of unknown size"):
        tf.function(ctc_loss).get_concrete_function(
            tf.TensorSpec([None, None, None]), tf.TensorSpec([None, None], "int32")
        )


def on_tape(mode: str, persistent: bool) -> tuple[Any, Callable[[], Any]]:
    """A gradient that a tape outside of the compiled code takes, and a function that differentiates it again."""
    import tensorflow as tf

    def loss(logits: Any) -> Any:
        return ctc_loss(logits, LABELS)

    run = loss if mode == "eager" else tf.function(loss, jit_compile=mode == "xla")
    logits = tf.constant(LOGITS)
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape(persistent=persistent) as tape:
            tape.watch(logits)
            value = run(logits)
        gradient = tape.gradient(value, logits)
    return gradient, lambda: outer.gradient(gradient, logits)


@on_tensorflow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("persistent", [False, True])
def test_tapes_outside_of_compiled_code(mode: str, persistent: bool) -> None:
    """Nested and persistent tapes have TensorFlow build second derivatives: that is no error as long as none is asked for."""
    import tensorflow as tf

    _, expected = loss_and_gradient("eager", LOGITS, LABELS, reduction="mean")
    gradient, again = on_tape(mode, persistent)
    np.testing.assert_allclose(gradient, expected, atol=1e-6)
    if mode == "xla":
        assert np.isnan(again()).all()
    else:
        with pytest.raises(
            (NotImplementedError, tf.errors.InvalidArgumentError), match="first derivative only"
        ):
            again()


@on_tensorflow
def test_a_second_derivative_in_a_graph() -> None:
    import tensorflow as tf

    @tf.function
    def second(logits: Any) -> Any:
        with tf.GradientTape() as outer:
            outer.watch(logits)
            with tf.GradientTape() as tape:
                tape.watch(logits)
                loss = ctc_loss(logits, LABELS)
            gradient = tape.gradient(loss, logits)
        return outer.gradient(gradient, logits)

    with pytest.raises(tf.errors.InvalidArgumentError, match="first derivative only"):
        second(tf.constant(LOGITS))


@on_jax
def test_second_derivatives_and_forward_mode_on_jax() -> None:
    import jax

    def loss(logits: Any) -> Any:
        return ctc_loss(logits, LABELS)

    with pytest.raises(NotImplementedError, match="first derivative only"):
        jax.grad(lambda x: jax.grad(loss)(x)[0, 0, 0])(LOGITS)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(loss, (LOGITS,), (LOGITS,))


@on_jax
def test_vmap() -> None:
    import jax

    logits, labels = np.stack([LOGITS, LOGITS[::-1]]), np.stack([LABELS, LABELS[::-1]])
    values, gradients = jax.vmap(jax.value_and_grad(lambda x, y: ctc_loss(x, y)))(logits, labels)
    expected, slope = loss_and_gradient(COMPILED, LOGITS, LABELS, reduction="mean")
    np.testing.assert_allclose(values, [expected] * 2, rtol=1e-6)
    np.testing.assert_allclose(gradients, [slope, slope[::-1]], atol=1e-6)


@on_torch
def test_a_second_derivative_on_torch() -> None:
    import torch

    logits = torch.tensor(LOGITS, requires_grad=True)
    (gradient,) = torch.autograd.grad(ctc_loss(logits, LABELS), logits, create_graph=True)
    with pytest.raises(NotImplementedError, match="first derivative only"):
        gradient.sum().backward()


def test_descent_spells_the_target() -> None:
    """Gradient steps make the likeliest path of every clip its target."""
    logits = np.zeros((3, 12, 4), "float32")
    for _ in range(60):
        _, gradients = loss_and_gradient(COMPILED, logits, LABELS)
        logits -= 4.0 * gradients
    best = keras.ops.convert_to_numpy(keras.ops.argmax(logits, axis=-1))
    spelled = [[a for a, b in zip(row, [0, *row[:-1]], strict=True) if a != b and a] for row in best]
    assert spelled == [[label for label in row if label > 0] for row in LABELS.tolist()]
