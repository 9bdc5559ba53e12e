"""One result, whoever else is at work: threads, processes, and programs that are compiled at the same time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tfwav2vec2
from tests.language.arpa_files import random_ngrams, write_arpa
from tfwav2vec2 import build_ctcdecoder
from tfwav2vec2.language import beam_core

LABELS = ["", " ", "a", "b", "c"]
WORDS = ["a", "ab", "bca", "cab", "aabbcca"]

# Two threads of a fresh process begin at once; what they found, where numba kept what it compiled, and what it took from there.
START = """
import sys
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from tfwav2vec2 import build_ctcdecoder
from tfwav2vec2.language import beam_core
logits = np.random.default_rng(0).normal(size=(30, 5))
def work(_):
    decoder = build_ctcdecoder(["", " ", "a", "b", "c"], sys.argv[1])
    return decoder.decode_beams(logits, hotwords=["cab"])
with ThreadPoolExecutor(2) as pool:
    one, other = pool.map(work, range(2))
assert one == other
stats = beam_core.search.stats
print(repr([(beam.text, beam.lm_score.hex()) for beam in one]))
print(getattr(stats, "cache_path", None))
print(sum(stats.cache_hits.values()))
"""


@pytest.fixture(scope="module")
def arpa(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("lm") / "model.arpa"
    return write_arpa(path, random_ngrams(WORDS, 3, np.random.default_rng(0)))


def test_the_same_bit_for_bit_however_often_and_by_however_many(arpa) -> None:
    decoder = build_ctcdecoder(LABELS, arpa)
    rng = np.random.default_rng(0)
    batch = [rng.normal(size=(int(frames), 5)) for frames in rng.integers(1, 120, 12)]
    options = {"hotwords": ["bca", "a cab"], "beam_width": 50}
    expected = [repr(decoder.decode_beams(logits, **options)) for logits in batch]
    for threads in (None, 1, 2, 7, 2):
        assert [repr(beams) for beams in decoder.decode_beams_batch(batch, threads, **options)] == expected
    other = build_ctcdecoder(LABELS, arpa)  # of another opened model
    assert [repr(other.decode_beams(logits, **options)) for logits in batch] == expected


def test_several_callers_share_one_decoder(arpa) -> None:
    decoder = build_ctcdecoder(LABELS, arpa)
    batch = [np.random.default_rng(seed).normal(size=(60, 5)) for seed in range(8)]
    expected = build_ctcdecoder(LABELS, arpa).decode_beams_batch(batch, 1)
    start = threading.Barrier(4)

    def call(_: int) -> list:
        start.wait()
        return decoder.decode_beams_batch(batch, 2)

    with ThreadPoolExecutor(4) as pool:
        assert all(found == expected for found in pool.map(call, range(4)))


def test_the_search_runs_without_the_interpreters_lock() -> None:
    assert beam_core.search.targetoptions["nogil"]


def start(package: Path, arpa: Path, home: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", START, arpa],
        cwd=package.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(package.parent), "HOME": str(home), "XDG_CACHE_HOME": str(home)},
    )  # fmt: skip


def outcome(process: subprocess.Popen) -> tuple[str, str, int]:
    out, error = process.communicate()
    assert process.returncode == 0, error
    found, where, hits = out.splitlines()
    return found, where, int(hits)


@pytest.mark.slow
@pytest.mark.parametrize("writable", ["the package's folder", "the user's cache alone", "nothing"])
def test_compiled_once_and_kept_by_processes_that_start_together(arpa, tmp_path, writable) -> None:
    """Several processes of two threads each compile at the same time; later ones take what they kept."""
    package = tmp_path / "site" / "tfwav2vec2"
    shutil.copytree(Path(tfwav2vec2.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / "home"
    home.mkdir()
    if writable != "the package's folder":
        # Permissions do not hold the tests' superuser; a file where the folder would be does.
        (package / "language" / "__pycache__").write_text("")
    if writable == "nothing":
        home = tmp_path / "no folder"
        home.write_text("")
    together = [start(package, arpa, home) for _ in range(1 if writable == "nothing" else 2)]
    results = [outcome(process) for process in together]
    expected = build_ctcdecoder(LABELS, arpa).decode_beams(
        np.random.default_rng(0).normal(size=(30, 5)), hotwords=["cab"]
    )
    assert {result[0] for result in results} == {
        repr([(beam.text, beam.lm_score.hex()) for beam in expected])
    }
    if writable == "nothing":
        assert results[0][1] == "None"
        return
    found, where, hits = outcome(start(package, arpa, home))
    assert found == results[0][0]
    assert hits == 1
    assert Path(where).is_relative_to(package if writable == "the package's folder" else home)
    assert not list(Path(where).glob("*.tmp*"))
