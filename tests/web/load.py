"""Many clients at once against a server in a process of its own, and what the process takes meanwhile.

Run by itself it is the measurement that the README quotes::

    python -m tests.web.load --clients 64 --seconds 60
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.web.client import HOST, Client

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass
class Load:
    """What came of a load: answers by status, seconds of each request, and the server's memory in bytes over time."""

    statuses: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1]

    def __str__(self) -> str:
        return (
            f"{len(self.seconds)} requests, {dict(sorted(self.statuses.items()))}, {len(self.wrong)} wrong; median "
            f"{1e3 * statistics.median(self.seconds):.0f} ms, p99 {1e3 * self.percentile(99):.0f} ms; memory "
            f"{self.memory[0] / 1e6:.0f} MB at first, {max(self.memory) / 1e6:.0f} at most, {self.memory[-1] / 1e6:.0f} at last"
        )


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], Client]]:
    """``tfwav2vec2 serve`` in a process of its own, at a free port."""
    with subprocess.Popen(
        [sys.executable, "-m", "tfwav2vec2", "serve", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
    ) as process:
        try:
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
            assert found, "the server did not start"
            yield process, Client(int(found[1]))
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()


def memory_of(process: int) -> int:
    """The resident memory of a process in bytes."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE_BYTES


def press(
    client: Client,
    process: int,
    files: Sequence[bytes],
    said: Mapping[bytes, str],
    clients: int,
    seconds: float,
) -> Load:
    """Let so many clients ask, each again as soon as it has its answer, for so long."""
    load, lock = Load(), threading.Lock()
    end = time.monotonic() + seconds

    def ask(number: int) -> None:
        rng = random.Random(number)
        connection = http.client.HTTPConnection(HOST, client.port, timeout=120)
        try:
            while time.monotonic() < end:
                file = rng.choice(files)
                begun = time.perf_counter()
                connection.request("POST", "/transcribe", file)
                response = connection.getresponse()
                body = response.read().decode()
                took = time.perf_counter() - begun
                with lock:
                    load.seconds.append(took)
                    load.statuses[response.status] = load.statuses.get(response.status, 0) + 1
                    if response.status == 200 and f'"text":"{said[file]}"' not in body:
                        load.wrong.append(body)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        load.memory.append(memory_of(process))
        time.sleep(0.25)
    for thread in threads:
        thread.join()
    return load


def demo_files() -> tuple[list[bytes], dict[bytes, str]]:
    """The demo's clips and what the model reads in each."""
    from tests.web.conftest import CLIPS, SAID

    files = {(CLIPS / f"{name}.flac").read_bytes(): text for name, text in SAID.items()}
    return list(files), files


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    files, said = demo_files()
    with served() as (process, client):
        load = press(client, process.pid, files, said, options.clients, options.seconds)
    print(f"{options.clients} clients for {options.seconds:g} s: {load}")
    print(f"{len(load.seconds) / options.seconds:.1f} requests a second")


if __name__ == "__main__":
    main()
