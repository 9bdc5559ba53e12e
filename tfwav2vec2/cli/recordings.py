"""Which recordings a command line names, and where their transcripts go."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recording:
    """An audio file: its path, and its name relative to the folder in which it was found."""

    path: Path
    name: Path


def find_recordings(inputs: Iterable[Path]) -> tuple[list[Recording], list[str]]:
    """The audio files that ``inputs``, files and folders, stand for, and what is wrong with the rest.

    Folders are searched at every depth for files with an audio suffix, in the order of their names; hidden files are
    left out. A file that is named twice comes once.
    """
    found: dict[Path, Recording] = {}
    problems: list[str] = []
    for given in inputs:
        try:
            recordings = _recordings_in(given, problems)
        except OSError as error:
            problems.append(f"{given} cannot be opened ({error.strerror}): check that you may read it")
            continue
        for recording in recordings:
            found.setdefault(recording.path.absolute(), recording)
    return list(found.values()), problems


def _recordings_in(given: Path, problems: list[str]) -> list[Recording]:
    if given.is_dir():
        recordings = [Recording(path, path.relative_to(given)) for path in _audio_files(given, problems)]
        if not recordings:
            problems.append(f"{given} holds no audio files: name the files, or another folder")
        return recordings
    if given.exists():
        return [Recording(given, Path(given.name))]
    problems.append(f"{given} does not exist: check the path")
    return []


def _audio_files(folder: Path, problems: list[str]) -> Iterator[Path]:
    from tfwav2vec2.audio.loading import AUDIO_SUFFIXES

    def report(error: OSError) -> None:
        problems.append(f"{error.filename} cannot be searched ({error.strerror}): check that you may read it")

    for parent, folders, files in os.walk(folder, onerror=report):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(parent, name)
            # Names with a dot in front are, on some systems, notes about the file without the dot.
            if path.suffix.lower() in AUDIO_SUFFIXES and not name.startswith("."):
                yield path


def output_paths(recordings: Iterable[Recording], folder: Path, suffix: str) -> dict[Path, Path]:
    """Where each recording's transcript goes: ``folder`` / its name with ``suffix`` added, by the recording's path.

    Raises:
        ValueError: where two recordings would be written to the same file.
    """
    targets: dict[Path, Path] = {}
    for recording in recordings:
        target = folder / recording.name.with_name(recording.name.name + suffix)
        if target in targets:
            raise ValueError(
                f"{targets[target]} and {recording.path} would both be written to {target}: name the folder that "
                "holds both, whose subfolders are kept, or transcribe them into different folders"
            )
        targets[target] = recording.path
    return {path: target for target, path in targets.items()}
