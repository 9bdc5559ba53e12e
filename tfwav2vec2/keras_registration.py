"""Make the models known to Keras as soon as Keras is there, so that ``.keras`` files load after ``import tfwav2vec2``.

Keras refuses to import a class that a file names, so the class must be registered before the file is read. Importing
Keras and the models for that would cost every user seconds: the registration waits until somebody else imports Keras,
and then registers stand-ins, which import a model when a file asks for it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# What the models' own registration puts before their names.
KERAS_PACKAGE = "tfwav2vec2"


class _StandIn:
    """Stands where Keras looks for a class, until the class is imported and registers itself."""

    def __init__(self, name: str, home: str) -> None:
        self._name = name
        self._home = home

    def from_config(self, *args: Any, **kwargs: Any) -> Any:
        """What the class itself makes of a configuration."""
        return getattr(importlib.import_module(self._home), self._name).from_config(*args, **kwargs)


def register_with_keras(homes: Mapping[str, str]) -> None:
    """Register the classes (name and module) now if Keras is loaded, else when it will be."""
    if "keras" in sys.modules:
        _register(homes)
    elif not any(isinstance(finder, _KerasFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _KerasFinder(homes))


def _register(homes: Mapping[str, str]) -> None:
    import keras

    registered = keras.saving.get_custom_objects()
    for name, home in homes.items():
        registered.setdefault(f"{KERAS_PACKAGE}>{name}", _StandIn(name, home))


class _KerasFinder(MetaPathFinder):
    """Finds Keras as every other finder would, and registers the models after it has run."""

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._homes = homes

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenRegister(spec.loader, self._homes)
        return spec


class _ThenRegister(Loader):
    """The loader that it is given, and then the registration."""

    def __init__(self, loader: Loader, homes: Mapping[str, str]) -> None:
        self._loader = loader
        self._homes = homes

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _register(self._homes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
