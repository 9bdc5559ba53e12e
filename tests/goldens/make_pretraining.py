"""Make the pretraining goldens: tiny checkpoints, and what the reference computes of the objective.

Run where torch and transformers 4.57.6 are installed::

    python tests/goldens/make_pretraining.py

For each variant it writes ``pretraining/<variant>/``: the checkpoint as the reference saves it, with every weight moved
off its initial value, and ``objective.npz`` with the inputs (mask, negatives and Gumbel noise among them) and the outputs in
evaluation and in training (without dropout and LayerDrop), with the gradient of every parameter in training.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from make_models import LENGTHS, SAMPLES, TINY, VARIANTS, randomise
from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining
from transformers.models.wav2vec2.modeling_wav2vec2 import _compute_mask_indices, _sample_negative_indices

FOLDER = Path(__file__).parent / "pretraining"
STILL = dict.fromkeys(("hidden_dropout", "attention_dropout", "activation_dropout", "layerdrop"), 0.0)
NUM_NEGATIVES = 6
TEMPERATURE = 1.3
FIELDS = (
    "loss",
    "projected_states",
    "projected_quantized_states",
    "codevector_perplexity",
    "contrastive_loss",
    "diversity_loss",
)


def with_noise(noise: torch.Tensor):
    """A stand-in for torch's gumbel_softmax that adds this noise (batch * frames * groups, entries)."""

    def gumbel_softmax(logits: torch.Tensor, tau: float, hard: bool) -> torch.Tensor:
        assert hard
        soft = torch.softmax((logits + noise) / tau, dim=-1)
        chosen = torch.nn.functional.one_hot(soft.argmax(-1), soft.shape[-1]).to(soft.dtype)
        return chosen - soft.detach() + soft

    return mock.patch("torch.nn.functional.gumbel_softmax", gumbel_softmax)


def make_variant(name: str) -> None:
    seed = sum(name.encode())
    torch.manual_seed(seed)
    np.random.seed(seed)
    generator = torch.Generator().manual_seed(seed)
    config = Wav2Vec2Config(**{**TINY, **VARIANTS[name], **STILL}, attn_implementation="eager")
    model = Wav2Vec2ForPreTraining(config).eval()
    randomise(model, generator)
    model.set_gumbel_temperature(TEMPERATURE)
    waveform = torch.randn((len(LENGTHS), SAMPLES), generator=generator)
    mask = (torch.arange(SAMPLES)[None] < torch.tensor(LENGTHS)[:, None]).long()
    waveform = torch.where(mask.bool(), waveform, torch.zeros(()))
    frames = int(model._get_feat_extract_output_lengths(torch.tensor(SAMPLES)))
    valid = model._get_feature_vector_attention_mask(frames, mask)
    shape = (len(LENGTHS), frames)
    hidden = _compute_mask_indices(shape, 0.6, 3, attention_mask=valid, min_masks=2)
    negatives = _sample_negative_indices(shape, NUM_NEGATIVES, hidden)
    rows = shape[0] * shape[1] * config.num_codevector_groups
    noise = -torch.empty((rows, config.num_codevectors_per_group)).exponential_(generator=generator).log()
    inputs = {
        "input_values": waveform,
        "attention_mask": mask,
        "mask_time_indices": torch.tensor(hidden),
        "sampled_negative_indices": torch.tensor(negatives),
    }
    arrays = {key: value.numpy() for key, value in inputs.items()}
    arrays["noise"] = noise.view(*shape, config.num_codevector_groups, -1).numpy()
    with torch.no_grad():
        unmasked = model(waveform)
        evaluated = model(**inputs)
    arrays["unmasked/codevector_perplexity"] = unmasked.codevector_perplexity.numpy()
    arrays["unmasked/projected_quantized_states"] = unmasked.projected_quantized_states.numpy()
    model.train()
    with with_noise(noise):
        trained = model(**inputs)
    trained.loss.backward()
    for stage, output in (("evaluation", evaluated), ("training", trained)):
        arrays |= {f"{stage}/{field}": output[field].detach().numpy() for field in FIELDS}
    arrays |= {
        f"gradient/{key}": parameter.grad.numpy()
        for key, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    np.savez_compressed(folder / "objective.npz", **arrays)


if __name__ == "__main__":
    for variant in ("group", "layer_stable"):
        make_variant(variant)
