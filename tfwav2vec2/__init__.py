"""wav2vec 2.0 speech models for TensorFlow and Keras 3.

Every public name is imported on first use, so that ``import tfwav2vec2`` costs nothing and a machine without
TensorFlow can still use whatever does not need it.
"""

from __future__ import annotations

import importlib
from typing import Any

from tfwav2vec2.keras_registration import register_with_keras

__version__ = "0.1.0"

_HOMES = {
    # configuration and outputs
    "Wav2Vec2Config": "config",
    "ModelOutput": "outputs",
    "Wav2Vec2BaseModelOutput": "outputs",
    "CausalLMOutput": "outputs",
    "BatchFeature": "outputs",
    "BatchEncoding": "outputs",
    # audio and text
    "load_audio": "audio.loading",
    "Wav2Vec2FeatureExtractor": "audio.feature_extractor",
    "Wav2Vec2CTCTokenizer": "language.tokenizer",
    "Wav2Vec2CTCTokenizerOutput": "language.offsets",
    "AddedToken": "language.vocabulary",
    "Wav2Vec2Processor": "processor",
    # models
    "TFWav2Vec2Model": "backbone.wav2vec2",
    "TFWav2Vec2ForCTC": "heads.ctc",
    "ctc_loss": "training.losses",
    # doors by task
    "AutoConfig": "auto",
    "AutoFeatureExtractor": "auto",
    "AutoTokenizer": "auto",
    "AutoProcessor": "auto",
    "AutoModel": "auto",
    "AutoModelForCTC": "auto",
    "TFAutoModel": "auto",
    "TFAutoModelForCTC": "auto",
    # sound files to text
    "Transcriber": "transcription.transcriber",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tfwav2vec2' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


register_with_keras()
