"""Make the model goldens: tiny checkpoints of every variant, and what the reference computes at each stage.

Run where torch and transformers 4.57.6 are installed::

    python tests/goldens/make_models.py

For each variant it writes ``models/<variant>/``: the checkpoint as the reference saves it, with every weight moved off
its initial value, and ``stages.npz`` with the inputs and the output of every stage, unpadded and padded.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC
from transformers.activations import ACT2FN

FOLDER = Path(__file__).parent
TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": (8, 8, 12),
    "conv_stride": (5, 3, 2),
    "conv_kernel": (10, 4, 3),
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
    "vocab_size": 10,
    "mask_time_length": 3,
    "num_codevectors_per_group": 8,
    "codevector_dim": 8,
    "proj_codevector_dim": 8,
    "tdnn_dim": (8, 8, 8, 8, 12),
    "xvector_output_dim": 8,
    "classifier_proj_size": 8,
}
STABLE = {"do_stable_layer_norm": True}
LAYER = {"feat_extract_norm": "layer"}
VARIANTS = {
    "group": {},
    "group_conv_bias": {"conv_bias": True, "ctc_loss_reduction": "mean"},
    "group_stable": STABLE,
    "layer": LAYER,
    "layer_conv_bias": {**LAYER, "conv_bias": True, "ctc_zero_infinity": True},
    "layer_stable": {**LAYER, **STABLE, "conv_bias": True},
    "odd_positions": {"num_conv_pos_embeddings": 7, "num_conv_pos_embedding_groups": 2},
    "no_masking": {"mask_time_prob": 0.0},
    "no_spec_augment": {"apply_spec_augment": False},
    "norm_eps": {"layer_norm_eps": 1e-2, **LAYER},
    "activations": {"hidden_act": "gelu_new", "feat_extract_activation": "relu"},
    "prelu": {"hidden_act": "prelu", "feat_extract_activation": "prelu"},
    # Layer norm: squares of squares would leave the range in which 1e-5 means something.
    "xielu": {**LAYER, **STABLE, "hidden_act": "xielu", "feat_extract_activation": "xielu"},
    "conv_adapter": {"add_adapter": True, "num_adapter_layers": 2},
    "conv_adapter_projected": {
        **LAYER,
        **STABLE,
        "add_adapter": True,
        "num_adapter_layers": 2,
        "output_hidden_size": 12,
    },
    "language_adapter": {**LAYER, **STABLE, "adapter_attn_dim": 4},
}
SAMPLES = 480
LENGTHS = (480, 331)
LABELS = ((3, 4, 4, 5), (7, 8, -100, -100))


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(0.2 * noise if parameter.ndim > 1 else 0.3 * noise)


def run(model: Wav2Vec2ForCTC, prefix: str, **inputs: torch.Tensor) -> dict[str, np.ndarray]:
    """Every stage's output, by the dotted name of its layer."""
    stages: dict[str, np.ndarray] = {}
    hooks = []

    def keep(name: str):
        def hook(module, arguments, output):
            tensor = output[0] if isinstance(output, tuple) else output
            if name.startswith("feature_extractor"):
                tensor = tensor.transpose(1, 2)
            stages[f"{prefix}{name}"] = tensor.detach().numpy().copy()

        return hook

    backbone = model.wav2vec2
    watched = {
        f"feature_extractor.conv_layers.{i}": m for i, m in enumerate(backbone.feature_extractor.conv_layers)
    }
    watched |= {
        "feature_projection": backbone.feature_projection,
        "encoder.pos_conv_embed": backbone.encoder.pos_conv_embed,
    }
    if backbone.adapter is not None:
        watched["adapter"] = backbone.adapter
    for name, module in watched.items():
        hooks.append(module.register_forward_hook(keep(name)))
    # The reference's head does not take mask_time_indices: then the backbone is called by itself.
    headless = "mask_time_indices" in inputs
    output = (backbone if headless else model)(**inputs, output_hidden_states=True, output_attentions=True)
    logits = model.lm_head(output.last_hidden_state) if headless else output.logits
    for hook in hooks:
        hook.remove()
    stages[f"{prefix}logits"] = logits.detach().numpy()
    for index, state in enumerate(output.hidden_states):
        stages[f"{prefix}hidden_states.{index}"] = state.detach().numpy()
    for index, probabilities in enumerate(output.attentions):
        stages[f"{prefix}attentions.{index}"] = probabilities.detach().numpy()
    if output.get("loss") is not None:
        stages[f"{prefix}loss"] = output.loss.detach().numpy()
    return stages


def make_variant(name: str, overrides: dict) -> None:
    seed = sum(name.encode())
    torch.manual_seed(seed)  # the initial values: each variant's own, whatever was made before it
    generator = torch.Generator().manual_seed(seed)
    config = Wav2Vec2Config(**{**TINY, **overrides}, attn_implementation="eager")
    model = Wav2Vec2ForCTC(config).float().eval()  # xielu's weights begin in bfloat16
    randomise(model, generator)
    waveform = torch.randn((len(LENGTHS), SAMPLES), generator=generator)
    mask = (torch.arange(SAMPLES)[None] < torch.tensor(LENGTHS)[:, None]).long()
    waveform = torch.where(mask.bool(), waveform, torch.zeros(()))
    labels = torch.tensor(LABELS)
    stages = {"input_values": waveform.numpy(), "attention_mask": mask.numpy(), "labels": labels.numpy()}
    with torch.no_grad():
        stages |= run(model, "unpadded/", input_values=waveform)
        stages |= run(model, "padded/", input_values=waveform, attention_mask=mask, labels=labels)
        if config.mask_time_prob > 0:
            frames = stages["unpadded/hidden_states.0"].shape[1]
            hidden = torch.rand((len(LENGTHS), frames), generator=generator) < 0.3
            stages["mask_time_indices"] = hidden.numpy()
            masked = run(
                model, "masked/", input_values=waveform, attention_mask=mask, mask_time_indices=hidden
            )
            stages["masked/logits"] = masked["masked/logits"]
    folder = FOLDER / "models" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    np.savez_compressed(folder / "stages.npz", **stages)


def make_activations() -> None:
    x = torch.linspace(-12, 12, 97)
    parametric = ("prelu", "xielu")  # these hold weights of their own
    values = {name: ACT2FN[name](x.clone()).detach().numpy() for name in ACT2FN if name not in parametric}
    np.savez_compressed(FOLDER / "activations.npz", x=x.numpy(), **values)


if __name__ == "__main__":
    for variant, overrides in VARIANTS.items():
        make_variant(variant, overrides)
    make_activations()
