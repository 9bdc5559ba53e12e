"""Doors by task: which class a checkpoint belongs to is read from its files.

Every door leads to a wav2vec 2.0 class; for a checkpoint of another kind it says so. The classes are imported when a
door is used, so that those that need no model work without TensorFlow.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any, ClassVar

from tfwav2vec2.config import CONFIG_NAME, Wav2Vec2Config
from tfwav2vec2.weights.files import HUB_OPTIONS, find_file, read_json

_MODEL_TYPE = Wav2Vec2Config.model_type
_OUR_ARCHITECTURE = re.compile(r"(TF|Flax)?Wav2Vec2(Model|For)")


class _Door:
    """What all doors have in common: they are never made, only asked."""

    home: ClassVar[str]
    name: ClassVar[str]

    # Names that the class had earlier.
    other_names: ClassVar[tuple[str, ...]] = ()

    # Classes besides that a checkpoint may name, with their homes.
    others: ClassVar[dict[str, str]] = {}

    # Where a checkpoint names the class that reads it: files with their keys, the first that is there counts.
    named_in: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __init__(self) -> None:
        raise TypeError(
            f"{type(self).__name__} cannot be made; use {type(self).__name__}.from_pretrained(name_or_path)"
        )

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Any:
        """Open a checkpoint, a folder or a name on the hub, with the class that it belongs to.

        Args:
            name_or_path: a folder, or a name on the hub.
            options: what that class's ``from_pretrained`` takes.

        Raises:
            OSError: where its files are missing or cannot be read.
            ValueError: where it is no checkpoint of a wav2vec 2.0 model.
        """
        hub = {name: options[name] for name in HUB_OPTIONS if name in options}
        return cls._class(cls._named(name_or_path, hub)).from_pretrained(name_or_path, **options)

    @classmethod
    def _class(cls, name: str | None = None) -> Any:
        name = name if name in cls.others else cls.name
        return getattr(importlib.import_module(f"tfwav2vec2.{cls.others.get(name, cls.home)}"), name)

    @classmethod
    def _named(cls, name_or_path: str | Path, hub: dict[str, Any]) -> str | None:
        """The class that the checkpoint names, which is one that the door leads to; None where it names none."""
        for filename, key in cls.named_in:
            path = find_file(name_or_path, filename, required=False, **hub)
            name = read_json(path).get(key) if path else None
            if isinstance(name, str):
                if name not in (cls.name, *cls.other_names, *cls.others):
                    raise ValueError(
                        f"{path} names the class {name}, which this package does not have; to read the checkpoint "
                        f"with {cls.name} nevertheless, use {cls.name}.from_pretrained"
                    )
                return name
        path = find_file(name_or_path, CONFIG_NAME, required=not cls.named_in, **hub)
        if path is not None:
            _check_model_type(read_json(path), path)
        return None


def _check_model_type(fields: dict[str, Any], path: Path) -> None:
    model_type = fields.get("model_type")
    if model_type is None:  # files from before that key name their classes alone
        names = [str(name) for name in fields.get("architectures") or []]
        model_type = _MODEL_TYPE if any(map(_OUR_ARCHITECTURE.match, names)) else (names or None)
    if model_type != _MODEL_TYPE:
        raise ValueError(
            f"{path} is for a model of type {model_type!r}; this package opens {_MODEL_TYPE!r} models only"
        )


class _ModelDoor(_Door):
    @classmethod
    def from_config(cls, config: Wav2Vec2Config, **options: Any) -> Any:
        """A model with fresh weights."""
        return cls._class()(config, **options)


class AutoConfig(_Door):
    """Opens a checkpoint's :class:`Wav2Vec2Config`."""

    home, name = "config", "Wav2Vec2Config"


class AutoFeatureExtractor(_Door):
    """Opens a checkpoint's :class:`Wav2Vec2FeatureExtractor`."""

    home, name = "audio.feature_extractor", "Wav2Vec2FeatureExtractor"
    named_in = (("preprocessor_config.json", "feature_extractor_type"),)


class AutoTokenizer(_Door):
    """Opens a checkpoint's :class:`Wav2Vec2CTCTokenizer`."""

    home, name = "language.tokenizer", "Wav2Vec2CTCTokenizer"
    other_names = ("Wav2Vec2Tokenizer",)
    named_in = (("tokenizer_config.json", "tokenizer_class"),)


class AutoProcessor(_Door):
    """Opens a checkpoint's :class:`Wav2Vec2Processor`, or its :class:`Wav2Vec2ProcessorWithLM` where it has one."""

    home, name = "processor", "Wav2Vec2Processor"
    others: ClassVar[dict[str, str]] = {"Wav2Vec2ProcessorWithLM": "processor_with_lm"}
    named_in = (
        ("processor_config.json", "processor_class"),
        ("preprocessor_config.json", "processor_class"),
        ("tokenizer_config.json", "processor_class"),
    )


class AutoModel(_ModelDoor):
    """Opens a checkpoint's backbone: :class:`TFWav2Vec2Model`."""

    home, name = "backbone.wav2vec2", "TFWav2Vec2Model"


class AutoModelForCTC(_ModelDoor):
    """Opens a checkpoint's backbone with its CTC head: :class:`TFWav2Vec2ForCTC`."""

    home, name = "heads.ctc", "TFWav2Vec2ForCTC"


class AutoModelForAudioClassification(_ModelDoor):
    """Opens a classifier of clips: :class:`TFWav2Vec2ForSequenceClassification`."""

    home, name = "heads.sequence_classification", "TFWav2Vec2ForSequenceClassification"


class AutoModelForAudioFrameClassification(_ModelDoor):
    """Opens a classifier of frames: :class:`TFWav2Vec2ForAudioFrameClassification`."""

    home, name = "heads.audio_frame_classification", "TFWav2Vec2ForAudioFrameClassification"


class AutoModelForAudioXVector(_ModelDoor):
    """Opens a model of voices: :class:`TFWav2Vec2ForXVector`."""

    home, name = "heads.xvector", "TFWav2Vec2ForXVector"


class AutoModelForPreTraining(_ModelDoor):
    """Opens a model with its quantizer: :class:`TFWav2Vec2ForPreTraining`."""

    home, name = "heads.pretraining", "TFWav2Vec2ForPreTraining"
