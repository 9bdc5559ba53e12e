"""The metrics as ``fit`` and ``evaluate`` report them: by default, by choice, and after a model was saved."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.backbone.conftest import to_numpy
from tests.heads.family import HEADS, STILL, labels_for, padded_batch, tiny, training_batch
from tests.metrics.test_error_rates import fewest_errors
from tfwav2vec2.metrics.head_metrics import CharacterErrorRate, ClassAccuracy, WordErrorRate
from tfwav2vec2.metrics.verification import EqualErrorRate

pytestmark = pytest.mark.slow

TENSORFLOW = keras.backend.backend() == "tensorflow"
DELIMITER = 4
SMALL = {**STILL, "num_hidden_layers": 1}
CTC, CLASSIFIER = "TFWav2Vec2ForCTC", "TFWav2Vec2ForSequenceClassification"
VOICES = "TFWav2Vec2ForXVector"
NAMES = {
    CTC: ["wer", "cer"],
    CLASSIFIER: ["accuracy"],
    "TFWav2Vec2ForAudioFrameClassification": ["accuracy"],
    "TFWav2Vec2ForXVector": ["accuracy", "eer"],
    "TFWav2Vec2ForPreTraining": ["contrastive_accuracy", "codebook_perplexity"],
}


def make(name: str, **overrides: Any) -> Any:
    return tiny(name, **{**SMALL, "word_delimiter_token_id": DELIMITER, **overrides})


def frozen_optimizer() -> keras.optimizers.Optimizer:
    """Steps change nothing, so that what they measure can be compared."""
    return keras.optimizers.SGD(0.0)


def edits(model: Any, labels: np.ndarray) -> dict[str, float]:
    """The error rates of a model's greedy transcripts, on the host."""
    output = model(padded_batch())
    counts = {"wer": [0, 0], "cer": [0, 0]}
    for logits, length, row in zip(
        to_numpy(output.logits), to_numpy(output.frame_lengths), labels, strict=True
    ):
        path = logits[:length].argmax(-1)
        path = path[np.insert(path[1:] != path[:-1], 0, True)]
        found, said = (
            "".join(" " if token == DELIMITER else chr(65 + token) for token in tokens).strip()
            for tokens in (path[path != 0], row[row > 0])
        )
        for name, pair in {"cer": (said, found), "wer": (said.split(), found.split())}.items():
            counts[name][0] += fewest_errors(*pair)
            counts[name][1] += len(pair[0])
    return {name: errors / units for name, (errors, units) in counts.items()}


@pytest.mark.parametrize("name", HEADS)
def test_every_task_has_its_metrics_in_training_and_validation(name: str) -> None:
    model = make(name, apply_spec_augment=name.endswith("PreTraining"), mask_time_prob=0.3)
    batch = training_batch(model)
    model.compile()
    assert model.metrics_names == ["loss", *NAMES[name]]
    history = model.fit(batch, validation_data=(batch,), batch_size=4, verbose=0).history
    assert set(history) == {
        f"{prefix}{metric}" for prefix in ("", "val_") for metric in ["loss", *NAMES[name]]
    }
    assert np.isfinite([values[-1] for values in history.values()]).all()


@pytest.mark.parametrize(
    ("in_x", "jit_compile", "steps"), [(True, False, 1), (False, False, 3), (True, True, 1), (False, True, 1)]
)
def test_error_rates_are_those_of_greedy_transcripts(in_x: bool, jit_compile: bool, steps: int) -> None:
    if not TENSORFLOW and not jit_compile:
        pytest.skip("JAX always compiles")
    model = make(CTC)
    labels = np.array([[3, 4, 5, -100], [5, -100, -100, -100], [6, 4, 6, 7], [8, 9, 4, 3]], "int32")
    model.compile(frozen_optimizer(), jit_compile=jit_compile, steps_per_execution=steps)
    batch = padded_batch()
    arguments = (batch | {"labels": labels},) if in_x else (batch, labels)
    expected = edits(model, labels)
    assert 0 < expected["cer"] != expected["wer"]
    measured = model.evaluate(*arguments, batch_size=1, verbose=0, return_dict=True)
    for name, rate in expected.items():
        assert measured[name] == pytest.approx(rate, rel=1e-5)


def test_metrics_of_training_are_those_of_its_steps() -> None:
    model = make(CTC)
    model.compile(frozen_optimizer())
    labels = labels_for(CTC, 0)
    history = model.fit(padded_batch() | {"labels": labels}, batch_size=2, epochs=2, verbose=0).history
    expected = edits(model, labels)
    for name, rate in expected.items():
        assert history[name] == pytest.approx([rate, rate], rel=1e-5)


def test_class_accuracy_is_that_of_the_predictions() -> None:
    model = make(CLASSIFIER)
    batch = training_batch(model)
    model.compile()
    predicted = to_numpy(model(padded_batch()).logits).argmax(-1)
    measured = model.evaluate(batch, batch_size=3, verbose=0, return_dict=True)
    assert measured["accuracy"] == pytest.approx(np.mean(predicted == batch["labels"]))


def test_speakers_are_named_by_the_scores() -> None:
    model = make("TFWav2Vec2ForXVector")
    batch = training_batch(model)
    scores = to_numpy(model(padded_batch()).speaker_scores)
    assert scores.shape == (4, 3)
    assert (np.abs(scores) <= 1 + 1e-6).all()
    model.compile()
    measured = model.evaluate(batch, batch_size=2, verbose=0, return_dict=True)
    assert measured["accuracy"] == pytest.approx(np.mean(scores.argmax(-1) == batch["labels"]))


def test_without_a_delimiter_there_is_no_word_error_rate(caplog: pytest.LogCaptureFixture) -> None:
    model = make(CTC, word_delimiter_token_id=None)
    with caplog.at_level(logging.WARNING):
        model.compile()
    assert model.metrics_names == ["loss", "cer"]
    assert "set it to the word_delimiter_token_id of the tokenizer" in caplog.text
    model.config.word_delimiter_token_id = DELIMITER
    model.compile()
    assert model.metrics_names == ["loss", "wer", "cer"]


@pytest.mark.parametrize("nothing", [None, []])
def test_no_metrics_are_none(nothing: Any) -> None:
    model = make(CLASSIFIER)
    model.compile(metrics=nothing)
    assert isinstance(model.evaluate(training_batch(model), verbose=0), float)


def test_own_loss_brings_no_metrics_of_the_task() -> None:
    model = make(CLASSIFIER)
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batch = padded_batch()
    assert isinstance(model.evaluate(batch, labels_for(CLASSIFIER, 0), verbose=0), float)


@pytest.mark.parametrize("in_x", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_keras_metrics_read_the_logits(in_x: bool, named: bool) -> None:
    model = make(CLASSIFIER)
    batch = training_batch(model)
    arguments = (batch,) if in_x else ({k: v for k, v in batch.items() if k != "labels"}, batch["labels"])
    crossentropy = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="entropy")
    chosen = {"logits": [crossentropy]} if named else [crossentropy, "accuracy", ClassAccuracy(name="own")]
    model.compile(metrics=chosen)
    measured = model.evaluate(*arguments, batch_size=4, verbose=0, return_dict=True)
    entropy = next(value for key, value in measured.items() if key.endswith("entropy"))
    assert entropy == pytest.approx(measured["loss"], rel=1e-4)
    if not named:
        assert measured["accuracy"] == measured["own"]


def test_weighted_metrics_regard_sample_weights() -> None:
    model = make(CLASSIFIER)
    labels = labels_for(CLASSIFIER, 0)
    right = to_numpy(model(padded_batch()).logits).argmax(-1) == labels
    weights = np.array([1, 2, 3, 4], "float32")
    model.compile(metrics=None, weighted_metrics=["accuracy"])
    measured = model.evaluate(
        padded_batch(), labels, sample_weight=weights, batch_size=4, verbose=0, return_dict=True
    )
    assert measured["accuracy"] == pytest.approx((right * weights).sum() / weights.sum())


def test_a_compiled_model_comes_back_compiled(tmp_path: Path) -> None:
    model = make(CTC)
    model.freeze_feature_encoder()
    batch = training_batch(model)
    model.compile(keras.optimizers.Adam(1e-3), steps_per_execution=2)
    model.fit(batch, batch_size=2, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.metrics_names == ["loss", "wer", "cer"]
    assert [v.path for v in loaded.trainable_variables] == [v.path for v in model.trainable_variables]
    assert loaded.steps_per_execution == 2
    for mine, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(other), to_numpy(mine))
    history = loaded.fit(batch, batch_size=2, verbose=0).history
    assert set(history) == {"loss", "wer", "cer"}
    assert int(loaded.optimizer.iterations) == 4


def test_own_choices_come_back(tmp_path: Path) -> None:
    model = make(CTC)
    entropy = keras.metrics.SparseCategoricalCrossentropy(name="entropy")
    model.compile("sgd", metrics=[CharacterErrorRate(name="letters"), WordErrorRate(5), entropy])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    # Keras makes its own when it sees the first batch.
    assert loaded.metrics_names == ["loss", "compile_metrics", "letters", "wer"]
    assert loaded.metrics[-1].word_delimiter_token_id == 5
    assert not keras.saving.load_model(tmp_path / "model.keras", compile=False).compiled


@pytest.mark.parametrize("jit_compile", ["auto", True])
def test_how_steps_run_comes_back(tmp_path: Path, jit_compile: str | bool) -> None:
    """What "auto" means is for the machine to say that opens the file."""
    model = make("TFWav2Vec2ForXVector")
    model.compile("sgd", metrics=[EqualErrorRate(8, memory=5)], jit_compile=jit_compile)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.jit_compile == model.jit_compile
    assert loaded.get_compile_config()["jit_compile"] == jit_compile
    assert loaded.metrics[-1].memory == 5


def test_mixed_precision_measures_alike() -> None:
    labels = labels_for(CTC, 0)
    model = tiny(CTC, dtype="mixed_bfloat16", **SMALL, word_delimiter_token_id=DELIMITER)
    model.compile()
    measured = model.evaluate(padded_batch() | {"labels": labels}, verbose=0, return_dict=True)
    for name, rate in edits(model, labels).items():
        assert measured[name] == pytest.approx(rate, rel=1e-5)


# What a process with two devices does before TensorFlow or JAX has looked at the machine, and under what it measures.
TWO_DEVICES = {
    "tensorflow": """
import tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
scope = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope()
""",
    "jax": """
import jax
jax.config.update("jax_num_cpu_devices", 2)
assert len(jax.devices()) == 2
import keras
scope = keras.distribution.DataParallel(auto_shard_dataset=False).scope()
""",
}
MEASURE = """
import json
from tests.metrics.test_metrics_in_fit import CTC, VOICES, measure
with scope:
    print(json.dumps([measure(CTC), measure(VOICES)]))
"""


def measure(name: str) -> dict[str, float]:
    """The metrics of two batches."""
    model = make(name)
    model.compile()
    batch = padded_batch() | {"labels": labels_for(name, 0)}
    twice = {key: np.concatenate([values, values[::-1]]) for key, values in batch.items()}
    return model.evaluate(twice, batch_size=4, verbose=0, return_dict=True)


def test_two_devices_count_what_one_counts() -> None:
    program = TWO_DEVICES[keras.backend.backend()] + MEASURE
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    of_speech, of_voices = json.loads(run.stdout.splitlines()[-1])
    for name, rate in edits(make(CTC), labels_for(CTC, 0)).items():
        assert of_speech[name] == pytest.approx(rate, rel=1e-5)
    expected = measure(VOICES)
    assert 0 < expected["eer"] < 1
    assert of_voices == pytest.approx(expected, rel=1e-5)
