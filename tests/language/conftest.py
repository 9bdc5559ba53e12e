"""Tokenizers to test with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tfwav2vec2 import Wav2Vec2CTCTokenizer

# The first call of a test may import a framework: no deadlines.
settings.register_profile("language", deadline=None)
settings.load_profile("language")

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]


def numbered(tokens: Any) -> dict[str, int]:
    return {token: index for index, token in enumerate(tokens)}


@pytest.fixture(scope="session")
def make_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Wav2Vec2CTCTokenizer]:
    """Makes a tokenizer from a list of tokens, or from a dictionary as the file holds it."""

    def make(tokens: Any = LETTERS, **fields: Any) -> Wav2Vec2CTCTokenizer:
        path: Path = tmp_path_factory.mktemp("vocabulary") / "vocab.json"
        content = tokens if isinstance(tokens, dict) else numbered(tokens)
        path.write_text(json.dumps(content), encoding="utf-8")
        return Wav2Vec2CTCTokenizer(path, **fields)

    return make


@pytest.fixture
def tokenizer(make_tokenizer: Callable[..., Wav2Vec2CTCTokenizer]) -> Wav2Vec2CTCTokenizer:
    return make_tokenizer()
