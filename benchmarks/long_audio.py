"""A long recording in constant memory: the peak of a process that transcribes minutes, and of one that transcribes many more.

::

    python -m benchmarks.long_audio [--minutes 5 20] [--engine keras litert] [--chunk 15] [--data DATA]

LibriSpeech clips (DATA is the folder of recordings that tests use, ``../shared/data`` by default) are joined, with half a second of
silence between them, to FLAC files of these lengths, and each is transcribed by the base architecture with random weights in a
process of its own. What is printed is what the operating system says of it: the most memory that was ever resident, with Python,
TensorFlow and the weights (378 MB). Claimed: less than 1.5 GB, and the longest recording takes at most 5 % more than the shortest.
The claim is for an environment that holds what the package needs and no more: where JAX and pandas are installed too, TensorFlow's
import takes in JAX, and Keras's pandas, 170 MB of them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import _timing
from notebooks.recordings import recordings

RATE = 16_000
MOST_BYTES = 1.5e9
MOST_GROWTH = 1.05
ENGINES = ("keras", "litert")


def write_recording(clips: list[Path], seconds: float, path: Path) -> None:
    """Clips one behind the other, again and again, for so long."""
    import soundfile

    with soundfile.SoundFile(path, "w", RATE, 1) as file:
        written = number = 0
        while written < seconds * RATE:
            samples, rate = soundfile.read(clips[number % len(clips)], dtype="float32")
            assert rate == RATE
            for part in (samples, np.zeros(RATE // 2, np.float32)):
                file.write(part)
                written += len(part)
            number += 1


def write_models(folder: Path, engines: list[str]) -> None:
    """The base architecture in the hub's layout, and as a ``.tflite`` file."""
    from benchmarks.cold_start import write_model

    write_model(folder)
    if "litert" in engines:
        from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Processor
        from tfwav2vec2.serving.litert import export_litert

        export_litert(
            TFWav2Vec2ForCTC.from_pretrained(folder),
            Wav2Vec2Processor.from_pretrained(folder),
            folder / "model.tflite",
        )


def transcribe(model: Path, engine: str, recording: Path, chunk: float | None) -> dict[str, float]:
    """What one process needs for one recording."""
    from tfwav2vec2.transcription.longform import LongformOptions

    longform = LongformOptions() if chunk is None else LongformOptions(chunk)
    opened = time.perf_counter()
    if engine == "keras":
        from tfwav2vec2 import Transcriber

        transcriber = Transcriber.from_pretrained(model, longform=longform)
    else:
        from tfwav2vec2 import EngineTranscriber
        from tfwav2vec2.serving.engines import open_engine

        transcriber = EngineTranscriber(open_engine(model / "model.tflite"), longform=longform)
    started = time.perf_counter()
    found = next(iter(transcriber.transcribe(recording)))
    ended = time.perf_counter()
    return {
        "seconds": found.seconds,
        "characters": len(found.text),
        "open_s": started - opened,
        "run_s": ended - started,
        "peak_bytes": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, nargs="+", default=[5, 20], help="lengths (5 20)")
    parser.add_argument(
        "--engine", nargs="+", choices=ENGINES, default=["keras"], help="what runs it (keras)"
    )
    parser.add_argument("--chunk", type=float, help="seconds of a piece; the package's default")
    parser.add_argument("--threads", type=int, default=2, help="cores and threads (2)")
    parser.add_argument("--data", type=Path, help="the folder of recordings")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    if options.one:
        engine, model, recording = options.one
        print(json.dumps(transcribe(Path(model), engine, Path(recording), options.chunk)))
        return
    data = options.data or recordings()
    clips = sorted((data / "librispeech_251spk").glob("*.flac"))
    figures: dict[str, dict[float, dict[str, float]]] = {engine: {} for engine in options.engine}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # In a process of its own, so that nothing of it is left in this one, whose children are measured.
        code = f"from benchmarks.long_audio import write_models; from pathlib import Path; write_models(Path({str(folder)!r}), {options.engine!r})"
        subprocess.run([sys.executable, "-c", code], check=True)
        for minutes in options.minutes:
            recording = folder / f"{minutes:g}.flac"
            write_recording(clips, 60 * minutes, recording)
            for engine in options.engine:
                command = [sys.executable, "-m", "benchmarks.long_audio", "--threads", str(options.threads)]
                command += [] if options.chunk is None else ["--chunk", str(options.chunk)]
                ran = subprocess.run(
                    [*command, "--one", engine, str(folder), str(recording)],
                    stdout=subprocess.PIPE,
                    check=True,
                )
                found = json.loads(ran.stdout.splitlines()[-1])
                figures[engine][minutes] = found
                print(
                    f"{engine}: {minutes:g} minutes, peak {found['peak_bytes'] / 1e6:.0f} MB, {found['run_s']:.0f} s "
                    f"(real-time factor {found['run_s'] / found['seconds']:.3f}); load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
    claims = {}
    for engine, found in figures.items():
        peaks = [found[minutes]["peak_bytes"] for minutes in sorted(found)]
        claims[f"{engine}: less than {MOST_BYTES / 1e9:g} GB"] = max(peaks) < MOST_BYTES
        claims[f"{engine}: the longest takes at most {MOST_GROWTH:g} of the shortest's memory"] = (
            peaks[-1] <= MOST_GROWTH * peaks[0]
        )
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")
    print(json.dumps({"benchmark": "long audio", "figures": figures, "claims": claims}))


if __name__ == "__main__":
    main()
