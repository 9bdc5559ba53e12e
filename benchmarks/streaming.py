"""What streaming costs in words and in time: a model on whole recordings beside the same model on a stream, in one run.

::

    python -m benchmarks.streaming [MODEL] [--data DATA]

MODEL is a folder or a name on the hub, or what `tfwav2vec2 export` wrote; by default the embedded model's ``.tflite`` file. DATA is a
folder that holds fsdd/recordings, from which the embedded model's test strings are made as its recipe does, or a manifest, or a
folder with one; by default the clips of the demo. Samples arrive 50 ms at a time.

For each setting: the word error rate beside offline's, how many words differ from offline's transcripts (all that can be said
where DATA has no transcripts), how long a sound waits for its label, and the real-time factor. In the first setting besides:
all recordings of a set in one stream, and what chunk 1,000 costs beside chunk 10. A digit counts as a word.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _timing

# Left context, chunk and right context in seconds; the first are the defaults, which the claims are about.
SETTINGS = (
    "1,0.26,0.4",
    "1,0.32,0.3",
    "1,0.32,0.2",
    "1,0.2,0.3",
    "0.5,0.4,0.3",
    "2,0.4,0.4",
    "3,1,1",
    "1,0.32,0",
)
ARRIVING_SECONDS = 0.05
MOST_POINTS = 0.01  # of word error rate, over offline's
MOST_TIME, MOST_BYTES = 1.2, 2**20  # of chunk 1,000 against chunk 10
CHUNKS = (10, 1000)
AROUND = 8  # chunks before and after whose median stands for one


@dataclass(frozen=True)
class Recording:
    """Samples (n,) at the engine's rate, and what is said in them where that is known."""

    samples: np.ndarray = field(repr=False)
    text: str | None


def words(text: str) -> list[str]:
    """The words of a transcript, each digit one."""
    return re.findall(r"\d|[^\s\d]+", text)


def open_model(source: str | None) -> tuple[Any, Any]:
    """The engine, and the processor that belongs to it."""
    from tfwav2vec2.embedded import embedded_model
    from tfwav2vec2.serving.engines import SavedModelEngine, is_engine, open_engine

    source = source or str(embedded_model() / "model.tflite")
    if not is_engine(source):
        from tfwav2vec2 import Transcriber
        from tfwav2vec2.web.graph_engine import GraphEngine

        # As `tfwav2vec2 serve` runs it: one graph for windows of any length.
        transcriber = Transcriber.from_pretrained(source)
        return GraphEngine(transcriber.model, transcriber.processor), transcriber.processor
    engine = open_engine(source)
    if isinstance(engine, SavedModelEngine):
        from tfwav2vec2.serving.bundle import read_folder
        from tfwav2vec2.serving.model_server import EXTRA

        return engine, read_folder(Path(source) / EXTRA).processor
    return engine, engine.processor


def read_sets(data: Path, strings: int, rate: int) -> dict[str, list[Recording]]:
    """Recordings by name of their set."""
    from tfwav2vec2 import load_audio, read_manifest

    if (data / "fsdd" / "recordings").is_dir():
        from recipes.spoken_digits.corpus import by_speaker, read_recordings
        from recipes.spoken_digits.evaluate import SEED
        from recipes.spoken_digits.strings import plain_strings

        pools = by_speaker(read_recordings(data)["heard"]).values()
        drawn = plain_strings(pools, max(strings // len(pools), 1), SEED)
        return {"digits": [Recording(string.samples, string.text) for string in drawn]}
    return {
        data.resolve().parent.name if data.is_file() else data.name: [
            Recording(load_audio(example.audio, sampling_rate=rate), example.target)
            for example in read_manifest(data)
        ]
    }


def arriving(samples: np.ndarray, rate: int) -> Iterable[np.ndarray]:
    """The samples as they arrive."""
    step = round(ARRIVING_SECONDS * rate)
    return (samples[start : start + step] for start in range(0, len(samples), step))


def streamed(stream: Any, samples: np.ndarray) -> str:
    """What a stream writes."""
    stream.reset()
    text = "".join(stream.push(piece).new for piece in arriving(samples, stream.encoder.engine.sampling_rate))
    return text + stream.finish().new


def offline(engine: Any, processor: Any, samples: np.ndarray) -> str:
    """What the model writes of a recording in one piece."""
    from tfwav2vec2.language.greedy import greedy_decode

    answer = engine(samples[None], [len(samples)])
    return greedy_decode(answer["logits"], answer["frame_lengths"], processor.tokenizer)[0]


def error_rate(said: Iterable[str], found: Iterable[str]) -> float:
    """The word error rate of several transcripts together."""
    from tfwav2vec2.metrics.error_rates import ErrorRate

    pairs = zip(said, found, strict=True)
    return sum((ErrorRate.of(words(one), words(other)) for one, other in pairs), ErrorRate()).rate


def timed(recordings: Iterable[Recording], read: Callable[[np.ndarray], str]) -> tuple[list[str], float]:
    """The texts of recordings, and the seconds that they took."""
    started = time.perf_counter()
    texts = [read(recording.samples) for recording in recordings]
    return texts, time.perf_counter() - started


def resident() -> int:
    """The process's memory in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return 1024 * int(line.split()[1])
    return 0


def long_run(old: Any, young: Any, samples: np.ndarray) -> dict[str, float]:
    """What the tenth chunk of a stream takes and the thousandth of another, in turns, and how memory grew in the latter between."""
    step, first = old.encoder.windows.step, old.encoder.windows.latency
    looped = np.resize(samples, first + (CHUNKS[-1] + AROUND) * step)

    def chunk(stream: Any, number: int) -> float:
        """Bring a stream the samples that its chunk of this number waits for, from 1 on."""
        end = first + (number - 1) * step
        arrived = looped[:first] if number == 1 else looped[end - step : end]
        return _timing.seconds(lambda: stream.push(arrived))

    memory = {}
    for number in range(1, CHUNKS[-1] + 1 - AROUND):
        chunk(old, number)
        if number == CHUNKS[0]:
            gc.collect()
            memory[number] = resident()
    gc.collect()
    growth = resident() - memory[CHUNKS[0]]
    for number in range(1, CHUNKS[0] + 1 - AROUND):
        chunk(young, number)
    seconds: dict[int, list[float]] = {number: [] for number in CHUNKS}
    for near in range(1 - AROUND, 1 + AROUND):
        seconds[CHUNKS[0]].append(chunk(young, CHUNKS[0] + near))
        seconds[CHUNKS[-1]].append(chunk(old, CHUNKS[-1] + near))
    early, late = (statistics.median(seconds[number]) for number in CHUNKS)
    return {"chunk_10_s": early, "chunk_1000_s": late, "growth_bytes": growth}


def measure(
    engine: Any, processor: Any, sets: dict[str, list[Recording]], settings: list[Any]
) -> dict[str, Any]:
    """Print the table, and give its figures."""
    from tfwav2vec2.transcription.streaming import StreamingTranscriber

    everything = [recording for recordings in sets.values() for recording in recordings]
    total = sum(len(recording.samples) for recording in everything) / engine.sampling_rate
    names = [name for name, recordings in sets.items() if all(each.text is not None for each in recordings)]
    header = "".join(f"{f'WER {name}':>14}" for name in names)
    print(f"{'left, chunk, right':24}{'latency':>9}{header}{'changed':>9}{'real-time factor':>18}")

    def row(title: str, latency: float | None, texts: list[str], seconds: float) -> dict[str, Any]:
        place, rates = 0, {}
        for name, recordings in sets.items():
            if name in names:
                found = texts[place : place + len(recordings)]
                rates[name] = error_rate((each.text for each in recordings), found)
            place += len(recordings)
        changed = error_rate(whole, texts)
        columns = "".join(f"{rate:14.2%}" for rate in rates.values())
        waits = "" if latency is None else f"{latency:.3f} s"
        print(f"{title:24}{waits:>9}{columns}{changed:9.2%}{seconds / total:18.4f}", flush=True)
        return {"latency_s": latency, "wer": rates, "changed": changed, "real_time_factor": seconds / total}

    whole, seconds = timed(everything, lambda samples: offline(engine, processor, samples))
    figures = {"offline": row("offline", None, whole, seconds)}
    for number, options in enumerate(settings):
        stream = StreamingTranscriber(engine, options, processor=processor)
        title = f"{options.left_seconds:g}, {options.chunk_seconds:g}, {options.right_seconds:g} s"
        texts, seconds = timed(everything, lambda samples, stream=stream: streamed(stream, samples))
        figures[title] = row(title, stream.latency, texts, seconds)
        if number == 0:
            for name in names:
                together = np.concatenate([recording.samples for recording in sets[name]])
                said = " ".join(recording.text for recording in sets[name])
                rate = error_rate([said], [streamed(stream, together)])
                figures[title][f"in_one_stream_{name}"] = rate
                print(
                    f"  {name} in one stream of {len(together) / engine.sampling_rate:.0f} s: WER {rate:.2%}"
                )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="?", help="a model (the embedded one)")
    parser.add_argument(
        "--data", type=Path, default=Path("demo/clips/manifest.tsv"), help="recordings (those of the demo)"
    )
    parser.add_argument(
        "--setting", action="append", metavar="LEFT,CHUNK,RIGHT", help="in seconds; may be repeated"
    )
    parser.add_argument(
        "--strings", type=int, default=40, help="strings of digits of each length, of fsdd (40)"
    )
    parser.add_argument("--threads", type=int, default=2, help="cores and threads (2)")
    chosen = parser.parse_args()
    _timing.limit_threads(chosen.threads)

    from tfwav2vec2.transcription.streaming import StreamingOptions, StreamingTranscriber

    settings = []
    for setting in chosen.setting or SETTINGS:
        left, chunk, right = map(float, setting.split(","))
        settings.append(StreamingOptions(chunk, left, right))
    engine, processor = open_model(chosen.model)
    sets = read_sets(chosen.data, chosen.strings, engine.sampling_rate)
    title = (
        f"{Path(engine.name).name}: "
        + ", ".join(f"{len(each)} recordings {name}" for name, each in sets.items())
        + f", {chosen.threads} threads"
    )
    print(f"{title}\n")
    figures = measure(engine, processor, sets, settings)

    old, young = (StreamingTranscriber(engine, settings[0], processor=processor) for _ in range(2))
    samples = np.concatenate([recording.samples for recordings in sets.values() for recording in recordings])
    cost = long_run(old, young, samples)
    windows = old.encoder.windows
    print(
        f"\nA window of {windows.window} samples; chunk 10 takes {1000 * cost['chunk_10_s']:.1f} ms, chunk 1,000 "
        f"{1000 * cost['chunk_1000_s']:.1f} ms; memory grew by {cost['growth_bytes'] / 1e6:.2f} MB from one to the other\n"
    )
    first = list(figures)[1]
    claims = {
        f"at {first}, the word error rate {name} is within {100 * MOST_POINTS:g} point of offline's": rate
        <= figures["offline"]["wer"][name] + MOST_POINTS
        for name, rate in figures[first]["wer"].items()
    }
    claims |= {
        f"chunk 1,000 takes at most {MOST_TIME:g} of chunk 10": cost["chunk_1000_s"]
        <= MOST_TIME * cost["chunk_10_s"],
        f"and at most {MOST_BYTES / 2**20:g} MiB more": cost["growth_bytes"] <= MOST_BYTES,
    }
    for claim, holds in claims.items():
        print(f"{'holds' if holds else 'FAILS'}: {claim}")
    print(json.dumps({"benchmark": title, "settings": figures, **cost, "claims": claims}))


if __name__ == "__main__":
    main()
