"""What a model's answer for one recording says: text, the times of its words and characters, how sure the model is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.language.greedy import best_probability
from tfwav2vec2.language.vocabulary import check_vocabulary
from tfwav2vec2.transcription.stream_text import StreamedDecoder
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord


@dataclass(frozen=True)
class Recognition:
    """What was heard in one recording.

    Attributes:
        text: the transcript.
        words: its words and when they were said.
        characters: its characters and when they were said, those between words included.
        confidence: the mean probability of the frames that write something, or of all where none does, as the exported
            signature ``transcribe`` gives it.
    """

    text: str
    words: tuple[TimedWord, ...]
    characters: tuple[TimedCharacter, ...]
    confidence: float


class Writer:
    """Reads logits with a tokenizer.

    Args:
        processor: of a model for speech recognition.
        config: the model's.
        sampling_rate: the model's, in Hz.

    Raises:
        ValueError: where there is no tokenizer, or one that does not fit the model.
    """

    def __init__(self, processor: Any, config: Wav2Vec2Config | None, sampling_rate: int) -> None:
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None or config is None:
            raise ValueError(
                "The server writes down speech, and this model has no vocabulary: name a model for CTC, such as "
                "facebook/wav2vec2-base-960h"
            )
        check_vocabulary(tokenizer, config)
        self._tokenizer, self._rate = tokenizer, sampling_rate
        self._hop = config.inputs_to_logits_ratio
        if config.add_adapter:
            self._hop *= config.adapter_stride**config.num_adapter_layers

    def read(self, logits: np.ndarray) -> Recognition | None:
        """What logits (frames, labels) say; None where they are no numbers.

        Memory and time grow with the recording: call it outside the event loop.
        """
        if not np.isfinite(logits).all():
            return None
        ids = logits.argmax(-1)
        timed = StreamedDecoder(self._tokenizer, self._hop, self._rate).push(ids, last=True)
        text = self._tokenizer.decode(ids)
        return Recognition(text, timed.words, timed.characters, self._confidence(logits, ids))

    def _confidence(self, logits: np.ndarray, ids: np.ndarray) -> float:
        best = best_probability(logits)
        writes = ids != self._tokenizer.pad_token_id
        counted = best[writes] if writes.any() else best
        return float(counted.mean()) if len(counted) else 0.0
