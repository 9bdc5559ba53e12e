"""When each word of a known text is said in a recording: sound and text to times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.audio.streams import source_name, stream_audio
from tfwav2vec2.backbone.lengths import shortest_clip
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.language.alignment import Alignment, forced_align
from tfwav2vec2.language.spelling import SpelledWord, Spelling, Unknown, spell
from tfwav2vec2.serving.engines import Engine, KerasEngine
from tfwav2vec2.transcription.longform import LongformEncoder, LongformOptions
from tfwav2vec2.transcription.transcript import TimedCharacter, TimedWord, Transcript

__all__ = ["AlignedTranscript", "Aligner", "align"]

REACH_SECONDS = 0.04
"""How far a letter reaches to both sides of the frames that the model marks it in, where nothing else is said there."""


@dataclass(frozen=True)
class AlignedTranscript(Transcript):
    """A text and when each part of it is said in a recording.

    Attributes:
        words: the words as they were written, with their times, confidence and characters.
        lines: the same of the text's lines.
        score: the natural logarithm of the probability of the best path, over the number of the recording's frames. A text that is
            said in the recording has one near 0; compare scores of one model alone.
    """

    lines: tuple[TimedWord, ...] = ()
    score: float = 0.0


@dataclass(frozen=True)
class Heard:
    """A recording and what a model put out for its frames.

    Attributes:
        file: the recording's name.
        seconds: how long it lasts.
        logits: (frames, labels).
        hop: from the start of a frame to that of the next, in seconds.
        first: when the first frame begins. A frame hears more than its hop, and stands for the middle of what it hears.
        waveform: (samples,) at the model's rate, where it was kept.
    """

    file: str
    seconds: float
    logits: np.ndarray
    hop: float
    first: float
    waveform: np.ndarray | None = None

    def time_of(self, frames: np.ndarray) -> np.ndarray:
        """When frames begin, in seconds, no later than the recording ends."""
        return np.clip(self.first + self.hop * frames, 0.0, self.seconds)


class Aligner:
    """Finds out when each word of a text is said in a recording, with any engine for speech recognition.

    A word's confidence is the mean over its letters of the mean probability that the model gives each in its frames: near 1
    where the word is said as it is written, near 0 where something else is said. It is None where the model knows none of the
    word's letters.

    Args:
        engine: what computes (see :mod:`tfwav2vec2.serving.engines`); its tokenizer must lie here, or be given.
        processor: what the text is spelled with, where the engine has none, as a server's.
        reach: seconds. A model for CTC marks a letter by a spike somewhere in its sound. Letters last from their first frame to
            their last, and reach so much farther to both sides, at most to the middle between them and their neighbours. 0 gives
            the spikes alone.
        longform: how long recordings are cut into pieces for the model. The alignment is one over all of them.
        config: the model's, where the engine does not know it, as a server's.

    Raises:
        ValueError: where there is no tokenizer, for a reach below 0, and for a model whose frames cannot be stitched.
    """

    def __init__(
        self,
        engine: Engine,
        processor: Any = None,
        *,
        reach: float = REACH_SECONDS,
        longform: LongformOptions | None = None,
        config: Wav2Vec2Config | None = None,
    ) -> None:
        if not 0 <= reach < float("inf"):
            raise ValueError(f"reach is a number of seconds from 0 on; got {reach!r}")
        processor = getattr(engine, "processor", None) if processor is None else processor
        tokenizer = getattr(processor, "tokenizer", processor)
        if tokenizer is None or not hasattr(tokenizer, "word_delimiter_token"):
            raise ValueError(
                f"{engine.name} has no vocabulary to spell a text with; align with a model for CTC, or give its processor"
            )
        self.engine, self.tokenizer, self.reach = engine, tokenizer, reach
        self._encoder = LongformEncoder(engine, longform, config=config, processor=tokenizer)

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        *,
        language: str | None = None,
        reach: float = REACH_SECONDS,
        **hub_options: Any,
    ) -> Aligner:
        """Open a model and its processor from a folder or from the hub; without a name, the embedded digits model.

        Arguments and errors as for :meth:`tfwav2vec2.Transcriber.from_pretrained`.
        """
        from tfwav2vec2.transcription.transcriber import Transcriber

        engine = Transcriber.from_pretrained(
            name_or_path, language=language, language_model=False, **hub_options
        ).engine
        return cls(engine, reach=reach)

    def align(
        self, source: Any, text: str, *, source_rate: int | None = None, unknown: Unknown = "error"
    ) -> AlignedTranscript:
        """When each word of a text is said.

        Args:
            source: whatever :func:`~tfwav2vec2.load_audio` takes.
            text: all that is said in the recording, in its order; its lines are timed as well.
            source_rate: the rate in Hz of a source that is an array.
            unknown: as :func:`~tfwav2vec2.language.spelling.spell` takes it.

        Raises:
            OSError, TypeError: as ``load_audio``.
            ValueError: for audio that cannot be read or is too short, for a model that computes NaN, for a text that has no letters or letters that
                the model lacks, and where they cannot belong together.
        """
        spelling = self.spell(text, unknown)
        return self.align_heard(self.hear(source, source_rate=source_rate), spelling)

    def spell(self, text: str, unknown: Unknown = "error") -> Spelling:
        """A text in the model's letters.

        Raises:
            ValueError: for a text that has no letters or letters that the model lacks.
        """
        return spell(text, self.tokenizer, unknown=unknown)

    def hear(self, source: Any, *, source_rate: int | None = None, keep_waveform: bool = False) -> Heard:
        """Run the model, over a long recording piece by piece.

        Args:
            source: as for :meth:`align`, which names the errors too.
            source_rate: the same.
            keep_waveform: whether the samples are kept, 230 MB an hour.
        """
        encoder = self._encoder
        audio = stream_audio(source, sampling_rate=self.engine.sampling_rate, source_rate=source_rate)
        samples: list[np.ndarray] = []
        count = 0

        def counted() -> Iterator[np.ndarray]:
            nonlocal count
            for block in audio:
                count += len(block)
                if keep_waveform:
                    samples.append(block)
                yield block

        name = source_name(source)
        blocks = [block.logits for block in encoder.blocks_of(encoder.pieces(counted()), name)]
        first = (shortest_clip(encoder.config) - encoder.windows.hop) / 2 / self.engine.sampling_rate
        return Heard(
            name,
            count / self.engine.sampling_rate,
            np.concatenate(blocks),
            encoder.frame_seconds,
            first,
            np.concatenate(samples) if samples else None,
        )

    def align_heard(self, heard: Heard, spelling: Spelling) -> AlignedTranscript:
        """The times of a text in a recording that the model has heard.

        Raises:
            ValueError: where they cannot belong together.
        """
        try:
            alignment = forced_align(
                heard.logits,
                spelling.ids,
                self.tokenizer.pad_token_id,
                delimiter=self.tokenizer.word_delimiter_token_id,
            )
        except ValueError as error:
            raise ValueError(f"{heard.file}: {error}") from None
        return timed_transcript(heard, spelling, alignment, self.reach)


def align(
    audio: Any, text: str, model: Any = None, processor: Any = None, **options: Any
) -> AlignedTranscript:
    """When each word of a text is said in a recording.

    Args:
        audio: whatever :func:`~tfwav2vec2.load_audio` takes.
        text: all that is said in it.
        model: a :class:`~tfwav2vec2.TFWav2Vec2ForCTC`, with its ``processor``; or a folder or a name on the hub. By default the
            embedded model, which knows digits alone.
        processor: the :class:`~tfwav2vec2.Wav2Vec2Processor` of a model that is given as such.
        options: ``reach`` as for :class:`Aligner`, and those of :meth:`Aligner.align`.

    Raises:
        ValueError, OSError, TypeError: as those do.
    """
    opening = {"reach": options.pop("reach")} if "reach" in options else {}
    if model is None or isinstance(model, (str, Path)):
        aligner = Aligner.from_pretrained(model, **opening)
    else:
        if processor is None:
            raise ValueError(
                "A model is given without its processor, which the text is spelled with: give both"
            )
        aligner = Aligner(KerasEngine(model, processor), **opening)
    return aligner.align(audio, text, **options)


def timed_transcript(
    heard: Heard, spelling: Spelling, alignment: Alignment, reach: float
) -> AlignedTranscript:
    """The times of a text's words, characters and lines.

    Args:
        heard: the recording.
        spelling: of the text.
        alignment: of its labels.
        reach: as for :class:`Aligner`.
    """
    spoken = np.concatenate([word.labels for word in spelling.words])
    starts, ends = heard.time_of(alignment.starts[spoken]), heard.time_of(alignment.ends[spoken])
    starts, ends = widened(starts, ends, reach, heard.seconds)
    words, first = [], 0
    for word in spelling.words:
        last = first + len(word.labels)
        words.append(_timed(word, alignment, starts[first:last].tolist(), ends[first:last].tolist()))
        first = last
    lines = [
        _line(
            text, [word for word, spelled in zip(words, spelling.words, strict=True) if spelled.line == index]
        )
        for index, text in enumerate(spelling.lines)
    ]
    text = " ".join(word.text for word in words)
    score = alignment.score / len(alignment.path)
    return AlignedTranscript(
        heard.file, text, heard.seconds, words=tuple(words), lines=tuple(lines), score=score
    )


def widened(
    starts: np.ndarray, ends: np.ndarray, reach: float, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Spans that reach farther to both sides, at most to the middle between neighbours and to the recording's ends.

    Args:
        starts: (spans,) in seconds; no span begins before another one ends.
        ends: (spans,).
        reach: how much farther, in seconds.
        seconds: how long the recording lasts.
    """
    before = np.concatenate([starts[:1], (starts[1:] - ends[:-1]) / 2])
    after = np.concatenate([(starts[1:] - ends[:-1]) / 2, seconds - ends[-1:]])
    return starts - np.minimum(before, reach), ends + np.minimum(after, reach)


def _timed(word: SpelledWord, alignment: Alignment, starts: list[float], ends: list[float]) -> TimedWord:
    known = alignment.probabilities[word.labels]
    known = known[~np.isnan(known)]
    return TimedWord(
        word.text,
        starts[0],
        ends[-1],
        float(known.mean()) if known.size else None,
        tuple(map(TimedCharacter, word.characters, starts, ends)),
    )


def _line(text: str, words: Sequence[TimedWord]) -> TimedWord:
    """A line from its first word to its last; its confidence is the mean of theirs."""
    sure = [word.confidence for word in words if word.confidence is not None]
    return TimedWord(text, words[0].start, words[-1].end, float(np.mean(sure)) if sure else None)
