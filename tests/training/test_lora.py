"""LoRA: what it computes, what it trains, and where what it learnt goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.gradients import output_and_gradients
from tests.heads.family import STILL, main_field, padded_batch, tiny, training_batch
from tfwav2vec2 import TFWav2Vec2ForCTC
from tfwav2vec2.backbone.low_rank import low_rank_layers
from tfwav2vec2.backbone.naming import name_of, named_variables
from tfwav2vec2.training.lora import ATTENTION, FEED_FORWARD, enable_lora, merge_lora
from tfwav2vec2.training.lora_files import load_lora, save_lora

pytestmark = pytest.mark.slow

RANK = 3
HEAD = {"lm_head.kernel", "lm_head.bias"}


def array(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))


def values(model: Any) -> dict[str, np.ndarray]:
    return {name: array(variable) for name, variable in named_variables(model).items()}


def answer(model: Any) -> np.ndarray:
    return array(model(padded_batch())[main_field(type(model).__name__)])


def make(name: str = "TFWav2Vec2ForCTC", **overrides: Any) -> Any:
    return tiny(name, **{**STILL, "num_hidden_layers": 1, **overrides})


def learn(model: Any) -> None:
    """As if the thin matrices had been trained."""
    rng = np.random.default_rng(3)
    for layer in low_rank_layers(model):
        for variable in layer.low_rank.values():
            variable.assign(rng.standard_normal(variable.shape).astype("float32"))


def trained(model: Any) -> set[str]:
    return {name_of(variable) for variable in model.trainable_variables}


def adapted(config: dict[str, Any] | None = None, **options: Any) -> Any:
    model = make(**(config or {}))
    enable_lora(model, RANK, **{"alpha": 6.0, **options})
    learn(model)
    return model


@pytest.mark.parametrize("name", ["TFWav2Vec2ForCTC", "TFWav2Vec2Model"])
def test_it_changes_nothing_at_first(name: str) -> None:
    model = make(name)
    before = answer(model)
    enable_lora(model, RANK)
    np.testing.assert_array_equal(answer(model), before)
    assert len(low_rank_layers(model)) == len(ATTENTION + FEED_FORWARD)


def test_a_layer_adds_the_product_of_its_thin_matrices() -> None:
    model = adapted()
    layer = low_rank_layers(model)[0]
    x = np.random.default_rng(0).standard_normal((2, 5, layer.kernel.shape[0])).astype("float32")
    a, b = (array(variable) for variable in layer.low_rank.values())
    expected = x @ (array(layer.kernel) + 6.0 / RANK * a @ b) + array(layer.bias)
    np.testing.assert_allclose(array(layer(x)), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        array(layer.merged_kernel()), expected_kernel(layer, a, b), rtol=1e-5, atol=1e-6
    )


def expected_kernel(layer: Any, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return array(layer.kernel) + 2.0 * a @ b


def test_the_matrices_begin_as_published() -> None:
    """Zeros in the second, torch's default for linear layers in the first: its bound is 1 / sqrt(inputs)."""
    model = make(hidden_size=256, num_conv_pos_embedding_groups=16, num_attention_heads=4)
    enable_lora(model, 16, targets=["q_proj"])
    a, b = low_rank_layers(model)[0].low_rank.values()
    assert not array(b).any()
    assert np.abs(array(a)).max() == pytest.approx(1 / 16, rel=0.01)
    assert array(a).std() == pytest.approx(1 / 16 / np.sqrt(3), rel=0.05)


def test_the_thin_matrices_and_the_head_train_and_nothing_else() -> None:
    model = make()
    share = enable_lora(model, RANK)
    assert trained(model) - HEAD == {
        f"wav2vec2.encoder.layers.0.{owner}.{target}.lora_{letter}"
        for owner, targets in (("attention", ATTENTION), ("feed_forward", FEED_FORWARD))
        for target in targets
        for letter in "ab"
    }
    assert trained(model) > HEAD
    size, wide, letters = 16, 24, 10
    assert share.trainable == RANK * (4 * 2 * size + 2 * (size + wide)) + letters * (size + 1)
    assert share.total == sum(value.size for value in values(model).values()) + RANK * (
        8 * size + 2 * (size + wide)
    )
    assert str(share) == f"794 of {share.total:,} weights are trained ({794 / share.total:.2%})"


def test_gradients_are_those_of_the_merged_kernel() -> None:
    """The kernel's own gradient G gives scale * G b' and scale * a' G."""
    model = adapted(targets=["v_proj", "output_dense"])
    batch = training_batch(model)
    thin = next(layer for layer in low_rank_layers(model) if layer.name == "v_proj")
    a, b = (array(variable) for variable in thin.low_rank.values())
    found = gradients_of(model, list(thin.low_rank.values()), batch)
    plain = adapted(targets=["v_proj", "output_dense"])
    merge_lora(plain)
    _, gradients = output_and_gradients(plain, batch, training=True)
    kernel = gradients["wav2vec2.encoder.layers.0.attention.v_proj.kernel"]
    np.testing.assert_allclose(found[0], 2.0 * kernel @ b.T, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[1], 2.0 * a.T @ kernel, rtol=1e-3, atol=1e-4)


def gradients_of(model: Any, variables: list[Any], batch: dict[str, np.ndarray]) -> list[np.ndarray]:
    """By plain gradient descent with a rate of 1: what a step takes away."""
    before = [array(variable) for variable in variables]
    model.compile(keras.optimizers.SGD(1.0), metrics=[])
    model.fit(batch, batch_size=len(batch["labels"]), verbose=0, shuffle=False)
    return [old - array(variable) for old, variable in zip(before, variables, strict=True)]


def test_merging_makes_a_plain_model_that_computes_the_same(tmp_path: Path) -> None:
    model = adapted()
    expected = answer(model)
    model.save_pretrained(tmp_path)
    merge_lora(model)
    np.testing.assert_allclose(answer(model), expected, rtol=1e-4, atol=1e-4)
    plain = make()
    assert trained(model) == trained(plain)
    assert values(model).keys() == values(plain).keys()
    # What was saved before merging is the merged model, bit for bit.
    again = TFWav2Vec2ForCTC.from_pretrained(tmp_path)
    assert again.lora is None
    for name, value in values(again).items():
        np.testing.assert_array_equal(value, values(model)[name], err_msg=name)


def test_dropout_is_before_the_thin_matrices_alone() -> None:
    model = adapted(dropout=0.5)
    layer = low_rank_layers(model)[0]
    x = np.ones((1, 400, layer.kernel.shape[0]), "float32")
    a, b = (array(variable) for variable in layer.low_rank.values())
    learnt = array(layer(x, training=True)) - x @ array(layer.kernel) - array(layer.bias)
    wanted = 2.0 * (x @ a @ b)[0, 0]
    assert learnt.std(axis=(0, 1)).min() > 0.1 * np.abs(wanted).max()
    np.testing.assert_allclose(learnt.mean(axis=(0, 1)), wanted, atol=0.25 * np.abs(wanted).max())
    np.testing.assert_allclose(
        array(layer(x, training=False))[0, 0],
        wanted + (x @ array(layer.kernel))[0, 0] + array(layer.bias),
        rtol=1e-3,
    )


def test_what_was_learnt_goes_to_another_copy_of_the_model(tmp_path: Path) -> None:
    model = adapted()
    model.lm_head.bias.assign(np.arange(10, dtype="float32"))
    save_lora(model, tmp_path)
    other = make()
    load_lora(other, tmp_path)
    np.testing.assert_array_equal(answer(other), answer(model))
    # Once more, into a model that has LoRA already.
    learn(other)
    load_lora(other, tmp_path)
    np.testing.assert_array_equal(answer(other), answer(model))
    size = (tmp_path / "adapter_model.safetensors").stat().st_size
    model.save_pretrained(tmp_path / "whole")
    assert size < 0.5 * (tmp_path / "whole" / "model.safetensors").stat().st_size


def test_keras_files_keep_the_thin_matrices_apart(tmp_path: Path) -> None:
    model = adapted(dropout=0.1)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.lora == model.lora
    np.testing.assert_array_equal(answer(again), answer(model))
    assert [name_of(item) for item in again.trainable_variables] == [
        name_of(item) for item in model.trainable_variables
    ]
    for found, expected in zip(again.trainable_variables, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(array(found), array(expected))


def test_weights_without_lora_are_refused_by_a_model_with_it(tmp_path: Path) -> None:
    make().save_weights(tmp_path / "plain.weights.h5")
    model = adapted()
    with pytest.raises(ValueError, match="load it before enable_lora"):
        model.load_weights(tmp_path / "plain.weights.h5")


def test_mixed_precision_keeps_the_thin_matrices_in_float32() -> None:
    model = tiny("TFWav2Vec2ForCTC", "mixed_bfloat16", **STILL, num_hidden_layers=1)
    before = answer(model)
    enable_lora(model, RANK)
    assert {variable.dtype for layer in low_rank_layers(model) for variable in layer.low_rank.values()} == {
        "float32"
    }
    np.testing.assert_array_equal(answer(model), before)
    learn(model)
    assert np.any(answer(model) != before)


def test_the_compiled_call_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was compiled before LoRA holds the old layers."""
    model = make()
    model.configure_call(jit_compile=True)
    before = answer(model)
    enable_lora(model, RANK)
    model.configure_call(jit_compile=True)
    learn(model)
    assert np.abs(answer(model) - before).max() > 0.1


def test_a_compiled_model_has_to_be_compiled_again() -> None:
    model = make()
    model.compile(metrics=[])
    enable_lora(model, RANK)
    with pytest.raises(ValueError, match="compile"):
        model.fit(training_batch(model), verbose=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["query"]}, "the layers inside the encoder's layers are intermediate_dense, k_proj"),
        ({"targets": []}, "targets are"),
        ({"rank": 0}, "a rank of 1 or more"),
        ({"alpha": 0.0}, "an alpha above 0"),
        ({"dropout": 1.0}, "a dropout from 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        enable_lora(make(), **options)


def test_twice_and_none_are_refused(tmp_path: Path) -> None:
    model = make()
    for use in (merge_lora, lambda model: save_lora(model, tmp_path)):
        with pytest.raises(ValueError, match="has no LoRA"):
            use(model)
    enable_lora(model)
    with pytest.raises(ValueError, match="has LoRA of rank 8 already"):
        enable_lora(model)


def test_files_of_another_model_are_refused(tmp_path: Path) -> None:
    model = adapted()
    save_lora(model, tmp_path)
    path = tmp_path / "adapter_model.safetensors"
    held = load_file(path)
    head = held.pop("base_model.model.lm_head.bias")
    save_file(held | {"stranger": head}, path)
    before = answer(model)
    with pytest.raises(
        ValueError, match=r"(?s)missing: base_model.model.lm_head.bias.*not expected: stranger"
    ):
        load_lora(model, tmp_path)
    np.testing.assert_array_equal(answer(model), before)
    with pytest.raises(ValueError, match="but the model has"):
        load_lora(adapted(alpha=1.0), tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"use_dora": True}, "asks for use_dora=True"),
        ({"bias": "all"}, "asks for bias='all'"),
        ({"target_modules": ".*proj"}, "target_modules, a list"),
        ({"r": None}, "must hold r"),
    ],
)
def test_what_peft_computes_otherwise_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    from tfwav2vec2.weights.files import read_json, write_json

    save_lora(adapted(), tmp_path)
    path = tmp_path / "adapter_config.json"
    write_json(path, read_json(path) | change)
    with pytest.raises(ValueError, match=message):
        load_lora(make(), tmp_path)
