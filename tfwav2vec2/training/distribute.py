"""Training on several devices or machines, on the engines that TensorFlow and Keras have for it.

Every strategy means the same: a step takes one global batch, and its loss and its update are those of one device. The
rows of the batch are divided among the replicas, so it must hold a multiple of ``replicas`` rows.

    cluster = distribute("mirrored")
    data = SpeechData(..., divisible_by=cluster.replicas).shard(*cluster.shard)
    with cluster.scope():
        model = TFWav2Vec2ForCTC.from_pretrained(...)
        model.compile()
        model.fit(data.dataset(), verbose="auto" if cluster.is_chief else 0)
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

# Each strategy with the backend that it runs on.
_BACKENDS = {
    "mirrored": "tensorflow",
    "multiworker": "tensorflow",
    "data_parallel": "jax",
    "model_parallel": "jax",
}
STRATEGIES = ("none", *_BACKENDS)

# How Keras names what its launchers set (keras.distribution.initialize).
_KERAS_VARIABLES = (
    "KERAS_DISTRIBUTION_JOB_ADDRESSES",
    "KERAS_DISTRIBUTION_NUM_PROCESSES",
    "KERAS_DISTRIBUTION_PROCESS_ID",
)


@dataclass(frozen=True)
class Cluster:
    """The devices and processes that train one model together.

    Attributes:
        strategy: one of :data:`STRATEGIES`.
        process: which of the processes this is, from 0.
        processes: how many processes there are.
        replicas: how many replicas of the model share the rows of a global batch.
        engine: the ``tf.distribute.Strategy`` or ``keras.distribution.Distribution``; None on one device.
    """

    strategy: str = "none"
    process: int = 0
    processes: int = 1
    replicas: int = 1
    engine: Any = None

    @property
    def is_chief(self) -> bool:
        """Whether this is the process that reports progress and writes files: the first."""
        return self.process == 0

    @property
    def shard(self) -> tuple[int, int]:
        """Which part of every global batch this process loads, and of how many.

        ``SpeechData(..., divisible_by=cluster.replicas).shard(*cluster.shard).dataset()`` is what ``fit`` takes.
        """
        return self.process, self.processes

    @contextlib.contextmanager
    def scope(self) -> Iterator[None]:
        """Where the model and its optimizer are made, and where ``fit`` and ``evaluate`` are called."""
        with self.engine.scope() if self.engine is not None else contextlib.nullcontext():
            yield

    def lowest(self, number: int) -> int:
        """The lowest of the numbers with which all processes call this together, such as the step to go on from.

        Processes that were killed may have kept states of different steps.
        """
        if self.processes == 1:
            return number
        if self.strategy == "data_parallel":
            from jax.experimental import multihost_utils

            return int(multihost_utils.process_allgather(np.asarray(number)).min())
        import tensorflow as tf

        numbers = self.engine.run(lambda: tf.constant([number], tf.int64))
        return int(tf.reduce_min(self.engine.gather(numbers, axis=0)))


def distribute(
    strategy: str = "none", *, devices: Sequence[str] | None = None, model_shards: int | None = None
) -> Cluster:
    """Set up training on several devices; call it before anything is computed.

    - ``"none"``: one device.
    - ``"mirrored"``: the devices of one machine (TensorFlow's ``MirroredStrategy``).
    - ``"multiworker"``: several processes, on one machine or many (TensorFlow's ``MultiWorkerMirroredStrategy``). Each
      process is told its place by the environment variable TF_CONFIG.
    - ``"data_parallel"``: the devices of one or several processes (JAX, by ``keras.distribution``). Several processes
      are each told their place by KERAS_DISTRIBUTION_JOB_ADDRESSES, KERAS_DISTRIBUTION_NUM_PROCESSES and
      KERAS_DISTRIBUTION_PROCESS_ID.
    - ``"model_parallel"``: the devices of one process (JAX); every ``model_shards`` of them hold one model together
      (:mod:`~tfwav2vec2.training.model_parallel`).

    What is drawn in a step (dropout, SpecAugment, masks and negatives of pretraining) is on JAX what one device would
    draw. On TensorFlow each replica draws for its own rows, all from the same seeds. There the diversity loss of
    pretraining takes each replica's own use of the codebook, as the reference does; every other loss is exactly one
    device's.

    Args:
        strategy: one of :data:`STRATEGIES`.
        devices: the names of the devices to use, such as ``"GPU:0"`` on TensorFlow and ``"gpu:0"`` on JAX; by default
            all accelerators, or all CPU devices where there are none. "multiworker" always takes what its process sees.
        model_shards: for "model_parallel", how many devices hold one model; by default all of them.

    Raises:
        ValueError: for an unknown strategy, one of another backend, options that it has no use for, numbers
            of devices that do not fit, or "multiworker" without TF_CONFIG.
        RuntimeError: where TensorFlow has computed something before "multiworker" was set up.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"strategy is {strategy!r}; it must be one of {', '.join(STRATEGIES)}")
    backend = keras.backend.backend()
    if _BACKENDS.get(strategy, backend) != backend:
        usable = ", ".join(name for name in STRATEGIES if _BACKENDS.get(name, backend) == backend)
        raise ValueError(
            f"The strategy {strategy!r} runs on Keras's {_BACKENDS[strategy]} backend, and the backend is {backend!r}; "
            f"set KERAS_BACKEND={_BACKENDS[strategy]}, or use one of {usable}"
        )
    if model_shards is not None and strategy != "model_parallel":
        raise ValueError(f"model_shards is for the strategy 'model_parallel', not for {strategy!r}")
    if devices is not None and strategy in ("none", "multiworker"):
        raise ValueError(f"The strategy {strategy!r} takes no devices; hide those that it shall not use")
    starters: dict[str, Callable[[], Cluster]] = {
        "none": Cluster,
        "mirrored": lambda: _mirrored(devices),
        "multiworker": _several_workers,
        "data_parallel": lambda: _data_parallel(devices),
        "model_parallel": lambda: _model_parallel(devices, model_shards),
    }
    return starters[strategy]()


def _mirrored(devices: Sequence[str] | None) -> Cluster:
    import tensorflow as tf

    if devices is None:
        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        devices = [device.name for device in found]
    engine = _mirrored_engine(tuple(devices))
    return Cluster("mirrored", replicas=engine.num_replicas_in_sync, engine=engine)


@functools.cache
def _mirrored_engine(devices: tuple[str, ...]) -> Any:
    """One strategy for the same devices: two count their reductions alike, and then take each other's for their own."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(devices))


def _several_workers() -> Cluster:
    import tensorflow as tf

    if not os.environ.get("TF_CONFIG"):
        raise ValueError(
            "The strategy 'multiworker' needs the environment variable TF_CONFIG in every process, such as "
            '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'
        )
    try:
        engine = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise RuntimeError(
            "Several workers must be set up before TensorFlow computes anything; call distribute first in the program"
        ) from error
    resolver = engine.cluster_resolver
    processes = len(resolver.cluster_spec().as_dict()["worker"])
    return Cluster("multiworker", resolver.task_id, processes, engine.num_replicas_in_sync, engine)


def _data_parallel(devices: Sequence[str] | None) -> Cluster:
    import jax

    if any(name in os.environ for name in _KERAS_VARIABLES) and not jax.distributed.is_initialized():
        keras.distribution.initialize()
    # Each process loads its own rows, so Keras has nothing to divide.
    engine = keras.distribution.DataParallel(
        devices=list(devices) if devices is not None else None, auto_shard_dataset=False
    )
    return Cluster(
        "data_parallel", jax.process_index(), jax.process_count(), engine.num_model_replicas, engine
    )


def _model_parallel(devices: Sequence[str] | None, model_shards: int | None) -> Cluster:
    from tfwav2vec2.training.model_parallel import TransformerParallel

    if any(name in os.environ for name in _KERAS_VARIABLES):
        raise ValueError(
            "The strategy 'model_parallel' divides a model among the devices of one process; for several processes "
            "use 'data_parallel', or unset KERAS_DISTRIBUTION_*"
        )
    engine = TransformerParallel(devices=devices, model_shards=model_shards)
    return Cluster("model_parallel", replicas=engine.num_model_replicas, engine=engine)
