"""Make small ``flax_model.msgpack`` files with the reference's Flax classes, for the reader that does without them.

Run where jax 0.4.30, flax 0.8.5, numpy<2, torch and transformers 4.57.6 are installed::

    python tests/goldens/make_flax_files.py

For each class it writes ``flax_files/<class>/``: ``model.safetensors``, as the PyTorch class saves random weights,
``config.json``, and ``flax_model.msgpack``, as the Flax class saves the same weights. ``ctc_bfloat16`` is in half
precision, ``ctc_chunked`` has its larger arrays in chunks, ``ctc_in_parts`` lies in several files.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import flax.serialization
import jax.numpy as jnp
import torch
import transformers

FOLDER = Path(__file__).parent / "flax_files"
# The Flax classes know the stable layer norm after convolutions with layer norm, and nothing else.
TINY = {
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "conv_dim": (4, 6),
    "conv_stride": (5, 3),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 7,
    "num_codevectors_per_group": 3,
    "codevector_dim": 4,
    "proj_codevector_dim": 6,
}
MODELS = {
    "model": ("Wav2Vec2Model", {"conv_bias": True, "add_adapter": True, "output_hidden_size": 6}),
    "ctc": ("Wav2Vec2ForCTC", {}),
    "pretraining": ("Wav2Vec2ForPreTraining", {}),
}
CHUNK_BYTES = 300


def randomised(name: str, config: transformers.Wav2Vec2Config) -> torch.nn.Module:
    """A PyTorch model none of whose tensors is a constant."""
    generator = torch.Generator().manual_seed(0)
    model = getattr(transformers, name)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def variants(model: transformers.FlaxPreTrainedModel) -> None:
    """The same weights as Flax writes them in half precision, in chunks, and in several files."""
    for folder in ("ctc_bfloat16", "ctc_chunked", "ctc_in_parts"):
        shutil.rmtree(FOLDER / folder, ignore_errors=True)
    model.save_pretrained(FOLDER / "ctc_in_parts", max_shard_size="3KB")
    limit, flax.serialization.MAX_CHUNK_SIZE = flax.serialization.MAX_CHUNK_SIZE, CHUNK_BYTES
    model.save_pretrained(FOLDER / "ctc_chunked")
    flax.serialization.MAX_CHUNK_SIZE = limit
    model.save_pretrained(FOLDER / "ctc_bfloat16", params=model.to_bf16(model.params))
    for folder in ("ctc_bfloat16", "ctc_chunked", "ctc_in_parts"):
        (FOLDER / folder / "config.json").unlink()


def main() -> None:
    for folder, (name, changes) in MODELS.items():
        target = FOLDER / folder
        shutil.rmtree(target, ignore_errors=True)
        randomised(name, transformers.Wav2Vec2Config(**TINY, **changes)).save_pretrained(target)
        flax_class = getattr(transformers, f"Flax{name}")
        model = flax_class.from_pretrained(target, from_pt=True, dtype=jnp.float32)
        model.save_pretrained(target / "flax")
        (target / "flax" / "flax_model.msgpack").rename(target / "flax_model.msgpack")
        shutil.rmtree(target / "flax")
        if folder == "ctc":
            variants(model)


if __name__ == "__main__":
    main()
