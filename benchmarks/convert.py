"""Peak memory of converting and of opening a large model, each format, beside the file's size.

Each conversion and each opening happens in a fresh process. Memory is the highest that the process ever held, less what it
held after the imports. The large architecture has 315 million parameters, 1.26 GB in float32::

    python -m benchmarks.convert
    python -m benchmarks.convert --size base

It needs disk space for seven times the model.
"""

from __future__ import annotations

import argparse
import importlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.open_model import MOST_MEMORY, SIZES, memory_now, write_model

# Written by convert, and opened; tf_model.h5 is made here, because nothing but the reference writes it.
FORMATS = ("safetensors", "torch", "keras", "weights-h5")
OTHERS = ("tf-h5",)


def write_tf_h5(source: Path, folder: Path) -> None:
    """The file that the reference's TensorFlow class would have written, tensor by tensor."""
    import h5py
    import numpy as np

    from tfwav2vec2.weights.formats.h5_reader import TABLE
    from tfwav2vec2.weights.readers import open_checkpoint

    words = {word.torch: (name, word.reversed) for name, word in TABLE.items() if name != "gamma"}
    folder.mkdir()
    (folder / "config.json").write_text((source / "config.json").read_text())
    with (
        open_checkpoint(source / "model.safetensors") as checkpoint,
        h5py.File(folder / "tf_model.h5", "w") as file,
    ):
        for key in checkpoint.shapes:
            stem = next((word for word in words if key.endswith(f".{word}")), key.rpartition(".")[2])
            name, turned = words.get(stem, (stem, False))
            if "norm" in key:
                name, turned = {"weight": "gamma", "bias": "beta"}[stem], False
            elif stem == "bias":
                name = "bias"
            layers = key.removesuffix(stem).rstrip(".").replace(".", "/")
            tensor = checkpoint.read(key)
            top = layers.partition("/")[0]
            file[f"{top}/tf_wav2_vec2_for_ctc/{layers}/{name}:0"] = np.ascontiguousarray(
                tensor.T if turned else tensor
            )


def measure(action: str, source: str, destination: str, kind: str) -> dict[str, float]:
    """Import, convert or open, and say how long that took and what memory it needed at most."""
    importlib.import_module("tfwav2vec2.heads.ctc")
    conversion = importlib.import_module("tfwav2vec2.weights.conversion")
    before, start = memory_now(), time.perf_counter()
    if action == "convert":
        result = conversion.convert(source, destination, to=kind)
    else:
        from tfwav2vec2 import TFWav2Vec2ForCTC

        result = TFWav2Vec2ForCTC.from_pretrained(source)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    del result
    return {"seconds": seconds, "memory": peak - before}


def in_fresh_process(*arguments: str) -> str:
    """Run this file with arguments; its last line."""
    command = [sys.executable, "-m", "benchmarks.convert", *arguments]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return run.stdout.strip()


def steps() -> Iterator[tuple[str, str, str]]:
    """What is measured: the action, the format that is read and the one that is written."""
    for kind in FORMATS:
        yield "convert", "safetensors", kind
    for kind in (*FORMATS, *OTHERS):
        if kind != "safetensors":
            yield "convert", kind, "safetensors"
    for kind in (*FORMATS, *OTHERS):
        yield "open", kind, ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=SIZES, default="large", help="the architecture (large)")
    parser.add_argument("--write", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        folder = Path(options.write)
        write_model(str(folder / "safetensors"), options.size)
        write_tf_h5(folder / "safetensors", folder / "tf-h5")
        return
    if options.measure:
        print(json.dumps(measure(*options.measure)))
        return
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        in_fresh_process("--size", options.size, "--write", scratch)
        file_size = Path(scratch, "safetensors", "model.safetensors").stat().st_size
        print(f"A {options.size} model of {file_size / 1e6:.0f} MB; peak memory above the imports:")
        for action, source, kind in steps():
            destination = Path(scratch, kind if source == "safetensors" else "back")
            if kind == "safetensors":
                destination = Path(scratch, f"back-{source}")
            found = json.loads(
                in_fresh_process("--measure", action, str(Path(scratch, source)), str(destination), kind)
            )
            ratio = found["memory"] / file_size
            worst = max(worst, ratio)
            what = f"{source} to {kind}" if action == "convert" else f"from_pretrained of {source}"
            print(
                f"  {what:<32}{found['memory'] / 1e6:8.0f} MB  {ratio:5.2f} of the file  {found['seconds']:6.1f} s",
                flush=True,
            )
            if kind == "safetensors":
                for path in destination.iterdir():
                    path.unlink()
    verdict = "holds" if worst <= MOST_MEMORY else "FAILS"
    print(f"{verdict}: at most {worst:.2f} of the file's size; claimed: at most {MOST_MEMORY:g}")


if __name__ == "__main__":
    main()
