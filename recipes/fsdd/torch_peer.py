"""The reference on torch, trained as its users would, with the batches, the steps and the options of the other side."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
import transformers

from recipes.fsdd.clips import Split
from recipes.fsdd.scores import Scores
from recipes.fsdd.settings import Setting, make_config, make_extractor
from tfwav2vec2 import SpeechData, TrainingOptions
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.targets import class_names

HEADS = {
    "classify": transformers.Wav2Vec2ForSequenceClassification,
    "speaker": transformers.Wav2Vec2ForXVector,
}


def train_torch(setting: Setting, split: Split, rate: float, seed: int) -> torch.nn.Module:
    """Draw a model of the reference and train it."""
    transformers.set_seed(seed)
    config = _config(split)
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        model = HEADS[setting.head](transformers.Wav2Vec2Config.from_pretrained(folder))
    data = setting.training_data(split.training, make_extractor(), config, seed)
    for _ in fit(model, data, setting.options(rate, seed)):
        pass
    return model


def fit(model: torch.nn.Module, data: SpeechData, options: TrainingOptions) -> Iterator[float]:
    """Train as the options of this package's ``train`` tell; gives the loss of each step as it is made."""
    steps = options.epochs * data.steps_per_epoch
    # The constants are those of fairseq, which ``train`` uses.
    optimizer = torch.optim.AdamW(
        model.parameters(),
        options.learning_rate,
        betas=(0.9, 0.98),
        eps=1e-8,
        weight_decay=options.weight_decay,
    )
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(options.warmup * steps), steps)
    model.train()
    for _ in range(options.epochs):
        for batch in data:
            loss = model(**_tensors(batch)).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
            optimizer.step()
            schedule.step()
            yield float(loss.detach())


@torch.inference_mode()
def score_torch(setting: Setting, model: torch.nn.Module, split: Split, clips: Sequence[Example]) -> Scores:
    """How good a model's answers to clips are."""
    model.eval()
    batches = list(setting.test_data(clips, make_extractor(), _config(split)))
    inputs = [{name: batch[name] for name in ("input_values", "attention_mask")} for batch in batches]
    outputs = [model(**_tensors(batch)) for batch in inputs]
    logits = torch.cat([output.logits for output in outputs])
    labels = np.concatenate([batch["labels"] for batch in batches])
    if setting.head != "speaker":
        return Scores.of(logits.numpy(), labels)
    # The reference's logits are no classes yet: the loss keeps each speaker's direction.
    normalize = torch.nn.functional.normalize
    cosines = normalize(logits, dim=1) @ normalize(model.objective.weight, dim=0)
    embeddings = torch.cat([output.embeddings for output in outputs])
    return Scores.of(cosines.numpy(), labels, embeddings.numpy())


def _config(split: Split) -> Wav2Vec2Config:
    """The configuration with the names of the classes."""
    config = make_config()
    config.update(class_names(split.training))
    return config


def _tensors(batch: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    tensors = {name: torch.from_numpy(np.asarray(values)) for name, values in batch.items()}
    return {name: tensor if tensor.is_floating_point() else tensor.long() for name, tensor in tensors.items()}
