"""Recordings of any length to logits, a piece at a time, in memory that does not grow with the recording."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tfwav2vec2.audio.streams import source_name, stream_audio
from tfwav2vec2.backbone.lengths import frame_lengths
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.serving.engines import Engine
from tfwav2vec2.transcription.cutting import Piece, cut_in_pieces
from tfwav2vec2.transcription.seconds import check_seconds
from tfwav2vec2.transcription.stream_windows import StreamWindows


@dataclass(frozen=True)
class LongformOptions:
    """How long recordings are cut. Each number is rounded to whole frames of the model, 20 ms as a rule.

    Attributes:
        chunk_seconds: the longest piece that goes through the model at once, its context included; shorter recordings go in one
            piece.
        stride_seconds: context on both sides of a cut that is not in a pause, heard twice and labelled once: one number, or one
            for each side (left, right). A sixth of the chunk by default, as the reference's pipeline has it.
        cut: "silence" cuts in the pauses between words, where there are any, so that a long recording gives the text that its
            parts give; "stride" cuts wherever a chunk ends, with context on both sides, and so hears everything with context.

    Raises:
        ValueError: for a number that is none, negative, or a chunk of nothing or of context alone, and for another cut.
    """

    chunk_seconds: float = 15.0
    stride_seconds: float | tuple[float, float] | None = None
    cut: Literal["silence", "stride"] = "silence"

    def __post_init__(self) -> None:
        check_seconds("chunk_seconds", self.chunk_seconds, above_zero=True)
        stride = self.chunk_seconds / 6 if self.stride_seconds is None else self.stride_seconds
        sides = stride if isinstance(stride, (tuple, list)) else (stride, stride)
        if len(sides) != 2:
            raise ValueError(f"stride_seconds must be one number or two, (left, right); got {stride!r}")
        for side in sides:
            check_seconds("stride_seconds", side)
        if self.cut not in ("silence", "stride"):
            raise ValueError(f"cut must be 'silence' or 'stride'; got {self.cut!r}")
        if sum(sides) >= self.chunk_seconds:
            raise ValueError(
                f"stride_seconds must leave something of a chunk of {self.chunk_seconds:g} s, of which it is a part on either side; "
                f"got {stride!r}"
            )
        object.__setattr__(self, "stride_seconds", (float(sides[0]), float(sides[1])))

    def windows(self, config: Wav2Vec2Config, sampling_rate: int, longest: float = math.inf) -> StreamWindows:
        """The longest piece and its context in frames of a model.

        Args:
            config: the model's.
            sampling_rate: its rate in Hz.
            longest: seconds that a piece may last. Where the options ask for more, pieces become shorter, and the context if
                need be.

        Raises:
            ValueError: for a model whose frames cannot be stitched (:meth:`StreamWindows.of`).
        """
        hop = config.inputs_to_logits_ratio
        left, right = (round(side * sampling_rate / hop) for side in self.stride_seconds)
        frames = frame_lengths(config, _whole(self.chunk_seconds * sampling_rate))
        if longest < self.chunk_seconds:
            frames = frame_lengths(config, _whole(longest * sampling_rate))
            left, right = min(left, frames // 4), min(right, frames // 4)
        return StreamWindows.of(config, left, max(frames - left - right, 1), right)


def _whole(samples: float) -> int:
    """So many samples, but for what a product of seconds and a rate is off."""
    return math.floor(samples + 1e-6)


@dataclass(frozen=True)
class LogitBlock:
    """The labels of some frames in a row.

    Attributes:
        logits: (frames, labels) float32.
        start: the place of the first one among the recording's.
        from_pause: whether a pause was cut before it; true of the first.
        to_pause: whether a pause was cut behind it; true of the last.
    """

    logits: np.ndarray = field(repr=False)
    start: int
    from_pause: bool
    to_pause: bool


class LongformEncoder:
    """Recordings of any length to logits, by an engine that hears a piece at a time.

    The frames of all pieces are those of the recording, each once. Where the model normalises the waveform
    (``do_normalize``), it does so piece by piece: over a piece's own samples, as it would if the piece were a recording of its
    own. That is what makes the text of a recording that is cut in pauses the text of its parts; it needs one pass over the
    file; and it lets a quiet speaker be heard beside a loud one.

    Where a pause is cut and neither side wrote the delimiter between words, the first frame after the cut becomes one (its logit
    and the blank's change places), so that no two words grow together. That is done where the vocabulary has letters, or the model
    has written a delimiter before in the recording; a model that writes digits without spaces goes on doing so.

    Args:
        engine: what computes (see :mod:`tfwav2vec2.serving.engines`).
        options: how recordings are cut.
        config: the model's; the engine's by default, which a server's does not know.
        processor: what belongs to the model, or its tokenizer; the engine's by default. Without one no delimiter is written.
        batch_size: pieces that go through the engine together, as far as they fit its memory.

    Attributes:
        windows: the longest piece and the context in it, in samples and frames.

    Raises:
        ValueError: where the configuration is missing, or the model's frames cannot be stitched.
    """

    def __init__(
        self,
        engine: Engine,
        options: LongformOptions | None = None,
        *,
        config: Wav2Vec2Config | None = None,
        processor: Any = None,
        batch_size: int = 1,
    ) -> None:
        self.engine = engine
        self.options = options or LongformOptions()
        config = config or engine.config
        if config is None:
            raise ValueError(
                f"{engine.name} does not say what model it runs: give its configuration, "
                "config=Wav2Vec2Config.from_pretrained(FOLDER)"
            )
        self.config = config
        self.windows = self.options.windows(config, engine.sampling_rate, engine.max_seconds(1))
        seconds = self.windows.window / engine.sampling_rate
        # As many as fit the memory that is set aside for attention.
        self.batch_size = max(
            rows for rows in range(1, batch_size + 1) if rows == 1 or seconds <= engine.max_seconds(rows)
        )
        processor = getattr(engine, "processor", None) if processor is None else processor
        self.tokenizer = getattr(processor, "tokenizer", processor)

    @property
    def frame_seconds(self) -> float:
        """How long a frame lasts."""
        return self.windows.hop / self.engine.sampling_rate

    def stream_logits(self, source: Any, *, source_rate: int | None = None) -> Iterator[np.ndarray]:
        """The logits of a recording in blocks (frames, labels), in constant memory.

        Args:
            source: what :func:`~tfwav2vec2.audio.streams.stream_audio` takes.
            source_rate: the rate of an array in Hz.

        Raises:
            OSError, ValueError, TypeError: as ``stream_audio`` and the engine do. Where the recording is shorter than one frame, or
                makes the model compute NaN or infinity.
        """
        return (block.logits for block in self.blocks(source, source_rate=source_rate))

    def blocks(self, source: Any, *, source_rate: int | None = None) -> Iterator[LogitBlock]:
        """As :meth:`stream_logits`, with each block's place and its cuts."""
        audio = stream_audio(source, sampling_rate=self.engine.sampling_rate, source_rate=source_rate)
        return self.blocks_of(self.pieces(audio), source_name(source))

    def pieces(self, audio: Iterable[np.ndarray]) -> Iterator[Piece]:
        """The pieces of a recording whose samples come in blocks, at the engine's rate."""
        at_pauses = self.options.cut == "silence"
        return cut_in_pieces(audio, self.windows, self.engine.sampling_rate, at_pauses=at_pauses)

    def blocks_of(self, pieces: Iterable[Piece], name: str) -> Iterator[LogitBlock]:
        """The logits of pieces, run together as far as their batch goes; ``name`` is for messages."""
        separate = WordSeparator(self.tokenizer)
        pieces = iter(pieces)
        beginning = list(itertools.islice(pieces, 2))
        if not beginning:
            raise ValueError(f"{name} lasts less than one frame of the model: give a longer recording")
        least = 0
        if len(beginning) > 1 and self.engine.one_length:
            least = self.windows.window
            self.engine.expect(self.batch_size, least)
        pieces = itertools.chain(beginning, pieces)
        while waiting := list(itertools.islice(pieces, self.batch_size)):
            yield from map(separate, self._run(waiting, least, name))

    def _run(self, pieces: list[Piece], least: int, name: str) -> list[LogitBlock]:
        waveform, lengths = padded([piece.samples for piece in pieces], least)
        answer = self.engine(waveform, lengths)
        return [self.block(piece, answer, row, name) for row, piece in enumerate(pieces)]

    def block(self, piece: Piece, answer: dict[str, np.ndarray], row: int, name: str) -> LogitBlock:
        """The frames of a piece that count, from one row of the engine's answer.

        Raises:
            ValueError: where the answer is not the model's for so many samples, or holds no numbers.
        """
        logits = answer.get("logits")
        if logits is None or "frame_lengths" not in answer:
            raise ValueError(
                f"{self.engine.name} gives no labels for each frame ({', '.join(answer)}); transcribe with a model for CTC"
            )
        frames, expected = int(answer["frame_lengths"][row]), self.windows.frames_in(len(piece.samples))
        if frames != expected:
            raise ValueError(
                f"{self.engine.name} makes {frames} frames of {len(piece.samples)} samples, where its configuration says "
                f"{expected}: give the configuration that belongs to the model"
            )
        # A copy: a view would hold the whole answer.
        kept = np.array(logits[row, piece.first : piece.first + piece.frames], np.float32)
        if not np.isfinite(kept).all():
            raise ValueError(
                f"{name} makes the model compute NaN or infinity: check the recording's level, and the model's weights"
            )
        return LogitBlock(kept, piece.start, piece.from_pause, piece.to_pause)


class WordSeparator:
    """Writes the delimiter between words into the blocks of one recording where a pause was cut and neither side has it.

    Args:
        tokenizer: says which labels are blank and delimiter; None leaves blocks as they are.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._blank = getattr(tokenizer, "pad_token_id", None)
        self._delimiter = None
        if getattr(tokenizer, "word_delimiter_token", None) in getattr(tokenizer, "encoder", {}):
            self._delimiter = tokenizer.word_delimiter_token_id
            special = set(tokenizer.all_special_tokens)
            letters = (token for token in tokenizer.encoder if token not in special)
            self._separates = any(letter.lower() != letter.upper() for letter in letters)
        self._last: int | None = None  # the last label that was no blank
        self._owed = False

    def __call__(self, block: LogitBlock) -> LogitBlock:
        """The block, in which a frame may have become a delimiter; blocks come in their order."""
        if self._delimiter is None or self._blank is None or not len(block.logits):
            return block
        logits = block.logits
        labels = logits.argmax(-1)
        self._owed |= block.from_pause and self._last is not None
        written = labels[labels != self._blank]
        if len(written):
            self._separates |= bool((written == self._delimiter).any())
            apart = self._delimiter in (self._last, written[0])
            if self._owed and self._separates and not apart and labels[0] == self._blank:
                pair = [self._blank, self._delimiter]
                logits[0, pair] = logits[0, pair[::-1]]
            self._owed = False
            self._last = int(written[-1])
        return block


def padded(clips: list[np.ndarray], least: int = 0) -> tuple[np.ndarray, list[int]]:
    """Clips (samples,) of any length as (clips, samples) with zeros behind, ``least`` samples or more, and their lengths."""
    lengths = [len(clip) for clip in clips]
    waveform = np.zeros((len(clips), max(least, *lengths)), np.float32)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    return waveform, lengths
