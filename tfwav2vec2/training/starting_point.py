"""Where a training starts: a pretrained backbone, a head for the task, and the processor for the examples' targets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.auto import (
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoModelForAudioFrameClassification,
    AutoModelForAudioXVector,
    AutoModelForCTC,
    AutoModelForPreTraining,
)
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.examples import Example
from tfwav2vec2.data.targets import class_names
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.language.transcripts import WORD_DELIMITER, new_vocabulary, plain
from tfwav2vec2.processor import Wav2Vec2Processor
from tfwav2vec2.weights.files import find_file, write_json

_HEADS = {
    "ctc": AutoModelForCTC,
    "classify": AutoModelForAudioClassification,
    "frames": AutoModelForAudioFrameClassification,
    "speaker": AutoModelForAudioXVector,
    "pretrain": AutoModelForPreTraining,
}


def open_for_task(
    task: str,
    base: str | Path,
    examples: Sequence[Example],
    *,
    from_scratch: bool = False,
    new_letters: bool = False,
    background: str | None = None,
    dtype: Any = None,
    **fields: Any,
) -> tuple[Any, Any]:
    """A model to train for a task, and what prepares its inputs.

    For CTC the letters are those of ``base`` where it has any, else those of the transcripts without case and
    punctuation. The classes of the other tasks are those of the examples, in the order of the alphabet.

    Args:
        task: ``"ctc"``, ``"classify"``, ``"frames"``, ``"speaker"`` or ``"pretrain"``.
        base: a folder or a name on the hub. What fits the task is taken from it: the backbone always, the head where it
            is one for as many classes.
        examples: what will be trained on.
        from_scratch: take the configuration alone and draw all weights; ``base`` may then be a folder without any.
        new_letters: for CTC, make letters of the transcripts even where ``base`` has its own.
        background: for ``"frames"``, the class of frames that are in no interval.
        dtype: the model's dtype or Keras policy, such as ``"mixed_bfloat16"``.
        fields: fields of the configuration to set, such as ``mask_time_prob``.

    Returns:
        The model, and its processor (its feature extractor where the task has no text).

    Raises:
        OSError, ValueError: as ``from_pretrained``; for examples without targets.
    """
    extractor = _feature_extractor(base)
    processor: Any = extractor
    if task == "ctc":
        tokenizer = None if new_letters else _tokenizer_of(base)
        processor = Wav2Vec2Processor(extractor, tokenizer or tokenizer_for(_texts(examples)))
        fields |= _fields_of(processor.tokenizer)
    elif task != "pretrain":
        fields |= _classes(task, examples, background)
    head, policy = _HEADS[task], {} if dtype is None else {"dtype": dtype}
    if from_scratch:
        config, unknown = Wav2Vec2Config.from_pretrained(base, return_unused_kwargs=True, **fields)
        if unknown:
            raise TypeError(f"The configuration has no field {', '.join(unknown)}; check the name")
        return head.from_config(config, **policy), processor
    return head.from_pretrained(base, strict="backbone", **policy, **fields), processor


def tokenizer_for(texts: Iterable[str]) -> Wav2Vec2CTCTokenizer:
    """A tokenizer for the letters of some texts, without case and punctuation.

    Raises:
        ValueError: where the texts hold no letters.
    """
    vocabulary = new_vocabulary(plain(text) for text in texts)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vocab.json")
        write_json(path, vocabulary)
        return Wav2Vec2CTCTokenizer(str(path), word_delimiter_token=WORD_DELIMITER)


def _classes(task: str, examples: Sequence[Example], background: str | None) -> dict[str, Any]:
    """The configuration's fields for the classes that the examples name."""
    known = [*examples, Example("background", b"", background)] if background is not None else examples
    fields = class_names(known, of_speaker=task == "speaker")
    names = list(fields["label2id"])
    if len(names) < 2:
        raise ValueError(
            f"The examples name {len(names)} classes ({', '.join(names) or 'none'}); a classifier needs two at least. "
            "Check the manifest's column of targets"
        )
    return fields


def _texts(examples: Iterable[Example]) -> list[str]:
    texts = [example.target for example in examples if isinstance(example.target, str)]
    if not texts:
        raise ValueError("The examples have no transcripts; check the manifest's column of texts")
    return texts


def _feature_extractor(base: str | Path) -> Wav2Vec2FeatureExtractor:
    if find_file(base, "preprocessor_config.json", required=False) is None:
        return Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return AutoFeatureExtractor.from_pretrained(base)


def _tokenizer_of(base: str | Path) -> Wav2Vec2CTCTokenizer | None:
    if find_file(base, "vocab.json", required=False) is None:
        return None
    return Wav2Vec2CTCTokenizer.from_pretrained(base)


def _fields_of(tokenizer: Wav2Vec2CTCTokenizer) -> dict[str, Any]:
    """What the model has to know of its tokenizer."""
    return {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "word_delimiter_token_id": tokenizer.word_delimiter_token_id,
    }
