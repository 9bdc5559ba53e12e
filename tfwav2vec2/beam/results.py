"""What a batch leaves: transcripts in files of JSON lines, the failures in one, and a summary."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tfwav2vec2.beam.journal import Outcome, write_json_lines
from tfwav2vec2.beam.recordings import BatchRecording
from tfwav2vec2.weights.files import write_json

TRANSCRIPTS = "transcripts"
FAILURES, SUMMARY = "failures.jsonl", "summary.json"
LINES_A_FILE = 10_000


@dataclass(frozen=True)
class Summary:
    """How a batch ended: how many recordings it has, what became of them, and the seconds of audio that have a text."""

    recordings: int
    transcribed: int
    failed: int
    seconds: float


def write_results(
    folder: Path, recordings: Sequence[BatchRecording], outcomes: Mapping[str, Outcome]
) -> Summary:
    """Write what became of each recording, in their order: the same bytes however often the batch was interrupted.

    Args:
        folder: for ``transcripts-00000.jsonl`` and on, ``failures.jsonl``, and ``summary.json``, which is written last.
        recordings: all of the batch.
        outcomes: by their ids; each has one.
    """
    # While the rest is written anew, there is no summary that would be believed.
    (folder / SUMMARY).unlink(missing_ok=True)
    ended = [(recording, outcomes[recording.id]) for recording in recordings]
    texts = [
        {
            "id": recording.id,
            "file": recording.file,
            "text": outcome.text,
            "seconds": round(outcome.seconds, 3),
        }
        for recording, outcome in ended
        if outcome.error is None
    ]
    failures = [
        {"id": recording.id, "file": recording.file, "error": outcome.error}
        for recording, outcome in ended
        if outcome.error is not None
    ]
    files = [
        folder / f"{TRANSCRIPTS}-{number:05d}.jsonl" for number in range(math.ceil(len(texts) / LINES_A_FILE))
    ]
    for surplus in set(folder.glob(f"{TRANSCRIPTS}-*.jsonl")) - set(files):
        surplus.unlink()
    for number, file in enumerate(files):
        write_json_lines(file, texts[number * LINES_A_FILE : (number + 1) * LINES_A_FILE])
    write_json_lines(folder / FAILURES, failures)
    seconds = math.fsum(outcome.seconds for _, outcome in ended if outcome.error is None)
    summary = Summary(len(ended), len(texts), len(failures), round(seconds, 3))
    write_json(folder / SUMMARY, asdict(summary))
    return summary
