"""The small files beside a model's weights: what prepares its sound and reads its output."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.config import CONFIG_NAME, Wav2Vec2Config
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.processor import Wav2Vec2Processor
from tfwav2vec2.weights.checkpoint import Checkpoint
from tfwav2vec2.weights.files import find_file, write_json

COMPANIONS = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
)


def write_companions(
    folder: Path, source: str | Path, checkpoint: Checkpoint, config: Wav2Vec2Config, **hub: Any
) -> None:
    """Put into a folder the small files that a model's folder, or the hub, has, or those that its checkpoint tells.

    Of a folder, the adapters of its languages come along too.

    Args:
        folder: where to put them.
        source: the folder of the checkpoint, or its name on the hub. A folder without ``config.json`` is no model's
            folder: what else lies in it has nothing to do with the checkpoint.
        checkpoint: the weights.
        config: the model's configuration.
        hub: as in :func:`~tfwav2vec2.weights.files.find_file`.
    """
    if checkpoint.vocabulary is not None:
        Wav2Vec2Processor(_extractor(config), _tokenizer(checkpoint.vocabulary)).save_pretrained(folder)
    elif find_file(source, CONFIG_NAME, **hub, required=False) is not None:
        for name in COMPANIONS:
            path = find_file(source, name, **hub, required=False)
            if path is not None:
                shutil.copyfile(path, folder / name)
        for path in _adapters(Path(source).expanduser()):
            shutil.copyfile(path, folder / path.name)
    elif checkpoint.config_fields is not None:
        _extractor(config).save_pretrained(folder)


def _adapters(source: Path) -> list[Path]:
    """The files of the languages that a folder holds; of the hub's, there may be more than a thousand, none is fetched."""
    return [path for path in source.glob("adapter.*") if path.suffix in (".safetensors", ".bin")]


def _extractor(config: Wav2Vec2Config) -> Wav2Vec2FeatureExtractor:
    """As in the reference's conversion: waveforms are normalised, and a group norm was trained without a mask."""
    return Wav2Vec2FeatureExtractor(return_attention_mask=config.feat_extract_norm == "layer")


def _tokenizer(vocabulary: dict[str, int]) -> Wav2Vec2CTCTokenizer:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "vocab.json"
        write_json(file, vocabulary)
        return Wav2Vec2CTCTokenizer(file)
