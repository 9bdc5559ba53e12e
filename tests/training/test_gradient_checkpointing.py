"""Gradient checkpointing: the same gradients, dropout included, from less memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.gradients import output_and_gradients
from tests.heads.family import tiny, training_batch
from tests.training.peak_memory import STATUS
from tfwav2vec2.training.lora import enable_lora

pytestmark = pytest.mark.slow

BACKEND = keras.backend.backend()
# Few convolutions: most of the time goes into compiling.
SMALL = {"num_hidden_layers": 1, "conv_dim": [8, 8], "conv_stride": [10, 3], "conv_kernel": [20, 4]}
RANDOM = {"hidden_dropout": 0.3, "attention_dropout": 0.3, "activation_dropout": 0.3, "layerdrop": 0.3}
NAME = "TFWav2Vec2ForSequenceClassification"


def array(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))


def make(checkpointing: bool, dtype: str = "float32", **fields: Any) -> Any:
    model = tiny(NAME, dtype, **{**RANDOM, **SMALL, **fields})
    if checkpointing:
        model.gradient_checkpointing_enable()
    return model


@pytest.mark.parametrize(
    ("dtype", "fields"),
    [
        ("float32", {"mask_time_prob": 0.3}),
        ("mixed_bfloat16", {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}),
    ],
)
def test_output_and_gradients_are_the_same_and_so_is_every_random_number(
    dtype: str, fields: dict[str, Any]
) -> None:
    plain, saving = make(False, dtype, **fields), make(True, dtype, **fields)
    batch = training_batch(plain)
    output, gradients = output_and_gradients(plain, batch, training=True)
    same_output, same_gradients = output_and_gradients(saving, batch, training=True)
    np.testing.assert_allclose(array(same_output["logits"]), array(output["logits"]), rtol=1e-5, atol=1e-6)
    assert any(np.any(array(gradient)) for gradient in gradients.values() if gradient is not None)
    for name, gradient in gradients.items():
        if gradient is None:
            assert same_gradients[name] is None, name
        else:
            tolerance = (1e-2 if "bfloat16" in dtype else 1e-5) * np.abs(gradient).max() + 1e-6
            np.testing.assert_allclose(same_gradients[name], gradient, rtol=0, atol=tolerance, err_msg=name)


def two_steps(checkpointing: bool, jit_compile: bool) -> list[np.ndarray]:
    """What LoRA, with its own dropout, and the head learn; the feature encoder is frozen."""
    model = make(checkpointing)
    enable_lora(model, rank=2, targets=["q_proj", "output_dense"], dropout=0.3)
    model.compile(keras.optimizers.SGD(0.1), metrics=[], jit_compile=jit_compile)
    batch = {name: np.concatenate([value] * 2) for name, value in training_batch(model).items()}
    model.fit(batch, batch_size=4, verbose=0, shuffle=False)
    return [array(variable) for variable in model.trainable_variables]


@pytest.mark.parametrize("jit_compile", [False, True] if BACKEND == "tensorflow" else [True])
def test_fit_goes_the_same_way(jit_compile: bool) -> None:
    """Two steps, so that the seeds have to move on by as much."""
    for saving, plain in zip(two_steps(True, jit_compile), two_steps(False, jit_compile), strict=True):
        np.testing.assert_allclose(saving, plain, rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="JAX computes what it has traced once")
def test_a_layer_is_computed_twice_in_training_and_once_otherwise() -> None:
    model = make(True, layerdrop=0.0)
    layer = model.wav2vec2.encoder.layers[0]
    runs = []
    call = layer.call
    object.__setattr__(layer, "call", lambda *args, **kwargs: runs.append(1) or call(*args, **kwargs))
    batch = training_batch(model)
    model.configure_call(jit_compile=False)
    model(batch)
    assert len(runs) == 1
    output_and_gradients(model, batch, training=True)
    assert len(runs) == 3
    model.gradient_checkpointing_disable()
    output_and_gradients(model, batch, training=True)
    assert len(runs) == 4


def test_hidden_states_and_attentions_are_there_in_training() -> None:
    outputs = []
    for checkpointing in (False, True):
        model = make(checkpointing, output_attentions=True, output_hidden_states=True)
        outputs.append(model(training_batch(model), training=True))
    plain, saving = outputs
    for field in ("hidden_states", "attentions"):
        for found, expected in zip(saving[field], plain[field], strict=True):
            np.testing.assert_allclose(array(found), array(expected), rtol=1e-5, atol=1e-6)


def test_switching_traces_the_step_of_fit_anew() -> None:
    model = make(False)
    assert not model.is_gradient_checkpointing
    model.compile(metrics=[])
    model.make_train_function()
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    assert model.train_function is None
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing


@pytest.mark.skipif(BACKEND != "jax", reason="XLA tells how much memory a program needs on JAX alone")
def test_a_compiled_step_needs_less_memory() -> None:
    import jax

    def needed(checkpointing: bool) -> int:
        model = tiny(
            "TFWav2Vec2Model", **{**SMALL, "num_hidden_layers": 6}, layerdrop=0.0, mask_time_prob=0.0
        )
        if checkpointing:
            model.gradient_checkpointing_enable()
        other = [variable.value for variable in model.non_trainable_variables]
        waveform = np.zeros((2, 9000), "float32")

        def loss(trainable: Any) -> Any:
            output = model.stateless_call(trainable, other, waveform, training=True)[0]
            return keras.ops.sum(output["last_hidden_state"] ** 2)

        weights = [variable.value for variable in model.trainable_variables]
        return jax.jit(jax.grad(loss)).lower(weights).compile().memory_analysis().temp_size_in_bytes

    assert needed(True) < 0.6 * needed(False)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="a test of TensorFlow's graph")
@pytest.mark.skipif(not STATUS.is_file(), reason="needs Linux, where a process can read its peak of memory")
def test_a_step_of_the_graph_needs_less_memory() -> None:
    """Read off the system, in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-m", "tests.training.peak_memory"],
        cwd=REPOSITORY,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    raised = json.loads(run.stdout.splitlines()[-1])
    # 649 and 877 MB, graphs included. Without checkpoints a step forgets what stands between products by now, so that there
    # is less left to save than when it kept everything.
    assert raised["with"] < 0.85 * raised["without"]
