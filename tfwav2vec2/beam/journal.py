"""What has been transcribed so far: files of outcomes, one for each shard, written whole or not at all."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfwav2vec2.beam.recordings import BatchRecording
from tfwav2vec2.weights.files import write_atomically

# The number of a run and that of a shard.
_FILE = re.compile(r"(?P<shard>\d+-\d+)\.jsonl")


@dataclass(frozen=True)
class Outcome:
    """What became of a recording, the one with this ``id`` and ``fingerprint``: a text, or an ``error``."""

    id: str
    fingerprint: str
    text: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class Journal:
    """A folder of outcomes. Many processes may write to it, on one machine or on several that share the folder."""

    folder: Path

    def path_of(self, shard: str) -> Path:
        """The file of a shard."""
        return self.folder / f"{shard}.jsonl"

    def write(self, shard: str, outcomes: Iterable[Outcome]) -> None:
        """Write down a shard; once this returns, no kill undoes it."""
        write_json_lines(self.path_of(shard), map(asdict, outcomes))

    def shards(self) -> set[str]:
        """The names of the shards that are written."""
        with os.scandir(self.folder) as entries:
            return {found["shard"] for entry in entries if (found := _FILE.fullmatch(entry.name))}

    def next_run(self) -> int:
        """A number that no shard's name begins with yet."""
        return 1 + max((int(name.partition("-")[0]) for name in self.shards()), default=0)

    def outcomes(self) -> Iterator[Outcome]:
        """All that is written, in the order of the runs.

        Raises:
            OSError: where a file is damaged.
        """
        for shard in sorted(self.shards()):
            path = self.path_of(shard)
            try:
                # Not splitlines(), which also splits where a name or a text has a separator of its own.
                for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
                    yield Outcome(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise OSError(
                    f"{path} is damaged ({error}): delete it, and what it held is transcribed again"
                ) from error

    def outcomes_of(self, recordings: Iterable[BatchRecording]) -> dict[str, Outcome]:
        """By their ids, the outcomes of those recordings that have one and are unchanged since; a text outlasts failures."""
        fingerprints = {recording.id: recording.fingerprint for recording in recordings}
        found: dict[str, Outcome] = {}
        for outcome in self.outcomes():
            if fingerprints.get(outcome.id) != outcome.fingerprint:
                continue
            before = found.get(outcome.id)
            if before is None or before.error is not None:
                found[outcome.id] = outcome
        return found


def write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write an object in each line, the whole file or none."""
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(_line(row) + "\n")


def _line(row: dict[str, Any]) -> str:
    text = json.dumps(row, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(row)  # the name of a file need not be text
    return text
