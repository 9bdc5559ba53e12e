"""Timing side by side: interleaved rounds, medians, and a table with the peer as the unit."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """A parser with what every benchmark can be told."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--rounds", type=int, default=rounds, help=f"timed rounds of each subject ({rounds})")
    result.add_argument("--threads", type=int, default=2, help="cores and threads for everyone (2)")
    return result


def limit_threads(threads: int) -> None:
    """Give this process and its children so many cores, and each library as many threads. Call before importing them."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
        os.environ[name] = str(threads)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def seconds(run: Callable[[], Any]) -> float:
    """How long one call takes, by the clock on the wall."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def interleave(
    subjects: Mapping[str, Callable[[], float]], rounds: int, rounds_of: Mapping[str, int] | None = None
) -> dict[str, list[float]]:
    """Time all subjects in each round, a different one first each time.

    Args:
        subjects: name to a function that runs once and returns its seconds (see :func:`seconds`); already warm.
        rounds: how many rounds.
        rounds_of: fewer rounds for the subjects named here.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    names = list(subjects)
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            if number < (rounds_of or {}).get(name, rounds):
                times[name].append(subjects[name]())
    return times


def report(
    title: str,
    times: Mapping[str, list[float]],
    notes: Mapping[str, str],
    claims: Mapping[tuple[str, str], float],
) -> None:
    """Print a table, whether the claims hold, and as the last line the same as JSON.

    Args:
        title: what was done, and how often.
        times: seconds of each subject's rounds; the first subject is the peer, whose median is the unit.
        notes: what else is to be said of a subject, such as how far its result is from the peer's.
        claims: for a pair of subjects, the highest ratio of their medians that is claimed.
    """
    medians = {name: statistics.median(each) for name, each in times.items()}
    quartiles = {
        name: statistics.quantiles(each, n=4, method="inclusive")[::2] if len(each) > 1 else each * 2
        for name, each in times.items()
    }
    unit = next(iter(medians.values()))
    width, load = max(map(len, medians)), os.getloadavg()[0]
    print(f"\n{title}; load {load:.1f}")
    print(f"{'':{width}}  {'median':>10}  {'half of them within':>24}  {'ratio':>6}")
    for name, median in medians.items():
        low, high = map(_text, quartiles[name])
        print(
            f"{name:{width}}  {_text(median):>10}  {low:>10} .. {high:>10}  {median / unit:>6.2f}  {notes.get(name, '')}"
        )
    verdicts = []
    for (name, peer), limit in claims.items():
        ratio = medians[name] / medians[peer]
        verdicts.append(
            {"subject": name, "peer": peer, "ratio": ratio, "limit": limit, "holds": ratio <= limit}
        )
        print(
            f"{'holds' if ratio <= limit else 'FAILS'}: {name} takes {ratio:.3f} of {peer}; claimed: at most {limit:g}"
        )
    subjects = {
        name: {
            "median_s": medians[name],
            "quartiles_s": quartiles[name],
            "rounds": len(each),
            "note": notes.get(name, ""),
        }
        for name, each in times.items()
    }
    print(json.dumps({"benchmark": title, "load": load, "subjects": subjects, "claims": verdicts}))


def _text(duration: float) -> str:
    return f"{duration:.2f} s" if duration >= 10 else f"{1000 * duration:.1f} ms"
