"""One step of CTC training, base architecture, 4 clips of 5 s, beside transformers on torch, in one run.

Run where torch and transformers are installed (`make benchmarks` sees to that)::

    python -m benchmarks.training_step

Both start from the same random weights, without dropout, LayerDrop and SpecAugment, so that both take the same steps of Adam;
the losses are compared. This package's step is what `fit` runs, its metrics (word and character error rates)
included; torch's is forward, backward, step and zero_grad, with SDPA. Each runs in a process of its own, in turn, so that the
memory that it needed at most, above its imports, is its own. The limit is what the step's multiplications alone take at
the speed of a product of two matrices of 2048 x 2048 in the same run.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from benchmarks import _timing

SAMPLE_RATE = 16_000
CLIPS, SECONDS, LABELS = 4, 5.0, 60
OURS, PEER, LIMIT = "tfwav2vec2", "transformers on torch", "multiplications alone"
MOST_SECONDS, MOST_MEMORY = 0.9, 1.0
LEARNING_RATE = 1e-5
# The steps that both have to agree on, and how far they may differ after Adam has divided by tiny gradients.
LARGEST_DIFFERENCE = 1e-3
STILL = {
    "hidden_dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0, "feat_proj_dropout": 0.0,
    "final_dropout": 0.0, "layerdrop": 0.0, "apply_spec_augment": False,
}  # fmt: skip
MATRIX = 2048


def batch() -> tuple[np.ndarray, np.ndarray]:
    """Noise of the loudness that the feature extractor gives to speech, and letters."""
    rng = np.random.default_rng(0)
    samples = rng.standard_normal((CLIPS, round(SECONDS * SAMPLE_RATE))).astype("float32")
    return samples, rng.integers(5, 32, size=(CLIPS, LABELS)).astype("int32")


def our_step(folder: str, frozen: bool) -> Any:
    """A function that takes one step and returns its loss."""
    import keras

    from tfwav2vec2 import TFWav2Vec2ForCTC

    model = TFWav2Vec2ForCTC.from_pretrained(folder, word_delimiter_token_id=4)
    if frozen:
        model.freeze_feature_encoder()
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8))
    samples, labels = batch()
    inputs = {"input_values": samples, "labels": labels}
    # The running mean of the losses is what Keras reports; a new one for each step is its loss.
    return lambda: float(model.train_on_batch(inputs, return_dict=True)["loss"]), model.reset_metrics


def torch_step(folder: str, frozen: bool) -> Any:
    """A function that takes one step and returns its loss."""
    import torch
    import transformers

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model = transformers.Wav2Vec2ForCTC.from_pretrained(folder, attn_implementation="sdpa").train()
    if frozen:
        model.freeze_feature_encoder()
    optimizer = torch.optim.Adam(
        [weight for weight in model.parameters() if weight.requires_grad], LEARNING_RATE, eps=1e-8
    )
    samples, labels = map(torch.from_numpy, batch())

    def step() -> float:
        loss = model(samples, labels=labels.long()).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return step, lambda: None


def product_step(folder: str, frozen: bool) -> Any:
    """A function that multiplies two matrices."""
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    first, second = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    return lambda: float((first @ second)[0, 0]), lambda: None


STEPS = {OURS: our_step, PEER: torch_step, LIMIT: product_step}


def work(name: str, folder: str, frozen: bool) -> None:
    """Take a step whenever a line comes in; answer with its seconds, its loss and the most memory so far."""
    importlib_names = {
        OURS: "tfwav2vec2.heads.ctc",
        PEER: "transformers.models.wav2vec2.modeling_wav2vec2",
        LIMIT: "torch",
    }
    __import__(importlib_names[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step, forget = STEPS[name](folder, frozen)
    for _ in sys.stdin:
        forget()
        start = time.perf_counter()
        loss = step()
        seconds = time.perf_counter() - start
        peak = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        print(json.dumps({"seconds": seconds, "loss": loss, "memory": peak}), flush=True)


class Worker:
    """A subject in a process of its own."""

    def __init__(self, name: str, folder: str, frozen: bool) -> None:
        command = [sys.executable, "-m", "benchmarks.training_step", "--worker", name, "--folder", folder]
        self.process = subprocess.Popen(
            command + ["--frozen"] * frozen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.losses: list[float] = []
        self.memory = 0

    def step(self) -> float:
        """Take a step; its seconds."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        self.losses.append(answer["loss"])
        self.memory = answer["memory"]
        return answer["seconds"]

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def operations(frozen: bool) -> float:
    """Multiplications and additions of a step: the forward pass once, and twice that for what has gradients.

    Attention's products are with all frames; the first layer that learns needs no gradient of its inputs, which is not
    taken off.
    """
    config = {"dim": 512, "hidden": 768, "inner": 3072, "layers": 12, "groups": 16, "kernel": 128}
    frames, channels, convolutions = SECONDS * SAMPLE_RATE, 1, 0.0
    for width, stride in zip((10, 3, 3, 3, 3, 2, 2), (5, 2, 2, 2, 2, 2, 2), strict=True):
        frames = (frames - width) // stride + 1
        convolutions += 2 * frames * width * channels * config["dim"]
        channels = config["dim"]
    hidden = config["hidden"]
    layer = 2 * frames * (4 * hidden * hidden + 2 * hidden * config["inner"]) + 4 * frames * frames * hidden
    positions = 2 * frames * config["kernel"] * hidden * hidden / config["groups"]
    rest = config["layers"] * layer + positions + 2 * frames * hidden * (config["dim"] + 32)
    return CLIPS * (3 * rest + (1 if frozen else 3) * convolutions)


def compare(frozen: bool, rounds: int, threads: int) -> None:
    """Measure one setting and report it."""
    import transformers

    with tempfile.TemporaryDirectory() as folder:
        transformers.Wav2Vec2ForCTC(transformers.Wav2Vec2Config(**STILL)).save_pretrained(folder)
        workers = {name: Worker(name, folder, frozen) for name in (PEER, OURS, LIMIT)}
        for worker in workers.values():
            for _ in range(2):
                worker.step()
        times = _timing.interleave({name: worker.step for name, worker in workers.items()}, rounds)
        for worker in workers.values():
            worker.close()
    per_operation = 1 / (2 * MATRIX**3)
    times[LIMIT] = [seconds * operations(frozen) * per_operation for seconds in times[LIMIT]]
    ours, theirs = np.array(workers[OURS].losses), np.array(workers[PEER].losses)
    difference = float(np.max(np.abs(ours - theirs) / theirs))
    memory = workers[OURS].memory / workers[PEER].memory
    agree = "agree" if difference <= LARGEST_DIFFERENCE else "DISAGREE"
    notes = {name: f"at most {workers[name].memory / 1e9:.2f} GB" for name in (PEER, OURS)}
    notes[OURS] += f", losses {agree} within {difference:.0e}"
    notes[LIMIT] = f"{operations(frozen) / 1e9:.0f} GFLOP"
    encoder = "frozen" if frozen else "trained"
    _timing.report(
        f"A training step, {CLIPS} x {SECONDS:g} s, feature encoder {encoder}, {threads} threads, {rounds} rounds",
        times,
        notes,
        {(OURS, PEER): MOST_SECONDS},
    )
    verdict = "holds" if memory <= MOST_MEMORY else "FAILS"
    print(f"{verdict}: {OURS} needs {memory:.2f} of the memory of {PEER}; claimed: at most {MOST_MEMORY:g}")


def main() -> None:
    parser = _timing.parser(__doc__, rounds=5)
    parser.add_argument("--worker", help="be a subject (the benchmark starts these itself)")
    parser.add_argument("--folder")
    parser.add_argument("--frozen", action="store_true", help="only with the feature encoder frozen")
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    if options.worker:
        work(options.worker, options.folder, options.frozen)
        return
    for frozen in (True,) if options.frozen else (True, False):
        compare(frozen, options.rounds, options.threads)


if __name__ == "__main__":
    main()
