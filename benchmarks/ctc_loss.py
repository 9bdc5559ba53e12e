"""The CTC loss, forward and backward, against torch's and Keras's, in one run.

Run where torch is installed (`make benchmarks` sees to that)::

    python -m benchmarks.ctc_loss

Every subject starts from the same logits and ends with the losses and the gradient of the logits. The differences are from
torch's loss in float64: a speed whose result differs is no result.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import _timing

Arrays = tuple[np.ndarray, np.ndarray]
TORCH, XLA, GRAPH, KERAS = "torch", "tfwav2vec2, XLA", "tfwav2vec2, graph", "keras.ops.ctc_loss"
JAX = "tfwav2vec2, JAX jit"


def batch(options: argparse.Namespace) -> Arrays:
    rng = np.random.default_rng(0)
    logits = rng.standard_normal((options.batch, options.frames, options.vocab)).astype("float32")
    return logits, rng.integers(1, options.vocab, (options.batch, options.labels)).astype("int32")


def of_torch(logits: np.ndarray, labels: np.ndarray, dtype: str = "float32") -> Callable[[], Arrays]:
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    inputs = torch.tensor(logits, dtype=getattr(torch, dtype), requires_grad=True)
    targets = torch.tensor(labels)
    frames, lengths = (torch.full((len(array),), array.shape[1]) for array in (logits, labels))

    def run() -> Arrays:
        inputs.grad = None
        log_probs = torch.log_softmax(inputs, dim=-1).transpose(0, 1)
        loss = torch.nn.functional.ctc_loss(log_probs, targets, frames, lengths, reduction="none")
        loss.sum().backward()
        return loss.detach().numpy(), inputs.grad.numpy()

    return run


def of_tensorflow(
    logits: np.ndarray, labels: np.ndarray, loss: Callable[..., Any], xla: bool
) -> Callable[[], Arrays]:
    import tensorflow as tf

    inputs, targets = tf.constant(logits), tf.constant(labels)

    @tf.function(jit_compile=xla)
    def step(inputs: Any, targets: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            value = loss(inputs, targets)
        return value, tape.gradient(value, inputs)

    return lambda: tuple(tensor.numpy() for tensor in step(inputs, targets))


def of_jax(logits: np.ndarray, labels: np.ndarray) -> Callable[[], Arrays]:
    import jax

    from tfwav2vec2 import ctc_loss

    inputs, targets = jax.numpy.asarray(logits), jax.numpy.asarray(labels)

    @jax.jit
    def step(inputs: Any, targets: Any) -> Any:
        value, pull_back = jax.vjp(lambda x: ctc_loss(x, targets, reduction="none"), inputs)
        return value, pull_back(jax.numpy.ones_like(value))[0]

    return lambda: tuple(np.asarray(array) for array in step(inputs, targets))


def of_keras(inputs: Any, targets: Any) -> Any:
    from keras import ops

    clips = ops.ones_like(targets[:, 0])
    return ops.ctc_loss(targets, inputs, targets.shape[1] * clips, inputs.shape[1] * clips, mask_index=0)


def distance(result: Arrays, exact: Arrays) -> str:
    loss, gradient = result
    return (
        f"loss {np.max(np.abs(loss - exact[0]) / exact[0]):.0e} (relative), "
        f"gradient {np.max(np.abs(gradient - exact[1])):.0e} (absolute)"
    )


class JaxWorker:
    """A process of the JAX backend that runs one step for each line that it is sent: Keras has one backend a process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.ctc_loss", *sys.argv[1:], "--jax-worker"],
            env={**os.environ, "KERAS_BACKEND": "jax"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.note = self.process.stdout.readline().strip()

    def seconds(self) -> float:
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def stop(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def work_on_jax(arrays: Arrays) -> None:
    step = of_jax(*arrays)
    print(distance(step(), of_torch(*arrays, dtype="float64")()), flush=True)
    for _ in sys.stdin:
        print(_timing.seconds(step), flush=True)


def main() -> None:
    parser = _timing.parser(__doc__, rounds=21)
    for name, default in (("batch", 8), ("frames", 749), ("vocab", 32), ("labels", 150)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"size of the batch ({default})")
    parser.add_argument("--slow-rounds", type=int, default=3, help="timed rounds of keras.ops.ctc_loss (3)")
    parser.add_argument("--jax-worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    arrays = batch(options)
    if options.jax_worker:
        work_on_jax(arrays)
        return

    from tfwav2vec2 import ctc_loss

    def ours(inputs: Any, targets: Any) -> Any:
        return ctc_loss(inputs, targets, reduction="none")

    steps = {
        TORCH: of_torch(*arrays),
        XLA: of_tensorflow(*arrays, ours, xla=True),
        GRAPH: of_tensorflow(*arrays, ours, xla=False),
        KERAS: of_tensorflow(*arrays, of_keras, xla=False),
    }
    exact = of_torch(*arrays, dtype="float64")()
    # The first call compiles.
    notes = {name: distance(step(), exact) for name, step in steps.items()}
    subjects = {name: lambda step=step: _timing.seconds(step) for name, step in steps.items()}
    worker = JaxWorker() if importlib.util.find_spec("jax") else None
    if worker:
        subjects[JAX], notes[JAX] = worker.seconds, worker.note
    times = _timing.interleave(subjects, options.rounds, {KERAS: options.slow_rounds})
    if worker:
        worker.stop()
    _timing.report(
        f"CTC loss and gradient of {options.batch} clips of {options.frames} frames, {options.vocab} symbols, "
        f"{options.labels} labels, {options.threads} threads, {options.rounds} rounds",
        times,
        notes,
        {(XLA, TORCH): 0.6, (GRAPH, TORCH): 1.0, (XLA, KERAS): 1 / 40},
    )


if __name__ == "__main__":
    main()
