"""`tfwav2vec2 serve` against a plain server of FastAPI and transformers on torch, on the same cores, in one run.

Run where torch, transformers and fastapi are installed (`make benchmarks` sees to that)::

    python -m benchmarks.server

Clients ask again as soon as they have their answer, each with a sound file in a form, chosen at random from the same ones; the
clients share the cores with the servers. The peer is what its documentation shows: soundfile, processor, model, argmax,
batch_decode, in uvicorn. It runs at the better of two settings, which is tried first: all threads for one request at a time, or one
thread for each of as many requests as there are cores. tfwav2vec2 runs with its defaults, dynamic batching included: once with the
`.tflite` file, once with the model's folder (a TensorFlow graph). Rounds of all servers are interleaved.

With the embedded weights every text of every server has to be what is said in the file, and of them speed is claimed. The base
architecture stands beside it with random weights, whose labels are all about as likely: there it is counted how many texts are
the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import _timing

HOST = "127.0.0.1"
TORCH, OURS, OURS_GRAPH = (
    "FastAPI, transformers on torch",
    "tfwav2vec2 serve, .tflite",
    "tfwav2vec2 serve, folder",
)
# Of the peer's time for a request, and of the time within which 99 of 100 are answered.
CLAIMS = {"request": 1 / 1.5, "p99": 1.0}
BOUNDARY = "b0undary"
SAMPLE_RATE = 16_000
PEER = '''
"""A sound file in, its text out: what transformers' documentation shows, in FastAPI."""

import socket
import sys
import threading

import soundfile
import soxr
import torch
import uvicorn
from fastapi import FastAPI, UploadFile
from transformers import AutoModelForCTC, AutoProcessor

folder, threads, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
processor = AutoProcessor.from_pretrained(folder)
model = AutoModelForCTC.from_pretrained(folder, attn_implementation="sdpa").eval()
free = threading.Semaphore(at_once)
app = FastAPI()


@app.post("/transcribe")
def transcribe(file: UploadFile):
    samples, rate = soundfile.read(file.file, dtype="float32")
    if rate != 16_000:
        samples = soxr.resample(samples, rate, 16_000)
    inputs = processor(samples, sampling_rate=16_000, return_tensors="pt")
    with free, torch.inference_mode():
        ids = model(**inputs).logits.argmax(-1)
    return {"text": processor.batch_decode(ids)[0]}


listening = socket.create_server(("127.0.0.1", 0))
print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listening])
'''


@dataclass
class Round:
    """What came of one round: seconds that it took, those of each request, and how many texts were as expected."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    same: int = 0

    @property
    def request(self) -> float:
        """Seconds of the servers' time for a request, the inverse of requests a second."""
        return self.seconds / len(self.latencies)

    @property
    def p99(self) -> float:
        return statistics.quantiles(self.latencies, n=100, method="inclusive")[98]


@contextlib.contextmanager
def process(command: Sequence[str]) -> Iterator[int]:
    """A server in a process of its own: the port that it prints."""
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            found = re.search(rf"http://{re.escape(HOST)}:(\d+)/", server.stdout.readline())
            if found is None:
                raise RuntimeError(f"{' '.join(command[:4])} did not start")
            yield int(found[1])
        finally:
            server.terminate()


def request_of(content: bytes) -> bytes:
    """A request with the file in a form, as both servers take it."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="clip"\r\n\r\n'.encode()
    body = head + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    return (
        f"POST /transcribe HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def answer_of(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    body = await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
    if not head.startswith("http/1.1 200"):
        raise RuntimeError(f"refused: {head.splitlines()[0]} {body.decode()[:200]}")
    return json.loads(body)["text"]


async def press(
    port: int, requests: Sequence[bytes], texts: Sequence[str], clients: int, seconds: float
) -> Round:
    """Let so many clients ask for so long; the last answers are waited for."""
    result, begun = Round(), time.perf_counter()

    async def ask(number: int) -> None:
        rng = random.Random(number)
        reader, writer = await asyncio.open_connection(HOST, port)
        while time.perf_counter() - begun < seconds:
            place = rng.randrange(len(requests))
            start = time.perf_counter()
            writer.write(requests[place])
            text = await answer_of(reader)
            result.latencies.append(time.perf_counter() - start)
            result.same += text == texts[place]
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*map(ask, range(clients)))
    result.seconds = time.perf_counter() - begun
    return result


def batch_size(port: int) -> float | None:
    """How many recordings were computed together on average, where the server counts it."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{HOST}:{port}/metrics") as answer:
        text = answer.read().decode()
        total, count = (
            re.search(rf"^tfwav2vec2_batch_size_{name} (\S+)", text, re.M) for name in ("sum", "count")
        )
        return float(total[1]) / float(count[1])
    return None


async def texts_of(port: int, requests: Sequence[bytes]) -> list[str]:
    """What a server reads in each file."""
    reader, writer = await asyncio.open_connection(HOST, port)
    texts = []
    for request in requests:
        writer.write(request)
        texts.append(await answer_of(reader))
    writer.close()
    await writer.wait_closed()
    return texts


@dataclass(frozen=True)
class Case:
    """A model in both servers, the files to ask for with what is said in them (where it is known), and how many ask."""

    title: str
    folder: Path
    file: Path
    said: Mapping[bytes, str | None]
    clients: int
    seconds: float


def run(case: Case, rounds: int, threads: int) -> None:
    requests = [request_of(content) for content in case.said]
    settings = {"all threads for one request": (threads, 1), "one thread for each request": (1, threads)}
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "peer.py").write_text(PEER)
        peers = {
            name: stack.enter_context(
                process([str(folder / "peer.py"), str(case.folder), *map(str, numbers)])
            )
            for name, numbers in settings.items()
        }
        expected = asyncio.run(texts_of(next(iter(peers.values())), requests))
        known = list(case.said.values())
        if None not in known and expected != known:
            raise AssertionError(f"{TORCH} reads {expected}, and {known} is said")

        def pressed(port: int) -> Round:
            return asyncio.run(press(port, requests, expected, case.clients, case.seconds))

        tried = {name: pressed(port).request for name, port in peers.items()}
        print("\n" + "; ".join(f"{TORCH}, {name}: {1 / each:.1f} requests/s" for name, each in tried.items()))
        ports = {TORCH: peers[min(tried, key=tried.get)]}
        for name, model in ((OURS, case.file), (OURS_GRAPH, case.folder)):
            command = ["-m", "tfwav2vec2", "serve", str(model), "--port", "0"]
            ports[name] = stack.enter_context(process(command))
            pressed(ports[name])
        found: dict[str, list[Round]] = {name: [] for name in ports}
        names = list(ports)
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                found[name].append(pressed(ports[name]))
        batches = {name: batch_size(port) for name, port in ports.items()}
    report(case, found, batches, threads, must_agree=None not in known)


def report(
    case: Case,
    found: Mapping[str, list[Round]],
    batches: Mapping[str, float | None],
    threads: int,
    must_agree: bool,
) -> None:
    notes = {}
    for name, each in found.items():
        count, same = sum(len(one.latencies) for one in each), sum(one.same for one in each)
        if must_agree and same != count:
            raise AssertionError(f"{name} read {count - same} of {count} files otherwise than they were said")
        rate = 1 / statistics.median(one.request for one in each)
        batch = "" if batches[name] is None else f", {batches[name]:.2f} recordings in a batch"
        notes[name] = f"{rate:.1f} requests/s, {same / count:.1%} of {count} texts the same{batch}"
    rounds = len(next(iter(found.values())))
    title = f"{case.title}, {case.clients} clients, {threads} cores, {rounds} rounds of {case.seconds:g} s"
    for figure, label in (("request", "time for a request"), ("p99", "99 of 100 answered within")):
        times = {name: [getattr(one, figure) for one in each] for name, each in found.items()}
        claims = {(OURS, TORCH): CLAIMS[figure]} if must_agree else {}
        _timing.report(f"{title}: {label}", times, notes, claims)


def embedded(clients: int, seconds: float) -> Case:
    """The embedded model and the demo's clips."""
    from tfwav2vec2.embedded import embedded_model

    clips = Path(__file__).resolve().parents[1] / "demo" / "clips"
    rows = [line.split("\t") for line in (clips / "manifest.tsv").read_text().splitlines()[1:]]
    said = {(clips / file).read_bytes(): text for file, _, text in rows}
    return Case("Embedded model", embedded_model(), embedded_model() / "model.tflite", said, clients, seconds)


def base(folder: Path, clients: int, seconds: float) -> Case:
    """The base architecture with random weights, and noise of two to six seconds."""
    import io

    import numpy as np
    import soundfile

    from benchmarks.cold_start import write_model
    from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Processor
    from tfwav2vec2.serving.litert import export_litert

    model, file = folder / "base", folder / "base.tflite"
    model.mkdir()
    write_model(model)
    export_litert(TFWav2Vec2ForCTC.from_pretrained(model), Wav2Vec2Processor.from_pretrained(model), file)
    said: dict[bytes, str | None] = {}
    for length in (2, 3, 4, 6):
        samples = 0.1 * np.random.default_rng(length).standard_normal(length * SAMPLE_RATE)
        content = io.BytesIO()
        soundfile.write(content, samples, SAMPLE_RATE, format="FLAC")
        said[content.getvalue()] = None
    return Case("Base architecture", model, file, said, clients, seconds)


def main() -> None:
    parser = _timing.parser(__doc__, rounds=5)
    parser.add_argument("--clients", type=int, default=16, help="that ask at the same time (16)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a round with the embedded model (5)")
    parser.add_argument("--base-clients", type=int, default=4, help="for the base architecture (4)")
    parser.add_argument(
        "--base-seconds", type=float, default=20.0, help="for the base architecture; 0 leaves it out (20)"
    )
    options = parser.parse_args()
    _timing.limit_threads(options.threads)
    run(embedded(options.clients, options.seconds), options.rounds, options.threads)
    if options.base_seconds:
        with tempfile.TemporaryDirectory() as folder:
            case = base(Path(folder), options.base_clients, options.base_seconds)
            run(case, options.rounds, options.threads)


if __name__ == "__main__":
    main()
