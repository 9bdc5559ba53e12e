"""Make small ``tf_model.h5`` files with the reference's TensorFlow classes, for the reader that does without them.

Run where tensorflow, tf-keras, torch and transformers 4.57.6 are installed::

    TF_USE_LEGACY_KERAS=1 python tests/goldens/make_h5_files.py

For each class it writes ``h5_files/<class>/``: ``model.safetensors``, as the PyTorch class saves random weights,
``config.json``, and ``tf_model.h5``, as the TensorFlow class saves the same weights. ``in_parts`` is one in several files.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

import torch
import transformers

FOLDER = Path(__file__).parent / "h5_files"
# The TensorFlow classes need convolutions of one width throughout.
TINY = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "conv_dim": (4, 4),
    "conv_stride": (5, 3),
    "conv_kernel": (10, 3),
    "num_conv_pos_embeddings": 6,
    "num_conv_pos_embedding_groups": 2,
    "vocab_size": 7,
    "num_labels": 3,
    "classifier_proj_size": 5,
    "use_weighted_layer_sum": True,
    "num_codevectors_per_group": 3,
    "codevector_dim": 4,
    "proj_codevector_dim": 6,
}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
MODELS = {
    "model": ("Wav2Vec2Model", {}),
    "ctc": ("Wav2Vec2ForCTC", STABLE),
    "sequence_classification": ("Wav2Vec2ForSequenceClassification", {}),
}


def randomised(name: str, config: transformers.Wav2Vec2Config) -> torch.nn.Module:
    """A PyTorch model none of whose tensors is a constant."""
    generator = torch.Generator().manual_seed(0)
    model = getattr(transformers, name)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def main() -> None:
    for folder, (name, changes) in MODELS.items():
        target = FOLDER / folder
        shutil.rmtree(target, ignore_errors=True)
        randomised(name, transformers.Wav2Vec2Config(**TINY, **changes)).save_pretrained(target)
        model = getattr(transformers, f"TF{name}").from_pretrained(target, from_pt=True, use_safetensors=True)
        model.save_pretrained(target / "tf", safe_serialization=False)
        (target / "tf" / "tf_model.h5").rename(target / "tf_model.h5")
        shutil.rmtree(target / "tf")
        if folder == "ctc":
            parts = FOLDER / "in_parts"
            shutil.rmtree(parts, ignore_errors=True)
            model.save_pretrained(parts, safe_serialization=False, max_shard_size="3KB")
            (parts / "config.json").unlink()


if __name__ == "__main__":
    main()
