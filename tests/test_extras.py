"""What is said where the packages of an extra are missing."""

from __future__ import annotations

import importlib
import sys

import pytest

from tfwav2vec2.extras import require_extra


@pytest.mark.parametrize(
    ("module", "name", "package", "extra"),
    [
        ("tfwav2vec2.web", "create_app", "starlette", "serve"),
        ("tfwav2vec2.beam", "Transcribe", "apache_beam", "beam"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(
    module: str, name: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        ImportError, match=rf"package {package}, which is not installed: pip install 'tfwav2vec2\[{extra}\]'"
    ):
        getattr(importlib.import_module(module), name)


def test_what_is_installed_is_enough() -> None:
    require_extra("none", "This test needs", ("numpy", "json"))
