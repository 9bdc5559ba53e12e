"""Several devices and several processes train as one device does with the same global batches."""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfwav2vec2.training.distribute import STRATEGIES, Cluster, distribute

pytestmark = pytest.mark.slow

TENSORFLOW = keras.backend.backend() == "tensorflow"
JAX = keras.backend.backend() == "jax"
REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 400

on_tensorflow = pytest.mark.skipif(not TENSORFLOW, reason="TensorFlow's strategies")
on_jax = pytest.mark.skipif(not JAX, reason="JAX's strategies")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What the scenarios of clustered.py found, by name, one for each process; they run side by side."""
    folder = tmp_path_factory.mktemp("clustered")
    ports = list(_free_ports(2))
    if TENSORFLOW:
        cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
        places = [
            {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
            for index in range(2)
        ]
        started = [("mirrored", {}), *[("workers", place) for place in places]]
    else:
        places = [
            {
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{ports[0]}",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
            }
            for index in range(2)
        ]
        started = [("devices", {}), *[("processes", place) for place in places]]
    running = [_Run(name, place, folder, number) for number, (name, place) in enumerate(started)]
    found: dict[str, list[dict[str, Any]]] = {}
    try:
        for run in running:
            found.setdefault(run.scenario, []).append(run.answer())
    finally:
        for run in running:
            run.process.kill()
    return found


def _free_ports(count: int) -> Iterator[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    for server in sockets:
        yield server.getsockname()[1]
        server.close()


class _Run:
    """A scenario in a process of its own."""

    def __init__(self, scenario: str, place: dict[str, str], folder: Path, number: int) -> None:
        self.scenario = scenario
        self._answer = folder / f"answer-{number}.json"
        self._log = folder / f"log-{number}.txt"
        # Programs for a tiny model take longer to optimize than to run.
        quick = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
        worker = ("tests.training.clustered", scenario)
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error::UserWarning", "-m", *worker, str(folder), str(self._answer)],
                cwd=REPOSITORY,
                env=os.environ | {"XLA_FLAGS": quick} | place,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def answer(self) -> dict[str, Any]:
        try:
            code = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            code = f"nothing in {SECONDS} s"
        log = self._log.read_text(errors="replace")[-4000:]
        assert code == 0, f"{self.scenario} ended with {code}:\n{log}"
        return json.loads(self._answer.read_text(encoding="utf-8"))


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert len(found["losses"]) == 4
    np.testing.assert_allclose(found["losses"], expected["losses"], rtol=1e-5)
    for name, values in found["history"].items():
        np.testing.assert_allclose(values, expected["history"][name], rtol=1e-5, err_msg=name)
    for value, wanted in zip(found["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(value, wanted, atol=2e-6)
    # A model that learns nothing would be the same everywhere.
    assert not math.isclose(expected["losses"][0], expected["losses"][2], rel_tol=3e-4)


@on_tensorflow
@pytest.mark.parametrize("head", ["ctc_mean", "ctc_sum", "ctc_clipped", "frames"])
def test_two_devices_train_as_one(answers: dict[str, list[dict[str, Any]]], head: str) -> None:
    found = answers["mirrored"][0]
    assert found["replicas"] == 2
    assert_same(found[head]["mirrored"], found[head]["none"])


@on_tensorflow
def test_shares_of_a_loss_sum_to_it(answers: dict[str, list[dict[str, Any]]]) -> None:
    shares, sums = answers["mirrored"][0]["shares"]
    # A replica without terms has a share of zero; a sum is left as it is.
    assert shares == [5.0, 0.0]
    assert sums[0] == 5.0
    assert math.isnan(sums[1])


@on_tensorflow
def test_accumulation_over_replicas_is_refused(answers: dict[str, list[dict[str, Any]]]) -> None:
    assert "without gradient_accumulation_steps" in answers["mirrored"][0]["accumulation"]


@on_tensorflow
def test_the_same_devices_have_one_strategy(answers: dict[str, list[dict[str, Any]]]) -> None:
    assert answers["mirrored"][0]["same engine"]


@on_tensorflow
def test_two_workers_train_as_one_device_and_take_a_training_up(
    answers: dict[str, list[dict[str, Any]]],
) -> None:
    expected = answers["mirrored"][0]["ctc_mean"]["none"]
    assert [found["shard"] for found in answers["workers"]] == [[0, 2], [1, 2]]
    for found in answers["workers"]:
        assert found["ctc_mean"]["multiworker"]["history"].keys() == expected["history"].keys()
        assert {"loss", "cer", "val_wer"} <= expected["history"].keys()
        assert_same(found["ctc_mean"]["multiworker"], expected)
        assert found["lowest"] == 9
        for name, value in found["evaluated"].items():
            np.testing.assert_allclose(value, expected["history"][f"val_{name}"][-1], rtol=1e-5, err_msg=name)


@on_jax
@pytest.mark.parametrize("strategy", ["data_parallel", "model_parallel"])
def test_two_devices_draw_and_train_as_one(answers: dict[str, list[dict[str, Any]]], strategy: str) -> None:
    found = answers["devices"][0]["ctc_drawing"]
    assert_same(found[strategy], found["none"])


@on_jax
def test_two_processes_draw_and_train_as_one_device(answers: dict[str, list[dict[str, Any]]]) -> None:
    expected = answers["devices"][0]["ctc_drawing"]["none"]
    assert [found["shard"] for found in answers["processes"]] == [[0, 2], [1, 2]]
    for found in answers["processes"]:
        assert_same(found["ctc_drawing"]["data_parallel"], expected)
        assert found["lowest"] == 9


@on_jax
def test_each_device_holds_its_part_of_the_transformer(answers: dict[str, list[dict[str, Any]]]) -> None:
    parts = {
        path: (tuple(whole), tuple(part)) for path, (whole, part) in answers["devices"][0]["parts"].items()
    }
    divided = {path for path, (whole, part) in parts.items() if whole != part}
    weights = {path for path in divided if not path.startswith("sgd")}
    # Seven by their outputs, kernels and biases but for one kernel each of two by their inputs.
    assert len(weights) == 10
    assert len(divided) == 2 * len(weights), "the optimizer's moments lie as the weights do"
    for name, whole, part in (
        ("attention/q_proj/kernel", (16, 16), (16, 8)),
        ("attention/k_proj/bias", (16,), (8,)),
        ("attention/out_proj/kernel", (16, 16), (8, 16)),
        ("feed_forward/intermediate_dense/kernel", (16, 24), (16, 12)),
        ("feed_forward/output_dense/kernel", (24, 16), (12, 16)),
        ("feed_forward/output_dense/bias", (16,), (16,)),
        ("lm_head/kernel", (16, 10), (16, 10)),
    ):
        assert [sizes for path, sizes in parts.items() if path.endswith(name)] == [(whole, part)]


@on_jax
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("elsewhere", "make the model inside the scope"),
        ("not divided", "in parts of"),
        ("no such weight", "no_such_layer"),
        ("heads", "3 attention heads, which 2 devices cannot divide"),
    ],
)
def test_a_model_that_does_not_lie_as_it_should_is_refused(
    answers: dict[str, list[dict[str, Any]]], fault: str, message: str
) -> None:
    assert message in answers["devices"][0]["errors"][fault]


def test_one_device_needs_nothing() -> None:
    cluster = distribute()
    assert cluster == Cluster()
    assert cluster.shard == (0, 1)
    assert cluster.is_chief
    assert cluster.lowest(7) == 7
    with cluster.scope():
        assert keras.distribution.distribution() is None


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(ValueError, match="strategy is 'horovod'; it must be one of none, mirrored"):
        distribute("horovod")


def test_a_strategy_of_another_backend_is_refused() -> None:
    other, backend = ("data_parallel", "jax") if TENSORFLOW else ("multiworker", "tensorflow")
    with pytest.raises(ValueError, match=f"set KERAS_BACKEND={backend}, or use one of none, "):
        distribute(other)


def test_options_of_other_strategies_are_refused() -> None:
    for strategy in STRATEGIES:
        if strategy in (("mirrored",) if TENSORFLOW else ("data_parallel",)):
            with pytest.raises(ValueError, match=f"model_shards is for .*'{strategy}'"):
                distribute(strategy, model_shards=2)
    with pytest.raises(ValueError, match="'none' takes no devices"):
        distribute(devices=["CPU:0"])


@on_tensorflow
def test_workers_must_be_told_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        distribute("multiworker")


@on_tensorflow
def test_workers_are_set_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    keras.ops.zeros(())
    place = {"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(place))
    with pytest.raises(RuntimeError, match="call distribute first"):
        distribute("multiworker")


@on_jax
def test_shards_must_divide_the_devices() -> None:
    with pytest.raises(ValueError, match="cannot be divided among 2 of 3 devices"):
        distribute("model_parallel", devices=["cpu:0", "cpu:1", "cpu:2"], model_shards=2)


@on_jax
def test_a_model_is_divided_within_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_DISTRIBUTION_NUM_PROCESSES", "2")
    with pytest.raises(ValueError, match="for several processes use 'data_parallel'"):
        distribute("model_parallel")


@on_tensorflow
@settings(max_examples=20)
@given(batches=st.integers(1, 3), parts=st.integers(1, 4), each=st.integers(1, 3))
def test_rows_are_divided_in_their_order(batches: int, parts: int, each: int) -> None:
    import tensorflow as tf

    from tfwav2vec2.training.replicas import divide_rows

    rows = np.arange(batches * parts * each)
    whole = tf.data.Dataset.from_tensor_slices({"a": rows, "b": np.stack([rows, -rows], axis=1)})
    divided = divide_rows(whole.batch(parts * each), parts)
    assert divided.cardinality() == batches * parts
    found = list(divided.as_numpy_iterator())
    assert [len(batch["a"]) for batch in found] == [each] * batches * parts
    np.testing.assert_array_equal(np.concatenate([batch["a"] for batch in found]), rows)
    np.testing.assert_array_equal(np.concatenate([batch["b"] for batch in found])[:, 1], -rows)


@on_tensorflow
def test_rows_that_cannot_be_divided_are_refused() -> None:
    import tensorflow as tf

    from tfwav2vec2.training.replicas import divide_rows

    divided = divide_rows(tf.data.Dataset.range(3).batch(3), 2)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a multiple of the 2 devices of a worker"):
        next(iter(divided))
