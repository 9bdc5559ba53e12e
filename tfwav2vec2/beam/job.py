"""Which batch a folder belongs to: its input and its model, so that a rerun goes on with the same, or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfwav2vec2.beam.journal import Journal
from tfwav2vec2.serving.engines import is_engine, is_server
from tfwav2vec2.weights.files import find_file, read_json, write_json

JOB, JOURNAL, LOCK = "job.json", "journal", ".lock"
LAYOUT = 1


@dataclass(frozen=True)
class Job:
    """What decides the results of a batch.

    Attributes:
        input: the folder, list or manifest of recordings.
        model: as it was named; ``embedded`` for the embedded model.
        language: of a multilingual model, where one was named.
        fingerprint: of the model's files, or its commit on the hub; empty for a server, which keeps its own.
        on_hub: whether the model comes from the hub.
        layout: of the folder; another version of this package may have another.
    """

    input: str
    model: str
    language: str | None
    fingerprint: str
    on_hub: bool = False
    layout: int = LAYOUT


def describe_job(given: Path, model: str | None, language: str | None) -> Job:
    """The job of a command line.

    Raises:
        OSError: where the model cannot be found.
    """
    from tfwav2vec2.embedded import embedded_model

    source = str(embedded_model()) if model is None else model
    if is_server(source):
        return Job(str(given.resolve()), source, language, fingerprint="")
    if is_engine(source) or Path(source).is_dir():
        name = "embedded" if model is None else str(Path(source).resolve())
        return Job(str(given.resolve()), name, language, _fingerprint(Path(source)))
    return Job(str(given.resolve()), source, language, hub_commit(source), on_hub=True)


def hub_commit(name: str) -> str:
    """The commit of a model on the hub, or in the cache where the hub is out of reach.

    Raises:
        OSError: where there is no such model.
    """
    path = find_file(name, "config.json")
    return path.parent.name


def _fingerprint(path: Path) -> str:
    """The hash of all bytes of a model: of its file, or of the files in its folder and their names."""
    digest = hashlib.sha256()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        name = file.relative_to(path).as_posix()
        if file.is_file() and not name.startswith("."):
            with file.open("rb") as content:
                digest.update(
                    hashlib.file_digest(content, "sha256").digest() + name.encode(errors="surrogateescape")
                )
    return digest.hexdigest()


@contextmanager
def open_job(folder: Path, job: Job) -> Iterator[Journal]:
    """Begin a batch in ``folder``, or go on with it; nobody else may meanwhile.

    Raises:
        OSError: where the folder cannot be made or written, or another process works in it.
        ValueError: where it belongs to another job, or holds something else.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file: name a folder for the results")
    begun = folder / JOB
    if not begun.exists() and folder.exists():
        # A kill in the first moments leaves the folder with no more than these.
        others = sorted(path.name for path in folder.iterdir() if not _is_temporary(path))
        others = [name for name in others if name not in (LOCK, JOURNAL)]
        if others:
            raise ValueError(
                f"{folder} holds other files ({', '.join(others[:3])}{', ...' if len(others) > 3 else ''}): name a new folder "
                "for the results"
            )
    (folder / JOURNAL).mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / JOURNAL)
    with _locked(folder):
        # A job that has nothing to show, perhaps for a model that could not be opened, binds nobody.
        if begun.exists() and journal.shards():
            _check_same(folder, read_json(begun), job)
        else:
            write_json(begun, asdict(job))
        for place in (folder, folder / JOURNAL):
            for path in filter(_is_temporary, list(place.iterdir())):
                path.unlink(missing_ok=True)
        yield journal


def _is_temporary(path: Path) -> bool:
    """Whether a kill left this file of :func:`~tfwav2vec2.weights.files.write_atomically`."""
    return path.name.startswith(".") and path.suffix == ".tmp"


def _check_same(folder: Path, begun: dict[str, Any], job: Job) -> None:
    wanted = asdict(job)
    if begun.get("layout") != LAYOUT or begun.keys() != wanted.keys():
        raise ValueError(
            f"{folder} was written by another version of this package: name another folder for the results"
        )
    for name in ("input", "model", "language"):
        if begun[name] != wanted[name]:
            raise ValueError(
                f"{folder} holds a batch with the {name} {begun[name]}, and now it is {wanted[name]}: give the {name} of "
                "before, or name another folder for the results"
            )
    if begun["fingerprint"] != wanted["fingerprint"]:
        raise ValueError(
            f"The files of the model {job.model} have changed since the batch in {folder} began: name another folder for the "
            "results, so that one model transcribes all"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which the system gives back however a process ends."""
    try:
        import fcntl
    except ImportError:  # a system without such locks
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(
                f"Another process works in {folder}: wait until it ends, or name another folder"
            ) from None
        yield
