"""What is written without torch, read by torch and by the reference."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config  # noqa: E402  # skipped without torch
from tfwav2vec2.weights.checkpoint import LazyTensor  # noqa: E402
from tfwav2vec2.weights.formats import torch_writer  # noqa: E402
from tfwav2vec2.weights.formats.torch_writer import write_torch  # noqa: E402
from tfwav2vec2.weights.variables import tensors  # noqa: E402

CONFIG = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 12],
    "conv_stride": [5, 3],
    "conv_kernel": [10, 4],
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 10,
}


def bits(array: np.ndarray) -> bytes:
    return array.tobytes()


def torch_bits(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("large", [False, True])
def test_torch_reads_every_dtype(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mmap: bool, large: bool
) -> None:
    if large:
        monkeypatch.setattr(torch_writer, "_LARGE", 8)
    arrays = {name: np.arange(12).reshape(3, 4).astype(name) for name in torch_writer._STORAGES}
    arrays |= {"scalar": np.array(3.5), "empty": np.zeros((0, 4)), "turned": np.arange(6.0).reshape(2, 3).T}
    lazy = {key: LazyTensor(array.shape, array.dtype, array.copy) for key, array in arrays.items()}
    write_torch(tmp_path / "model.pt", lazy)
    state = torch.load(tmp_path / "model.pt", weights_only=True, mmap=mmap)
    assert list(state) == list(arrays)
    for key, array in arrays.items():
        assert tuple(state[key].shape) == array.shape
        assert str(state[key].dtype).removeprefix("torch.") == array.dtype.name
        assert torch_bits(state[key]) == bits(array)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_the_reference_reads_a_model(tmp_path: Path, dtype: str) -> None:
    model = TFWav2Vec2ForCTC(Wav2Vec2Config(**CONFIG))
    model.config.save_pretrained(tmp_path)
    written = {
        key: tensor.read().astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
        for key, tensor in tensors(model).items()
    }
    lazy = {key: LazyTensor(array.shape, array.dtype, array.copy) for key, array in written.items()}
    write_torch(tmp_path / "pytorch_model.bin", lazy)
    reference, report = transformers.Wav2Vec2ForCTC.from_pretrained(
        tmp_path, torch_dtype=getattr(torch, dtype), output_loading_info=True, use_safetensors=False
    )
    assert not any(report.values())
    state = reference.state_dict()
    assert state.keys() == written.keys()
    for key, array in written.items():
        assert torch_bits(state[key]) == bits(array)
