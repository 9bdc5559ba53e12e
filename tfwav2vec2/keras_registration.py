"""Make the models known to Keras as soon as Keras is there, so that ``.keras`` files load after ``import tfwav2vec2``.

Keras refuses to import a class that a file names, so the class must be registered before the file is read. Importing
Keras for that would cost every user seconds, so the registration waits until somebody else imports it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# The modules whose import registers every serializable class.
_HOMES = (
    "tfwav2vec2.backbone.wav2vec2",
    "tfwav2vec2.heads.ctc",
    "tfwav2vec2.heads.sequence_classification",
    "tfwav2vec2.heads.audio_frame_classification",
    "tfwav2vec2.heads.xvector",
)


def register_with_keras() -> None:
    """Register the models now if Keras is loaded, else when it will be."""
    if "keras" in sys.modules:
        _register()
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder())


def _register() -> None:
    for home in _HOMES:
        importlib.import_module(home)


class _KerasFinder(MetaPathFinder):
    """Finds Keras as every other finder would, and registers the models after it has run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader)
        return spec


class _ThenRegister(Loader):
    """The loader that it is given, and then the registration."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
