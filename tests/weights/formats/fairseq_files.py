"""Files in fairseq's layout, made without fairseq, and holding whatever a test wants them to."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from tests.weights.formats import torch_files
from tests.weights.formats.torch_files import entries_of, state_pickle, text

HIDDEN, CHANNELS, INNER, OUTPUTS = 8, 6, 10, 7
OPTIONS: dict[str, Any] = {
    "encoder_layers": 1,
    "encoder_embed_dim": HIDDEN,
    "encoder_ffn_embed_dim": INNER,
    "encoder_attention_heads": 2,
    "conv_feature_layers": "[(6, 10, 5), (6, 3, 2)]",
    "conv_pos": 4,
    "conv_pos_groups": 2,
}


def pretrained() -> dict[str, np.ndarray]:
    """The state dict of a tiny model without a quantizer."""
    layer = "encoder.layers.0."
    shapes: dict[str, tuple[int, ...]] = {
        "mask_emb": (HIDDEN,),
        "feature_extractor.conv_layers.0.0.weight": (CHANNELS, 1, 10),
        "feature_extractor.conv_layers.0.2.weight": (CHANNELS,),
        "feature_extractor.conv_layers.0.2.bias": (CHANNELS,),
        "feature_extractor.conv_layers.1.0.weight": (CHANNELS, CHANNELS, 3),
        "post_extract_proj.weight": (HIDDEN, CHANNELS),
        "post_extract_proj.bias": (HIDDEN,),
        "encoder.pos_conv.0.bias": (HIDDEN,),
        "encoder.pos_conv.0.weight_g": (1, 1, 4),
        "encoder.pos_conv.0.weight_v": (HIDDEN, HIDDEN // 2, 4),
        **{f"{layer}self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in ("k", "v", "q", "out")},
        **{f"{layer}self_attn.{part}_proj.bias": (HIDDEN,) for part in ("k", "v", "q", "out")},
        f"{layer}fc1.weight": (INNER, HIDDEN),
        f"{layer}fc1.bias": (INNER,),
        f"{layer}fc2.weight": (HIDDEN, INNER),
        f"{layer}fc2.bias": (HIDDEN,),
        **{
            f"{norm}.{end}": (width,)
            for norm, width in (
                (f"{layer}self_attn_layer_norm", HIDDEN),
                (f"{layer}final_layer_norm", HIDDEN),
                ("encoder.layer_norm", HIDDEN),
                ("layer_norm", CHANNELS),
            )
            for end in ("weight", "bias")
        },
    }
    generator = np.random.default_rng(0)
    return {key: generator.standard_normal(shape).astype(np.float32) for key, shape in shapes.items()}


def fine_tuned() -> dict[str, np.ndarray]:
    """The same with outputs."""
    arrays = {f"w2v_encoder.w2v_model.{key}": array for key, array in pretrained().items()}
    arrays["w2v_encoder.proj.weight"] = np.ones((OUTPUTS, HIDDEN), np.float32)
    arrays["w2v_encoder.proj.bias"] = np.ones(OUTPUTS, np.float32)
    return arrays


def data(value: Any) -> bytes:
    """Instructions that leave plain data on the stack."""
    return pickle.dumps(value, protocol=2)[2:-1]


def instance(name: str, state: bytes) -> bytes:
    """Instructions that make an object of a class and give it a state."""
    module, _, attribute = name.rpartition(".")
    return f"c{module}\n{attribute}\n)".encode() + b"\x81" + state + b"b"


def namespace(fields: dict[str, Any], **more: bytes) -> bytes:
    """An ``argparse.Namespace`` of plain data, and of whatever more instructions make."""
    extra = b"".join(text(name) + value for name, value in more.items())
    return instance("argparse.Namespace", data(fields) + b"(" + extra + b"u")


def content(arrays: dict[str, np.ndarray], legacy: bool = False, **parts: bytes) -> bytes:
    """A file with a state dict under ``model`` and other parts beside it."""
    beside = b"".join(text(name) + value for name, value in parts.items())
    state = state_pickle(entries_of(arrays), legacy)[2:-1]
    return save(b"\x80\x02}(" + beside + text("model") + state + b"u.", arrays, legacy)


def save(pickled: bytes, arrays: dict[str, np.ndarray], legacy: bool) -> bytes:
    """A pickle and the numbers that it refers to, in torch's new format or in its old one."""
    storages = {entry.storage: entry.array for entry in entries_of(arrays).values()}
    if legacy:
        return torch_files.legacy_file(pickled, storages)
    return torch_files.zip_file(pickled, {key: array.tobytes() for key, array in storages.items()})
