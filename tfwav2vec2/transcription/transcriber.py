"""From sound files to transcripts: load, prepare, run the model, decode."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfwav2vec2.audio.loading import LONGEST_SECONDS, load_audio, source_name
from tfwav2vec2.language.greedy import greedy_decode
from tfwav2vec2.language.vocabulary import check_vocabulary
from tfwav2vec2.processor import Wav2Vec2Processor

# One layer's attention scores may take this much memory: about two minutes of audio for a base or large model.
ATTENTION_BYTES = 2**31


@dataclass(frozen=True)
class Transcript:
    """What was heard in one recording.

    ``file`` is its path (``<bytes>``, ``<file>`` or ``<array>`` where it has none), ``text`` the transcript, ``seconds``
    the recording's length. Where it could not be transcribed, ``error`` says why, and ``text`` is empty.
    """

    file: str
    text: str
    seconds: float
    error: str | None = None


@dataclass(frozen=True)
class _Clip:
    file: str
    waveform: np.ndarray


class Transcriber:
    """Transcribes recordings of any rate, format and channel count with a CTC model.

    Every clip carries its length into the model, whatever the checkpoint's ``return_attention_mask`` says, so that a
    batch gives what single clips give.

    Args:
        model: a :class:`~tfwav2vec2.TFWav2Vec2ForCTC`.
        processor: the :class:`~tfwav2vec2.Wav2Vec2Processor` that belongs to it.
        batch_size: recordings that go through the model together. On a CPU one at a time is fastest, since none is
            padded; on an accelerator more pay.

    Raises:
        ValueError: where the processor's vocabulary does not fit the model's head, or is another language's.
    """

    def __init__(self, model: Any, processor: Any, *, batch_size: int = 1) -> None:
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"batch_size must be a whole number from 1 on; got {batch_size!r}")
        self.model = model
        self.processor = processor
        self._check_language()
        self.batch_size = batch_size
        self._extractor = copy.copy(processor.feature_extractor)
        self._extractor.padding_side = "right"  # models take padding at the end alone

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        batch_size: int = 1,
        language: str | None = None,
        **hub_options: Any,
    ) -> Transcriber:
        """Open a model and its processor from a folder or from the hub; without a name, the embedded digits model.

        Args:
            name_or_path: a folder, or a name on the hub such as ``facebook/wav2vec2-base-960h``.
            batch_size: as for the class.
            language: the language of a multilingual model, as :meth:`set_language` takes it; the model's own by default.
            hub_options: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download``, ``subfolder``.

        Raises:
            OSError: where a file is missing or damaged.
            ValueError: where the files do not fit one another.
        """
        from tfwav2vec2.heads.ctc import TFWav2Vec2ForCTC

        if name_or_path is None:
            from tfwav2vec2.embedded import embedded_model

            name_or_path = embedded_model()
        # The vocabulary first: it tells at once whether there is such a language.
        tokens = {} if language is None else {"target_lang": language}
        processor = Wav2Vec2Processor.from_pretrained(name_or_path, **tokens, **hub_options)
        model = TFWav2Vec2ForCTC.from_pretrained(name_or_path, target_lang=language, **hub_options)
        return cls(model, processor, batch_size=batch_size)

    def set_language(self, language: str, **hub_options: Any) -> None:
        """Switch the model and the tokenizer of a multilingual checkpoint, such as ``facebook/mms-1b-all``, together.

        Args:
            language: its name in the vocabulary and in the adapter's file, for MMS an ISO 639-3 code such as ``"fra"``.
            hub_options: as for :meth:`from_pretrained`.

        Raises:
            OSError: where the language's adapter is missing or damaged.
            ValueError: where the vocabulary or the model does not have the language, or they do not fit one another.
        """
        tokenizer = self.processor.tokenizer
        before = tokenizer.target_lang
        tokenizer.set_target_lang(language)
        try:
            self.model.load_adapter(language, **hub_options)
        except BaseException:
            tokenizer.set_target_lang(before)
            raise
        self._check_language()

    def _check_language(self) -> None:
        """Make sure that what the model writes is what the tokenizer reads: a wrong transcript looks like any other."""
        tokenizer = self.processor.tokenizer
        spoken = getattr(self.model, "target_lang", None)
        if None not in (spoken, tokenizer.target_lang) and spoken != tokenizer.target_lang:
            raise ValueError(
                f"The model is in the language {spoken!r} and the tokenizer in {tokenizer.target_lang!r}; switch both "
                "with Transcriber.set_language"
            )
        check_vocabulary(tokenizer, self.model.config)

    @property
    def max_seconds(self) -> float:
        """The longest recording in seconds whose attention fits the memory that is set aside for it."""
        config = self.model.config
        frames = math.isqrt(ATTENTION_BYTES // (4 * config.num_attention_heads * self.batch_size))
        return min(frames * config.inputs_to_logits_ratio / self._extractor.sampling_rate, LONGEST_SECONDS)

    def transcribe(
        self,
        sources: Any,
        *,
        source_rate: int | None = None,
        errors: Literal["raise", "return"] = "raise",
    ) -> Iterator[Transcript]:
        """Transcribe recordings one after the other, in their order, each as soon as it is asked for.

        Args:
            sources: one source or an iterable of them, each whatever :func:`~tfwav2vec2.load_audio` takes.
            source_rate: the rate in Hz of sources that are arrays.
            errors: what becomes of a recording that cannot be transcribed: "raise" stops with the error, "return"
                yields a transcript with ``error`` set and goes on.

        Raises:
            OSError: where a file is missing or cannot be read.
            ValueError: where it is not audio, too short for one frame or too long for the memory, or gives no numbers;
                and where the tokenizer no longer fits the model.
            TypeError: where a source is of no known kind.
        """
        if errors not in ("raise", "return"):
            raise ValueError(f"errors must be 'raise' or 'return'; got {errors!r}")
        self._check_language()
        remaining = iter([sources] if _is_single(sources) else sources)
        while group := list(islice(remaining, self.batch_size)):
            results = [self._load(source, source_rate, errors) for source in group]
            texts = iter(
                self._transcribe_clips([clip for clip in results if isinstance(clip, _Clip)], errors)
            )
            for result in results:
                yield next(texts) if isinstance(result, _Clip) else result

    def _load(self, source: Any, source_rate: int | None, errors: str) -> _Clip | Transcript:
        """The clip, or the transcript that says why there is none."""
        name = source_name(source)
        rate = self._extractor.sampling_rate
        waveform = np.zeros(0, np.float32)
        try:
            waveform = load_audio(
                source,
                sampling_rate=rate,
                source_rate=source_rate if name == "<array>" else None,
                max_seconds=self.max_seconds,
            )
            if self.model.frame_lengths(len(waveform)) < 1:
                raise ValueError(
                    f"{name} lasts {len(waveform) / rate:.4f} s, less than one frame of the model: give a longer recording"
                )
        except (OSError, ValueError, TypeError) as error:
            if errors == "raise":
                raise
            message = str(error) if name in str(error) else f"{name}: {error}"
            return Transcript(name, "", len(waveform) / rate, message)
        return _Clip(name, waveform)

    def _transcribe_clips(self, clips: list[_Clip], errors: str) -> Iterator[Transcript]:
        if not clips:
            return
        rate = self._extractor.sampling_rate
        features = self._extractor(
            [clip.waveform for clip in clips],
            sampling_rate=rate,
            padding=True,
            return_attention_mask=True,
            return_tensors="np",
        )
        output = self.model(features["input_values"], attention_mask=features["attention_mask"])
        logits, lengths = np.asarray(output.logits), np.asarray(output.frame_lengths)
        for clip, row, length in zip(clips, logits, lengths, strict=True):
            seconds = len(clip.waveform) / rate
            valid = row[None, :length]
            if np.isfinite(valid).all():
                yield Transcript(clip.file, greedy_decode(valid, None, self.processor.tokenizer)[0], seconds)
                continue
            message = f"{clip.file} makes the model compute NaN or infinity: check the recording's level, and the model's weights"
            if errors == "raise":
                raise ValueError(message)
            yield Transcript(clip.file, "", seconds, message)


def _is_single(sources: Any) -> bool:
    """Whether ``sources`` is one recording rather than several."""
    single = isinstance(sources, (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray))
    return single or hasattr(sources, "read")
