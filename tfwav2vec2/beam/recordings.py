"""The recordings of a large batch: what a folder, a list or a manifest names, and how each is told from its changed self."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tfwav2vec2.audio.loading import AUDIO_SUFFIXES
from tfwav2vec2.beam.transcription import Source
from tfwav2vec2.data.examples import Example

MANIFESTS = frozenset({".tsv", ".csv", ".jsonl", ".ndjson"})

# The bytes of a second of 16-bit samples at 16 kHz: to compare a part of a file with whole files.
BYTES_A_SECOND = 32_000


@dataclass(frozen=True)
class BatchRecording:
    """A recording of a batch.

    Attributes:
        id: its name in the results; no two recordings of a batch have the same.
        file: its absolute path.
        start, end: the part of the file in seconds; ``end`` is None for its end.
        size: of the file in bytes; None where there is none.
        modified: when the file was last changed, in nanoseconds.
    """

    id: str
    file: str
    start: float = 0.0
    end: float | None = None
    size: int | None = None
    modified: int | None = None

    @property
    def source(self) -> Source:
        """What is transcribed."""
        if self.start == 0 and self.end is None:
            return self.file
        return Example(self.id, Path(self.file), start=self.start, end=self.end)

    @property
    def weight(self) -> float:
        """About how long it is to be computed on, in bytes."""
        size = self.size or 0
        return size if self.end is None else min(size, BYTES_A_SECOND * (self.end - self.start))

    @property
    def fingerprint(self) -> str:
        """What changes when the recording does: its file's path, size and time of change, and which part of it."""
        facts = [self.file, self.size, self.modified, self.start, self.end]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def find_batch(given: Path) -> tuple[list[BatchRecording], list[str]]:
    """The recordings that a folder, a manifest, a list or a single audio file stands for, and what is wrong with the rest.

    A folder is searched at every depth; a recording is called by its path inside. A manifest (.tsv, .csv, .jsonl) is read
    by :func:`tfwav2vec2.read_manifest`. Any other text file is a list with a path in each line, relative to the list.

    Raises:
        OSError: where the manifest or list cannot be read.
        ValueError: where it holds no recordings, or two recordings with one name.
    """
    if given.is_dir() or given.suffix.lower() in AUDIO_SUFFIXES or not given.exists():
        # Folders and files are found as other commands find them.
        from tfwav2vec2.cli.recordings import find_recordings

        found, problems = find_recordings([given])
        named = [BatchRecording(recording.name.as_posix(), _absolute(recording.path)) for recording in found]
    elif given.suffix.lower() in MANIFESTS:
        from tfwav2vec2.data.manifest import read_manifest

        named, problems = [_of_example(example) for example in read_manifest(given)], []
    else:
        named, problems = list(_of_list(given)), []
    return [_looked_at(recording) for recording in _distinct(named, given)], problems


def _of_example(example: Example) -> BatchRecording:
    return BatchRecording(example.id, _absolute(Path(example.audio)), example.start, example.end)


def _of_list(path: Path) -> Iterator[BatchRecording]:
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if b"\0" in content:
        raise ValueError(
            f"{path} is no list of recordings: give a folder, a manifest (.tsv, .csv, .jsonl), or a text file with a path "
            "in each line"
        )
    lines = [os.fsdecode(line.strip()) for line in content.splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{path} names no recordings: write the path of one in each line")
    for line in lines:
        yield BatchRecording(line, _absolute(path.parent / line))


def _absolute(path: Path) -> str:
    # The processes that read it may work in other folders.
    return str(path.absolute())


def _distinct(recordings: Iterable[BatchRecording], given: Path) -> Iterator[BatchRecording]:
    """Each recording once; two that bear one name are refused."""
    seen: dict[str, BatchRecording] = {}
    for recording in recordings:
        before = seen.setdefault(recording.id, recording)
        if before is recording:
            yield recording
        elif before != recording:
            raise ValueError(
                f"{given} calls two recordings {recording.id!r}, {before.file} and {recording.file}: give each an id of its own"
            )


def _looked_at(recording: BatchRecording) -> BatchRecording:
    """With what the file system says of its file."""
    try:
        found = Path(recording.file).stat()
    except OSError:
        return recording  # Whoever reads it says what is wrong.
    return replace(recording, size=found.st_size, modified=found.st_mtime_ns)
