"""Large batches on Apache Beam: two worker processes against one, on the same cores, in one run.

Run where the package is installed with the extra ``beam``::

    python -m benchmarks.batch

One process computes with all cores in its threads; two have half of them each. Each round is a whole batch as `tfwav2vec2
batch --runner multi-process` runs it, workers that start and models that are opened included; what is timed is from the moment
when each worker has written its first shard to the last shard, since an hour of audio pays for the beginning and a benchmark
does not. The whole is said beside it. The embedded model hears the clips of the demo again and again, which must come out as
their manifest says; the base architecture, with random weights, hears noise, which must come out the same every time.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _timing
from benchmarks.cold_start import write_model

ONE, TWO = "one process", "two processes"
WORKERS = {ONE: 1, TWO: 2}
CLAIM = 1.0
RATE = 16_000
CLIPS = Path(__file__).resolve().parents[1] / "demo" / "clips"
MODELS = ("embedded", "base")


def write_demo_clips(folder: Path, count: int) -> dict[str, str]:
    """Links to the demo's clips under new names; their texts by these."""
    with (CLIPS / "manifest.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    texts = {}
    for number in range(count):
        row = rows[number % len(rows)]
        name = f"{number:05d}.flac"
        (folder / name).symlink_to(CLIPS / row["file"])
        texts[name] = row["text"]
    return texts


def write_noise(folder: Path, count: int) -> None:
    """Clips of 4 to 8 s."""
    import soundfile

    rng = np.random.default_rng(0)
    for number in range(count):
        samples = round(rng.uniform(4, 8) * RATE)
        soundfile.write(folder / f"{number:05d}.wav", 0.1 * rng.standard_normal(samples), RATE)


@contextmanager
def _no_bar(*_: Any) -> Iterator[Any]:
    yield lambda more: None


class Batches:
    """Runs a batch on so many workers, and keeps what it said and how long the whole took."""

    def __init__(self, folder: Path, model: Path | None, texts: dict[str, str] | None) -> None:
        self.folder, self.model, self.texts = folder, model, texts
        self.whole: dict[int, list[float]] = {workers: [] for workers in WORKERS.values()}

    def run(self, workers: int) -> float:
        """Seconds from the moment when all workers are at work, for as many clips as the batch has."""
        from tfwav2vec2.beam.batch import run_batch
        from tfwav2vec2.beam.recordings import find_batch

        out = self.folder / f"out-{workers}"
        shutil.rmtree(out, ignore_errors=True)
        recordings, _ = find_batch(self.folder / "in")
        report = run_batch(
            self.folder / "in",
            recordings,
            out,
            model=None if self.model is None else str(self.model),
            runner="multi-process",
            workers=workers,
            progress=_no_bar,
        )
        rows = [
            json.loads(line)
            for path in sorted(out.glob("transcripts-*"))
            for line in path.read_text(encoding="utf-8").splitlines()
        ]
        texts = {row["id"]: row["text"] for row in rows}
        self.texts = self.texts or texts
        assert texts == self.texts, f"{workers} workers hear something else"
        self.whole[workers].append(report.seconds)
        return steady_seconds(out / "journal", workers)

    def note(self, workers: int, seconds: list[float]) -> str:
        rate = len(self.texts or ()) / statistics.median(seconds)
        return (
            f"{rate:.1f} clips/s; {statistics.median(self.whole[workers]):.1f} s with opening and compiling"
        )


def steady_seconds(journal: Path, workers: int) -> float:
    """From when the last worker has written its first shard to the last shard, scaled to all the clips."""
    written = sorted((path.stat().st_mtime, path) for path in journal.glob("*.jsonl"))
    counts = [len(path.read_text(encoding="utf-8").splitlines()) for _, path in written]
    started, ended = written[workers - 1][0], written[-1][0]
    return (ended - started) * sum(counts) / sum(counts[workers:])


def main() -> None:
    parser = _timing.parser(__doc__, rounds=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="which (both)")
    parser.add_argument("--embedded-clips", type=int, default=3000, help="clips of the embedded model (3000)")
    parser.add_argument("--base-clips", type=int, default=64, help="clips of the base architecture (64)")
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    # What a worker has is its share of the cores.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ.pop(name)
    for name in options.models:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            (folder / "in").mkdir()
            model, texts = None, None
            if name == "embedded":
                count = options.embedded_clips
                texts = write_demo_clips(folder / "in", count)
            else:
                count = options.base_clips
                write_noise(folder / "in", count)
                model = folder / "model"
                model.mkdir()
                write_model(model)
            batches = Batches(folder, model, texts)
            subjects = {subject: partial(batches.run, workers) for subject, workers in WORKERS.items()}
            times = _timing.interleave(subjects, options.rounds)
            notes = {subject: batches.note(workers, times[subject]) for subject, workers in WORKERS.items()}
            title = f"Batch of {count} clips, {name} model, {options.threads} cores, {options.rounds} rounds"
            _timing.report(title, times, notes, {(TWO, ONE): CLAIM})


if __name__ == "__main__":
    main()
