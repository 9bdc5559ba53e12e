"""A model of two languages in a folder, as MMS lays it out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfwav2vec2 import TFWav2Vec2ForCTC, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

SPECIAL = ["<pad>", "<s>", "</s>", "<unk>", "|"]
LANGUAGES = {"deu": [*SPECIAL, *"ABCDE"], "fra": [*SPECIAL, *"klmnopqr"]}


def save_multilingual(folder: Path, tiny_model: Callable[..., TFWav2Vec2ForCTC]) -> None:
    """Write such a model, in German at first, with a file for each language."""
    rng = np.random.default_rng(0)
    for language, letters in reversed(LANGUAGES.items()):
        model = tiny_model(
            feat_extract_norm="layer",
            do_stable_layer_norm=True,
            adapter_attn_dim=4,
            vocab_size=len(letters),
        )
        for variable in model.adapter_variables().values():
            variable.assign(rng.standard_normal(variable.shape).astype("float32"))
        model.save_adapter(folder, language)
    model.save_pretrained(folder)
    vocabulary = {name: {token: i for i, token in enumerate(tokens)} for name, tokens in LANGUAGES.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    tokenizer = Wav2Vec2CTCTokenizer(folder / "vocab.json", target_lang="deu")
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
