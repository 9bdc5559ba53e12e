"""Checkpoints exchanged with the newest transformers, which runs in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file

from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2Config
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.key_map import is_transposed, torch_keys

PYTHON = os.environ.get("TFWAV2VEC2_TRANSFORMERS5_PYTHON")
pytestmark = pytest.mark.skipif(
    not PYTHON, reason="needs TFWAV2VEC2_TRANSFORMERS5_PYTHON: a python that has transformers 5 and torch"
)

TINY: dict[str, Any] = {
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
VARIANTS: dict[str, dict[str, Any]] = {
    "group": {},
    "layer_stable": {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
    "adapters": {"do_stable_layer_norm": True, "add_adapter": True, "adapter_attn_dim": 4},
    "bfloat16": {},
}

# Reads what this package wrote, says what was wrong with it, and writes one model whole and one in parts.
SCRIPT = """
import json, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from transformers import Wav2Vec2ForCTC, logging

logging.set_verbosity_error()
report = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    model, info = Wav2Vec2ForCTC.from_pretrained(folder, output_loading_info=True)
    state = {key: tensor.contiguous() for key, tensor in model.state_dict().items()}
    save_file(state, folder / "read_back.safetensors")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    save_file({k: t.contiguous() for k, t in model.state_dict().items()}, folder / "expected.safetensors")
    model.save_pretrained(folder / "whole")
    model.save_pretrained(folder / "parts", max_shard_size="4KB")
    report[folder.name] = {
        "dtype": str(model.dtype),
        "problems": {kind: sorted(map(str, names)) for kind, names in info.items() if names},
    }
print(json.dumps(report))
"""


def dtype_of(variant: str) -> str:
    return "bfloat16" if variant == "bfloat16" else "float32"


def tensors_of(model: Any) -> dict[str, np.ndarray]:
    return {
        torch_keys(name)[0]: value.T if is_transposed(name) else value
        for name, variable in named_variables(model).items()
        for value in [keras.ops.convert_to_numpy(variable)]
    }


def assert_same(given: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert given.keys() == expected.keys()
    for key, array in expected.items():
        assert given[key].dtype == array.dtype
        np.testing.assert_array_equal(given[key], array, err_msg=key)


@pytest.fixture(scope="module")
def exchanged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """Models of this package in folders, what the other side said of them, and the models."""
    root = tmp_path_factory.mktemp("exchange")
    models = {}
    for variant, fields in VARIANTS.items():
        models[variant] = TFWav2Vec2ForCTC(Wav2Vec2Config(**{**TINY, **fields}), dtype=dtype_of(variant))
        models[variant].save_pretrained(root / variant)
    assert PYTHON is not None
    done = subprocess.run([PYTHON, "-c", SCRIPT, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root, json.loads(done.stdout.splitlines()[-1]), models


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_reads_what_this_package_wrote(exchanged: Any, variant: str) -> None:
    root, report, models = exchanged
    assert report[variant] == {"dtype": f"torch.{dtype_of(variant)}", "problems": {}}
    assert_same(load_file(root / variant / "read_back.safetensors"), tensors_of(models[variant]))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("layout", ["whole", "parts"])
def test_this_package_reads_what_it_wrote(exchanged: Any, variant: str, layout: str) -> None:
    root, _, _ = exchanged
    assert (root / variant / layout / "model.safetensors.index.json").exists() == (layout == "parts")
    model = TFWav2Vec2ForCTC.from_pretrained(root / variant / layout, dtype=dtype_of(variant))
    assert_same(tensors_of(model), load_file(root / variant / "expected.safetensors"))
