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
    "SequenceClassifierOutput": "outputs",
    "TokenClassifierOutput": "outputs",
    "XVectorOutput": "outputs",
    "Wav2Vec2ForPreTrainingOutput": "outputs",
    "BatchFeature": "outputs",
    "BatchEncoding": "outputs",
    # audio and text
    "load_audio": "audio.loading",
    "stream_audio": "audio.streams",
    "Wav2Vec2FeatureExtractor": "audio.feature_extractor",
    "Wav2Vec2CTCTokenizer": "language.tokenizer",
    "Wav2Vec2CTCTokenizerOutput": "language.offsets",
    "AddedToken": "language.vocabulary",
    "Wav2Vec2Processor": "processor",
    "Wav2Vec2ProcessorWithLM": "processor_with_lm",
    "Wav2Vec2DecoderWithLMOutput": "processor_with_lm",
    "build_ctcdecoder": "language.beam_search",
    "train_language_model": "language.kneser_ney",
    "perplexity": "language.perplexity",
    "NGramModel": "language.ngram_lm",
    # models
    "TFWav2Vec2PreTrainedModel": "backbone.pretrained",
    "TFWav2Vec2Model": "backbone.wav2vec2",
    "TFWav2Vec2ForCTC": "heads.ctc",
    "TFWav2Vec2ForSequenceClassification": "heads.sequence_classification",
    "TFWav2Vec2ForAudioFrameClassification": "heads.audio_frame_classification",
    "TFWav2Vec2ForXVector": "heads.xvector",
    "TFWav2Vec2ForPreTraining": "heads.pretraining",
    # recordings to batches
    "Example": "data.examples",
    "from_arrays": "data.examples",
    "from_datasets": "data.hub_dataset",
    "read_manifest": "data.manifest",
    "SpeechData": "data.speech_data",
    "Buckets": "audio.buckets",
    # training
    "ctc_loss": "training.losses",
    "open_for_task": "training.starting_point",
    "TrainingOptions": "training.fine_tuning",
    "train": "training.fine_tuning",
    "BackupAndResume": "training.resume",
    "SavePretrained": "training.saving",
    "GumbelTemperatureDecay": "training.temperature",
    "TriStage": "training.schedules",
    "WarmupDecay": "training.schedules",
    "with_layer_rates": "training.layer_rates",
    "layer_decay": "training.layer_rates",
    "spec_augment": "training.spec_augment",
    "enable_lora": "training.lora",
    "merge_lora": "training.lora",
    "save_lora": "training.lora_files",
    "load_lora": "training.lora_files",
    # how good a model is
    "WordErrorRate": "metrics.head_metrics",
    "CharacterErrorRate": "metrics.head_metrics",
    "EqualErrorRate": "metrics.verification",
    "word_error_rate": "metrics.error_rates",
    "character_error_rate": "metrics.error_rates",
    "equal_error_rate": "metrics.verification",
    # between the formats of checkpoints
    "convert": "weights.conversion",
    # programs for other machines
    "export_saved_model": "serving.saved_model",
    "export_litert": "serving.litert",
    "open_engine": "serving.engines",
    # doors by task
    "AutoConfig": "auto",
    "AutoFeatureExtractor": "auto",
    "AutoTokenizer": "auto",
    "AutoProcessor": "auto",
    "AutoModel": "auto",
    "AutoModelForCTC": "auto",
    "AutoModelForAudioClassification": "auto",
    "AutoModelForAudioFrameClassification": "auto",
    "AutoModelForAudioXVector": "auto",
    "AutoModelForPreTraining": "auto",
    # sound files to text
    "Transcriber": "transcription.transcriber",
    "EngineTranscriber": "transcription.engine_transcriber",
    "LongformOptions": "transcription.longform",
    "LongformEncoder": "transcription.longform",
    "Transcript": "transcription.transcript",
    "format_transcript": "transcription.formats.table",
    "subtitle_cues": "transcription.subtitles",
    "SubtitleRules": "transcription.subtitles",
    "plot_alignment": "transcription.picture",
    "LetterProbabilities": "transcription.picture",
    "TimedWord": "transcription.transcript",
    "TimedCharacter": "transcription.transcript",
    # a text to when each word of it is said
    "align": "transcription.aligner",
    "Aligner": "transcription.aligner",
    "AlignedTranscript": "transcription.aligner",
    # sound as it arrives to text
    "StreamingTranscriber": "transcription.streaming",
    "StreamingEncoder": "transcription.streaming",
    "StreamingOptions": "transcription.streaming",
    "StreamedText": "transcription.streaming",
}

# The reference has every model up to three times, as Wav2Vec2..., TFWav2Vec2... and FlaxWav2Vec2...; here they are one
# class, which runs on whatever backend Keras has.
_SAME = {name.removeprefix("TF"): name for name in _HOMES if name.startswith("TF")}
_SAME |= {f"TF{name}": name for name in _HOMES if name.startswith("AutoModel")}
_SAME |= {
    f"{library}{name}": name
    for library in ("TF", "Flax")
    for name in ("Wav2Vec2BaseModelOutput", "Wav2Vec2ForPreTrainingOutput")
}
_ON_JAX = {f"Flax{name.removeprefix('TF')}": name for name in _HOMES if name.startswith(("TF", "AutoModel"))}

__all__ = ["__version__", *sorted([*_HOMES, *_SAME])]


def __getattr__(name: str) -> Any:
    if name in _ON_JAX:
        _require_jax(name)
    same = _ON_JAX.get(name) or _SAME.get(name, name)
    home = _HOMES.get(same)
    if home is None:
        raise AttributeError(f"module 'tfwav2vec2' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), same)
    globals()[name] = value
    return value


def _require_jax(name: str) -> None:
    import keras

    backend = keras.backend.backend()
    if backend != "jax":
        raise ImportError(
            f"{name} runs on Keras's JAX backend, and the backend is {backend!r}; set the environment variable "
            f"KERAS_BACKEND=jax before Keras is imported, or use {_ON_JAX[name]}, the same class"
        )


def __dir__() -> list[str]:
    return sorted(__all__)


# Whatever a .keras file of a model may name: the model, and the schedule and optimizer that it was compiled with.
_IN_KERAS_FILES = {name: home for name, home in _HOMES.items() if name.startswith("TFWav2Vec2")}
_IN_KERAS_FILES |= {
    "TriStage": "training.schedules",
    "WarmupDecay": "training.schedules",
    "LayerRates": "training.layer_rates",
}

register_with_keras({name: f"{__name__}.{home}" for name, home in _IN_KERAS_FILES.items()})
