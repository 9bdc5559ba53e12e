"""The whole process, from the shell's prompt to the text, with a ``.tflite`` file, against transformers' pipeline, in one run.

Run where torch and transformers are installed (`make benchmarks` sees to that)::

    python -m benchmarks.litert_cold_start

A base model with random weights lies in a folder and, exported, in ``.tflite`` files, all in the system's file cache, as does the
sound file. This package runs `tfwav2vec2 transcribe clip.wav --model FILE`; transformers runs its pipeline for automatic
speech recognition, on samples that soundfile read, for it would start ffmpeg besides. With random weights both write the same nonsense, in float32. The peak of the memory is the
process's largest resident set, the mapped file included.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from benchmarks import _timing
from benchmarks.cold_start import write_clip, write_model

PEER = "transformers' pipeline"
OURS = {precision: f"tfwav2vec2 transcribe, {precision}" for precision in ("float32", "float16", "int8")}
# The command is not told which file to take: int8 is what one takes where start and memory count.
MOST_TIME, MOST_MEMORY = 1 / 3, 1 / 2

SCRIPT = """
import sys

import soundfile
import torch
from transformers import pipeline

clip, folder, threads = sys.argv[1:]
torch.set_num_threads(int(threads))
samples, rate = soundfile.read(clip, dtype="float32")
transcribe = pipeline("automatic-speech-recognition", model=folder, device="cpu")
print(transcribe({"raw": samples, "sampling_rate": rate})["text"])
"""


def run(command: list[str]) -> tuple[float, int, str]:
    """A process's seconds, its largest resident set in bytes and what it prints."""
    # transformers would import TensorFlow wherever it is installed.
    environment = os.environ | {"USE_TF": "0"}
    started = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    out, err = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{err}")
    return seconds, 1024 * usage.ru_maxrss, out.strip()


def export(folder: Path) -> dict[str, Path]:
    """Write a model into a folder, and beside it as files of each precision."""
    write_model(folder)
    from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Processor
    from tfwav2vec2.serving.litert import export_litert

    model, processor = TFWav2Vec2ForCTC.from_pretrained(folder), Wav2Vec2Processor.from_pretrained(folder)
    clips = [np.random.default_rng(0).normal(0.0, 0.1, 32_000).astype("float32")]
    return {
        name: export_litert(
            model, processor, folder.parent / f"{precision}.tflite", precision=precision, clips=clips,
            least_agreement=0.8, most_words_changed=2.0,
        ).path
        for precision, name in OURS.items()
    }  # fmt: skip


def main() -> None:
    parser = _timing.parser(__doc__, rounds=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of the clip (10)")
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    with tempfile.TemporaryDirectory() as place:
        folder, clip, script = Path(place, "model"), Path(place, "clip.wav"), Path(place, "transcribe.py")
        folder.mkdir()
        write_clip(clip, options.seconds)
        script.write_text(SCRIPT)
        command = [sys.executable, "-m", "tfwav2vec2", "transcribe", str(clip), "--model"]
        commands = {PEER: [sys.executable, str(script), str(clip), str(folder), str(options.threads)]}
        # In a process of its own: what a process is started from counts as its memory.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            paths = pool.submit(export, folder).result()
        commands |= {name: [*command, str(path)] for name, path in paths.items()}
        # The first runs bring the files into the system's cache.
        texts = {name: run(command)[2] for name, command in commands.items()}
        memory = dict.fromkeys(commands, 0)

        def timed(name: str) -> float:
            seconds, peak, _ = run(commands[name])
            memory[name] = max(memory[name], peak)
            return seconds

        times = _timing.interleave({name: lambda n=name: timed(n) for name in commands}, options.rounds)
    notes = {
        name: f"at most {peak / 1e6:.0f} MB, {peak / memory[PEER]:.2f} of the peer's"
        + ("" if name == PEER else ", the same text" if texts[name] == texts[PEER] else ", another text")
        for name, peak in memory.items()
    }
    _timing.report(
        f"Cold start, base model, a clip of {options.seconds:g} s, {options.threads} threads, {options.rounds} rounds",
        times,
        notes,
        {(name, PEER): MOST_TIME for name in OURS.values()},
    )
    for name in OURS.values():
        share = memory[name] / memory[PEER]
        verdict = "holds" if share <= MOST_MEMORY else "FAILS"
        print(
            f"{verdict}: {name} needs {share:.2f} of the memory of {PEER}; claimed: at most {MOST_MEMORY:g}"
        )


if __name__ == "__main__":
    main()
