"""Opening a model from its folder, seconds and peak memory, beside transformers on torch, in one run.

Each opening happens in a fresh process, after the imports, from files that are in the system's cache. Memory is the highest
that the process ever held, less what it held after the imports. transformers takes part where it is installed::

    python -m benchmarks.open_model
    python -m benchmarks.open_model --size large
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import _timing

OURS, PEER = "tfwav2vec2", "transformers on torch"
MODULES = {OURS: "tfwav2vec2", PEER: "transformers"}
CLASSES = {OURS: "TFWav2Vec2ForCTC", PEER: "Wav2Vec2ForCTC"}
MOST_SECONDS, MOST_MEMORY = 1.5, 1.3
SIZES: dict[str, dict[str, Any]] = {
    "base": {},
    "large": {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    },
}


def memory_now() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def open_once(subject: str, folder: str) -> dict[str, float]:
    """Import, open, and say how long the opening took and what it needed at most."""
    model_class = getattr(importlib.import_module(MODULES[subject]), CLASSES[subject])
    before, start = memory_now(), time.perf_counter()
    model = model_class.from_pretrained(folder)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    del model
    return {"seconds": seconds, "memory": peak - before}


def write_model(folder: str, size: str) -> None:
    """A model with random weights."""
    from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config

    TFWav2Vec2ForCTC(Wav2Vec2Config(**SIZES[size])).save_pretrained(folder)


def in_fresh_process(*arguments: str) -> str:
    """Run this file with arguments; its last line."""
    command = [sys.executable, "-m", "benchmarks.open_model", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main() -> None:
    parser = _timing.parser(__doc__, rounds=7)
    parser.add_argument("--size", choices=SIZES, default="base", help="the architecture (base)")
    parser.add_argument("--write", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--open", nargs=2, metavar=("SUBJECT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    if options.write:
        write_model(options.write, options.size)
        return
    if options.open:
        print(json.dumps(open_once(*options.open)))
        return
    subjects = [subject for subject in (PEER, OURS) if importlib.util.find_spec(MODULES[subject])]
    memory: dict[str, list[float]] = {subject: [] for subject in subjects}
    with tempfile.TemporaryDirectory() as folder:
        in_fresh_process("--size", options.size, "--write", folder)
        file_size = (Path(folder) / "model.safetensors").stat().st_size

        def opened(subject: str) -> float:
            found = json.loads(in_fresh_process("--threads", str(options.threads), "--open", subject, folder))
            memory[subject].append(found["memory"] / file_size)
            return found["seconds"]

        times = _timing.interleave(
            {subject: lambda subject=subject: opened(subject) for subject in subjects}, options.rounds
        )
    measured = {"seconds": statistics.median(times[OURS]), "of the file's size": max(memory[OURS])}
    _timing.report(
        f"Opening a {options.size} model of {file_size / 1e6:.0f} MB, {options.threads} threads, {options.rounds} rounds",
        times,
        {subject: f"peak memory {max(ratios):.2f} of the file's size" for subject, ratios in memory.items()},
        {},
    )
    if options.size == "base":
        for (unit, value), limit in zip(measured.items(), (MOST_SECONDS, MOST_MEMORY), strict=True):
            verdict = "holds" if value <= limit else "FAILS"
            print(f"{verdict}: {OURS} takes {value:.2f} {unit}; claimed: at most {limit:g}")


if __name__ == "__main__":
    main()
