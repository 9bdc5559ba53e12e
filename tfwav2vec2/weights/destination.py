"""Where a conversion writes to: in which format, whether the place is free, and how it is filled all at once."""

from __future__ import annotations

import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tfwav2vec2.weights.companions import COMPANIONS
from tfwav2vec2.weights.formats.keras_archive import KERAS_SUFFIX, WEIGHTS_SUFFIX

# What can be written, and its weights' file in a folder. Keras's formats can also be files that stand alone.
FORMATS = {
    "safetensors": "model.safetensors",
    "torch": "pytorch_model.bin",
    "keras": f"model{KERAS_SUFFIX}",
    "weights-h5": f"model{WEIGHTS_SUFFIX}",
}
KERAS_SUFFIXES = {"keras": KERAS_SUFFIX, "weights-h5": WEIGHTS_SUFFIX}

# Names that look like a file's, for which a folder would be made.
_FILE_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".json")
_WEIGHTS = re.compile(
    r"(model|pytorch_model|tf_model|flax_model)(-\d{5}-of-\d{5})?"
    r"\.(safetensors|bin|h5|msgpack|keras|weights\.h5)(\.index\.json)?"
)


@dataclass(frozen=True)
class Destination:
    """A folder, or one file of Keras's.

    Attributes:
        path: of the folder or file.
        format: which of :data:`FORMATS` is written.
        is_file: whether one file is all that is written.
    """

    path: Path
    format: str
    is_file: bool

    @classmethod
    def of(cls, path: str | Path, to: str | None) -> Destination:
        """The destination at a path, in the format ``to``; by default in that of the path's suffix, else safetensors.

        Raises:
            ValueError: where there is no such format, or the path's suffix is another's.
        """
        path = Path(path).expanduser()
        if to is not None and to not in FORMATS:
            raise ValueError(f"to is {to!r}; give one of {', '.join(FORMATS)}")
        named = next((name for name, suffix in KERAS_SUFFIXES.items() if path.name.endswith(suffix)), None)
        if named is None and path.suffix in _FILE_SUFFIXES:
            raise ValueError(
                f"{path} looks like the name of a file; give the name of a folder, which also takes the configuration"
            )
        if named is not None and to not in (None, named):
            raise ValueError(f"{path} has the suffix of {named}, and to is {to!r}; change one of the two")
        return cls(path, to or named or "safetensors", named is not None)

    @property
    def weights_name(self) -> str:
        """The name of the file that the weights go to."""
        return self.path.name if self.is_file else FORMATS[self.format]

    def check_free(self, source: str | Path, overwrite: bool) -> None:
        """Refuse to write over what is there.

        Args:
            source: what is converted: a folder, a file or a name on the hub.
            overwrite: whether a model that is there may be replaced.

        Raises:
            OSError: where the destination is the source, is there already, or is a folder in place of a file or a file
                in place of a folder.
        """
        if not self.path.exists():
            return
        if self.path.is_dir() == self.is_file:
            kinds = ("a folder", "a file") if self.is_file else ("a file", "a folder")
            raise OSError(
                f"{self.path} is {kinds[0]}; give the name of {kinds[1]}, or of what is not there yet"
            )
        given = Path(source).expanduser()
        read = given.parent if given.is_file() and not self.is_file else given
        if read.exists() and self.path.samefile(read):
            raise FileExistsError(f"{self.path} is what is to be converted; give another destination")
        if not overwrite and (self.is_file or any(self.path.iterdir())):
            raise FileExistsError(
                f"{self.path} is there already; give another destination, or ask to overwrite it"
            )

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """A folder beside the destination to write into, whose content takes its place once all went well.

        In a folder that is there, files of the model that was in it go; all others stay.
        """
        folder = self.path.parent / f".{uuid.uuid4().hex}.tmp"
        folder.mkdir(parents=True)
        try:
            yield folder
            if self.is_file:
                (folder / self.path.name).replace(self.path)
            elif not self.path.exists():
                folder.rename(self.path)
            else:
                self._replace(list(folder.iterdir()))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _replace(self, written: list[Path]) -> None:
        for path in written:
            path.replace(self.path / path.name)
        names = {path.name for path in written}
        for path in list(self.path.iterdir()):
            if path.name not in names and (_WEIGHTS.fullmatch(path.name) or path.name in COMPANIONS):
                path.unlink()
