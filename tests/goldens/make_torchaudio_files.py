"""Make small state dicts with torchaudio, for the reader that does without it.

Run where torch 2.9 and torchaudio 2.9 are installed::

    python tests/goldens/make_torchaudio_files.py

``torchaudio_files/<name>.pt`` holds a state dict, and ``<name>.npz`` a waveform and what torchaudio makes of it: the
encoder's output, or the logits of a model with outputs. Each is 64 wide with one head, but for ``two_heads``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchaudio.models import hubert_pretrain_model, wav2vec2_model, wavlm_model

FOLDER = Path(__file__).parent / "torchaudio_files"
SAMPLES = 1243


def options(mode: str, heads: int = 1, outputs: int | None = None, bias: bool = False) -> dict[str, Any]:
    return {
        "extractor_mode": mode,
        "extractor_conv_layer_config": [(16, 10, 5), (12, 3, 2), (12, 2, 2)],
        "extractor_conv_bias": bias,
        "encoder_embed_dim": 64,
        "encoder_projection_dropout": 0.1,
        "encoder_pos_conv_kernel": 8,
        "encoder_pos_conv_groups": 4,
        "encoder_num_layers": 2,
        "encoder_num_heads": heads,
        "encoder_attention_dropout": 0.1,
        "encoder_ff_interm_features": 48,
        "encoder_ff_interm_dropout": 0.1,
        "encoder_dropout": 0.1,
        "encoder_layer_norm_first": mode == "layer_norm",
        "encoder_layer_drop": 0.1,
        "aux_num_out": outputs,
    }


MODELS = {
    "group": options("group_norm"),
    "layer_outputs": options("layer_norm", outputs=9, bias=True),
    "two_heads": options("group_norm", heads=2, outputs=9),
}


def randomised(model: torch.nn.Module) -> torch.nn.Module:
    """The model with every weight random, ready to answer."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def main() -> None:
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    FOLDER.mkdir(exist_ok=True)
    for name, arguments in MODELS.items():
        model = randomised(wav2vec2_model(**arguments))
        wave = torch.randn(1, SAMPLES)
        with torch.no_grad():
            answer, _ = model(wave)
        torch.save(model.state_dict(), FOLDER / f"{name}.pt")
        np.savez(FOLDER / f"{name}.npz", wave=wave.numpy(), answer=answer.numpy())
    # Two of its other families, which have no counterpart here.
    small = options("group_norm") | {"encoder_embed_dim": 16, "encoder_num_layers": 1}
    wavlm = wavlm_model(**small, encoder_num_buckets=8, encoder_max_distance=16)
    del small["aux_num_out"]
    hubert = hubert_pretrain_model(
        **small,
        **{"mask_prob": 0.8, "mask_selection": "static", "mask_other": 0.0, "mask_length": 10},
        **{"no_mask_overlap": False, "mask_min_space": 1, "mask_channel_prob": 0.0},
        **{"mask_channel_selection": "static", "mask_channel_other": 0.0, "mask_channel_length": 10},
        **{"no_mask_channel_overlap": False, "mask_channel_min_space": 1, "skip_masked": False},
        **{"skip_nomask": False, "num_classes": 5, "final_dim": 8, "feature_grad_mult": 0.1},
    )
    for name, model in {"wavlm": wavlm, "hubert_pretraining": hubert}.items():
        torch.save(model.state_dict(), FOLDER / f"{name}.pt")


if __name__ == "__main__":
    main()
