"""What an exported program is accompanied by: the model's configuration and its processor's files.

A SavedModel holds them in ``assets.extra``; a ``.tflite`` file as a ZIP archive at its end, where LiteRT keeps associated
files: the runtime does not read them, and ``unzip`` does (Android's ``ZipFile`` may not: see ``docs/android.md``). Neither
TensorFlow nor Keras is needed to read them.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfwav2vec2 import __version__
from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.backbone.lengths import shortest_clip
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.processor import Wav2Vec2Processor
from tfwav2vec2.weights.files import read_json

# What the package notes about the export.
ABOUT = "export.json"
# Goes up where an older version would misread an export; those that name none are of the first.
FORMAT = 1
# Nothing else is ever read out of an export.
_NAMES = (
    ABOUT,
    "config.json",
    "preprocessor_config.json",
    "vocab.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
# The largest vocabulary of a published model is a few megabytes.
_LARGEST_FILE = 2**24


@dataclass(frozen=True)
class Bundle:
    """A model's configuration, what prepares its input and writes its text, and notes about the export."""

    config: Wav2Vec2Config
    processor: Any
    about: Mapping[str, Any]

    @property
    def shortest(self) -> int:
        """The fewest samples that make an answer."""
        return self.about.get("shortest", shortest_clip(self.config))


def bundle_files(model: Any, processor: Any, about: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a bundle by their names; the notes begin with what wrote them."""
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        processor.save_pretrained(folder)
        files = {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}
    noted = {"format": FORMAT, "version": __version__, **about}
    return files | {ABOUT: json.dumps(noted, indent=2).encode()}


def read_folder(folder: str | Path) -> Bundle:
    """The bundle whose files lie in a folder.

    Raises:
        OSError: where one is missing or damaged.
        ValueError: where they do not fit one another, or are of another version's format.
    """
    folder = Path(folder)
    if not (folder / "config.json").is_file() or not (folder / "preprocessor_config.json").is_file():
        raise FileNotFoundError(
            f"{folder} does not say how recordings are prepared for the model: it was not exported by this package, or by "
            "an older version of it; export the model again"
        )
    kind = Wav2Vec2Processor if (folder / "vocab.json").is_file() else Wav2Vec2FeatureExtractor
    about = read_json(folder / ABOUT) if (folder / ABOUT).is_file() else {}
    if (found := about.get("format", FORMAT)) != FORMAT:
        raise ValueError(
            f"{folder} is of the export format {found!r}, written by version {about.get('version')!r} of the package, and version "
            f"{__version__} reads format {FORMAT}: export the model again, or use that version"
        )
    if not isinstance(about.get("shortest", 1), int):
        raise ValueError(
            f"In {folder / ABOUT} 'shortest' is {about['shortest']!r}, which is no number of samples"
        )
    try:
        return Bundle(Wav2Vec2Config.from_pretrained(folder), kind.from_pretrained(folder), about)
    except TypeError as error:
        # In a file, a value of the wrong type is a wrong value.
        raise ValueError(str(error)) from error


def read_archive(path: str | Path) -> Bundle:
    """The bundle in the archive at the end of a file.

    Raises:
        OSError: where there is none, or a damaged one.
        ValueError: where its files do not fit one another, or are of another version's format.
    """
    files: dict[str, bytes] = {}
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                present = set(archive.namelist())
                files = {name: _bounded(archive, name) for name in _NAMES if name in present}
    except (
        zipfile.BadZipFile,
        zipfile.zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise OSError(
            f"The files at the end of {path} are damaged ({error}); export or download the model again"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        try:
            return read_folder(folder)
        except (OSError, ValueError) as error:
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(str(error).replace(folder, str(path))) from error


def append_archive(path: str | Path, files: Mapping[str, bytes]) -> None:
    """Add an archive of files at the end of a file."""
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            # Without the time of day: the same model makes the same file.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _bounded(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file's content. Its header may lie about its size, so that the limit is on what is read."""
    with archive.open(name) as file:
        content = file.read(_LARGEST_FILE + 1)
    if len(content) > _LARGEST_FILE:
        raise ValueError(f"{name} has more than {_LARGEST_FILE} bytes")
    return content
