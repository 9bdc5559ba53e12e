"""A tiny model, and a stand-in of the hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.weights.hub_server import Hub
from tfwav2vec2 import Wav2Vec2Config

TINY: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 12],
    "conv_stride": [5, 3],
    "conv_kernel": [10, 4],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 10,
}


@pytest.fixture(scope="session")
def tiny_config() -> Wav2Vec2Config:
    return Wav2Vec2Config(**TINY)


@pytest.fixture(scope="session")
def tiny_model(tiny_config: Wav2Vec2Config) -> Any:
    """A CTC model; tests only read it."""
    from tfwav2vec2 import TFWav2Vec2ForCTC

    return TFWav2Vec2ForCTC(tiny_config)


@pytest.fixture(scope="session")
def tiny_folder(tiny_model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where that model was saved; tests only read it."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model.save_pretrained(folder)
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A server that the hub library talks to, with a cache of its own."""
    from huggingface_hub import constants, file_download

    server = Hub()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    # Versions 0 of the library keep a copy of the template.
    for module in (constants, file_download):
        monkeypatch.setattr(module, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "")
    yield server
    server.close()
