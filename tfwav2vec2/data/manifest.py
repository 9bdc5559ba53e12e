"""Lists of examples: files of tab- or comma-separated values, JSON lines, and folders of audio."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfwav2vec2.audio.loading import AUDIO_SUFFIXES
from tfwav2vec2.data.columns import ManifestError, choose_columns
from tfwav2vec2.data.examples import Example, from_arrays
from tfwav2vec2.data.hub_dataset import from_datasets, is_dataset

__all__ = ["Example", "ManifestError", "as_examples", "from_arrays", "from_datasets", "read_manifest"]

_METADATA = ("metadata.csv", "metadata.tsv", "metadata.jsonl")
_SEPARATORS = {".tsv": "\t", ".csv": ","}

# A transcript or a list of intervals can be long; the csv module's own limit is 128 kB.
_LONGEST_FIELD = 2**24


def as_examples(source: Any, **columns: str | None) -> list[Example]:
    """Examples from whatever holds them: a list of them, a manifest's or a folder's path, a Hugging Face dataset.

    Raises:
        TypeError: for anything else.
        OSError, ValueError: as :func:`read_manifest` and :func:`from_datasets` do.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_manifest(source, **columns)
    if is_dataset(source):
        return from_datasets(source, **columns)
    if isinstance(source, Sequence) and all(isinstance(example, Example) for example in source):
        return list(source)
    raise TypeError(
        f"Examples are a list of Example, a manifest's path, a folder or a Hugging Face dataset; got a "
        f"{type(source).__name__}. from_arrays makes examples of arrays"
    )


def read_manifest(
    path: str | Path,
    *,
    audio: str | None = None,
    target: str | None = None,
    speaker: str | None = None,
    root: str | Path | None = None,
) -> list[Example]:
    """The examples of a manifest or of a folder.

    A ``.tsv`` or ``.csv`` file has a row of column names first; a ``.jsonl`` file has an object in each line. A folder
    holds ``metadata.csv``, ``metadata.tsv`` or ``metadata.jsonl`` (the Hugging Face hub's ``audiofolder``), or a
    folder of audio files for each class, or else audio files, without targets.

    The columns are the audio's path, the target, and perhaps ``id``, ``speaker``, ``seconds`` (or ``duration``),
    ``start`` and ``end`` in seconds for a part of the file. Paths are relative to the manifest's folder. An empty field
    counts as none. A target in JSON may be a list of ``[start, end, class]``; in a table it may be that list as JSON.

    Args:
        path: the file or the folder.
        audio: the column of paths; by default the first of ``audio``, ``path``, ``file_name``, ``file`` and the like.
        target: the column of targets; by default the first of ``text``, ``sentence``, ``transcript``,
            ``transcription``, ``label`` and the like.
        speaker: the column of speakers; by default ``speaker``, ``speaker_id`` or ``client_id``.
        root: what paths are relative to, where that is not the manifest's folder.

    Raises:
        OSError: where there is no such file or folder.
        ManifestError: where it is of no known kind, lacks a column or holds no examples.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        return _read_folder(path, audio=audio, target=target, speaker=speaker)
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: check the path of the manifest")
    rows = list(_rows(path))
    if not rows:
        raise ManifestError(
            f"{path} holds no examples; it needs a line for each, below the names of the columns"
        )
    names = set().union(*(row for _, row in rows))
    columns = choose_columns(str(path), names, audio=audio, target=target, speaker=speaker)
    folder = path.parent if root is None else Path(root)
    return [_example(f"{path}, line {line}", row, columns, folder) for line, row in rows]


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a file with the numbers of their lines; a field that is empty is None."""
    suffix = path.suffix.lower()
    if suffix in _SEPARATORS:
        yield from _table(path, _SEPARATORS[suffix])
    elif suffix in (".jsonl", ".ndjson"):
        yield from _json_lines(path)
    else:
        raise ManifestError(f"{path} is no manifest: it must end in .tsv, .csv or .jsonl, or be a folder")


def _table(path: Path, separator: str) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(_LONGEST_FIELD)
    # Tab-separated values have no quoting: a quotation mark in a transcript is a quotation mark.
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=separator, quoting=quoting, strict=True)
        try:
            for row in reader:
                if None in row:
                    raise ManifestError(
                        f"{path}, line {reader.line_num} has more fields than there are columns"
                        + ("; quote fields that hold commas" if separator == "," else "")
                    )
                yield reader.line_num, {name: value or None for name, value in row.items()}
        except (csv.Error, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}, line {reader.line_num + 1} cannot be read: {error}") from None


def _json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ManifestError(f"{path}, line {number} is not JSON: {error}") from None
        if not isinstance(row, dict):
            raise ManifestError(
                f"{path}, line {number} must be an object with named fields; it is {line[:60]}"
            )
        yield number, row


def _example(where: str, row: Mapping[str, Any], columns: Mapping[str, str], folder: Path) -> Example:
    fields = {part: row[column] for part, column in columns.items() if row.get(column) is not None}
    if "audio" not in fields:
        raise ManifestError(f"{where} names no audio file")
    file = str(fields["audio"])
    target = fields.get("target")
    if columns.get("target") == "intervals" and isinstance(target, str):
        try:
            target = json.loads(target)
        except ValueError:
            raise ManifestError(f"{where}: intervals must be JSON, [[start, end, class], ...]") from None
    try:
        seconds, start, end = (_number(fields, part) for part in ("seconds", "start", "end"))
        if start is not None and end is None and seconds is not None:
            end = start + seconds
        return Example(
            id=str(fields.get("id") or _default_id(file, start, end)),
            audio=folder / file,
            target=target,
            speaker=str(fields["speaker"]) if "speaker" in fields else None,
            seconds=seconds,
            start=start or 0.0,
            end=end,
        )
    except ValueError as error:
        raise ManifestError(f"{where}: {error}") from None


def _default_id(file: str, start: float | None, end: float | None) -> str:
    """The file's name; for a part of it with the times, so that no two parts are called the same."""
    return (
        file
        if start is None and end is None
        else f"{file}@{start or 0:g}-{'' if end is None else f'{end:g}'}"
    )


def _number(fields: Mapping[str, Any], part: str) -> float | None:
    try:
        return float(fields[part]) if part in fields else None
    except (TypeError, ValueError):
        raise ValueError(f"{part} is {fields[part]!r}; it must be a number of seconds") from None


def _read_folder(folder: Path, **columns: str | None) -> list[Example]:
    for name in _METADATA:
        if (folder / name).is_file():
            return read_manifest(folder / name, **columns)
    files = sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.suffix.lower() in AUDIO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not files:
        raise ManifestError(f"{folder} holds neither {', '.join(_METADATA)} nor audio files")
    # The first folder on the way is the class; audio beside the folders has none.
    return [
        Example(
            id=file.as_posix(), audio=folder / file, target=file.parts[0] if len(file.parts) > 1 else None
        )
        for file in files
    ]
