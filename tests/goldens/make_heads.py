"""Make the goldens of the classification heads: tiny checkpoints, and what the reference computes at each stage.

Run where torch and transformers 4.57.6 are installed::

    python tests/goldens/make_heads.py

For each head and variant it writes ``heads/<head>-<variant>/``: the checkpoint as the reference saves it, with every
weight moved off its initial value, and ``stages.npz`` with the inputs and what each part of the head gives, unpadded and padded.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from make_models import LAYER, STABLE, TINY, randomise

FOLDER = Path(__file__).parent / "heads"
SAMPLES = 1200
LENGTHS = (1200, 811)
CLASSES = 3
HEADS = {
    "ForSequenceClassification": ("projector",),
    "ForAudioFrameClassification": (),
    "ForXVector": ("projector", *(f"tdnn.{index}" for index in range(5)), "feature_extractor"),
}
VARIANTS = {
    "group": {},
    "weighted": {**LAYER, **STABLE, "conv_bias": True, "use_weighted_layer_sum": True},
}


def labels_of(head: str, frames: int, generator: torch.Generator) -> torch.Tensor:
    if head == "ForAudioFrameClassification":
        indices = torch.randint(0, CLASSES, (len(LENGTHS), frames), generator=generator)
        return torch.nn.functional.one_hot(indices, CLASSES)
    return torch.randint(0, CLASSES, (len(LENGTHS),), generator=generator)


def run(model: torch.nn.Module, parts: tuple[str, ...], prefix: str, **inputs: torch.Tensor) -> dict:
    """What each part of the head and the whole model give, by dotted name."""
    stages: dict[str, np.ndarray] = {}

    def keep(name: str):
        def hook(module, arguments, output):
            # Before the reference writes zeros into it.
            stages[f"{prefix}{name}"] = output.detach().numpy().copy()

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(keep(name)) for name in parts]
    output = model(**inputs)
    for hook in hooks:
        hook.remove()
    for name in ("loss", "logits", "embeddings"):
        if output.get(name) is not None:
            stages[f"{prefix}{name}"] = output[name].detach().numpy()
    return stages


def make(head: str, variant: str) -> None:
    name = f"{head}-{variant}"
    seed = sum(name.encode())
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    config = transformers.Wav2Vec2Config(**{**TINY, **VARIANTS[variant]}, num_labels=CLASSES)
    model = getattr(transformers, f"Wav2Vec2{head}")(config).eval()
    randomise(model, generator)
    waveform = torch.randn((len(LENGTHS), SAMPLES), generator=generator)
    mask = (torch.arange(SAMPLES)[None] < torch.tensor(LENGTHS)[:, None]).long()
    waveform = torch.where(mask.bool(), waveform, torch.zeros(()))
    frames = int(model._get_feat_extract_output_lengths(SAMPLES))
    labels = labels_of(head, frames, generator)
    stages = {"input_values": waveform.numpy(), "attention_mask": mask.numpy(), "labels": labels.numpy()}
    with torch.no_grad():
        stages |= run(model, HEADS[head], "unpadded/", input_values=waveform, labels=labels)
        stages |= run(
            model, HEADS[head], "padded/", input_values=waveform, attention_mask=mask, labels=labels
        )
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    np.savez_compressed(folder / "stages.npz", **stages)


if __name__ == "__main__":
    for head in HEADS:
        for variant in VARIANTS:
            make(head, variant)
