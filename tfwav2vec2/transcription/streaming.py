"""Transcription while the sound arrives: a window at a time, in memory and time that do not grow with the stream."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.language.greedy import best_path
from tfwav2vec2.serving.engines import Engine
from tfwav2vec2.transcription.seconds import check_seconds
from tfwav2vec2.transcription.stream_text import StreamedDecoder, StreamedText
from tfwav2vec2.transcription.stream_windows import StreamWindows

__all__ = [
    "StreamedText",
    "StreamingEncoder",
    "StreamingOptions",
    "StreamingTranscriber",
]

# Why a stream takes no more.
_FINISHED = "The stream has ended"
_BROKEN = "The stream broke off where the engine failed"


@dataclass(frozen=True)
class StreamingOptions:
    """How much of the sound the model hears at once. Each is rounded to whole frames of the model, 20 ms as a rule.

    With the defaults the embedded model makes less than one error more in a hundred words than with whole recordings. A large model
    with full attention, trained on recordings of many seconds, may want more context: ``python -m benchmarks.streaming MODEL`` measures it.

    Attributes:
        chunk_seconds: how often new labels come out.
        left_seconds: context before a chunk. It costs computation and no delay.
        right_seconds: context after a chunk, which is waited for.

    Raises:
        ValueError: for a number that is none, negative, or a chunk of nothing.
    """

    chunk_seconds: float = 0.26
    left_seconds: float = 1.0
    right_seconds: float = 0.4

    def __post_init__(self) -> None:
        for name in ("chunk_seconds", "left_seconds", "right_seconds"):
            check_seconds(name, getattr(self, name), above_zero=name == "chunk_seconds")

    @property
    def latency(self) -> float:
        """Seconds that a sound waits for its label at most: the chunk and what follows it.

        What a frame hears beyond its 20 ms comes on top, 5 ms for a base model and 37 ms for the embedded one, and so does the
        rounding to whole frames: :attr:`StreamingEncoder.latency` is exact. The time to compute is not in it.
        """
        return self.chunk_seconds + self.right_seconds

    def windows(self, config: Wav2Vec2Config, sampling_rate: int) -> StreamWindows:
        """The windows in samples and frames for a model; ``windows(...).window`` is their length in samples, always the same.

        Raises:
            ValueError: for a model that cannot be streamed.
        """
        frame = config.inputs_to_logits_ratio / sampling_rate
        left, chunk, right = (
            round(seconds / frame) for seconds in (self.left_seconds, self.chunk_seconds, self.right_seconds)
        )
        return StreamWindows.of(config, left, max(chunk, 1), right)


class StreamingEncoder:
    """Samples as they arrive to logits, by an engine that knows nothing of streams.

    Every window has the same length, so that a ``.tflite`` file with one fixed signature serves it. The model hears what lies in
    the window and nothing else. Attention, a group norm, and the normalisation of the waveform (``do_normalize``) range over
    the samples of it that have arrived, where offline they range over the whole recording: they follow the level of the last
    seconds. The longer the left context, the closer to offline.

    An engine that is told how many samples count is given the stream's own samples alone, so that the first and the last
    windows hold fewer. A ``.tflite`` file for GPUs, which takes whole buffers, hears silence before the stream and after it.

    Args:
        engine: what computes (see :mod:`tfwav2vec2.serving.engines`). It may serve several streams, one after the other.
        options: the windows.
        config: the model's; the engine's by default, which a server's does not know.
        silence: whether the model is to hear silence before and after the stream; by default where the engine takes nothing
            else. True gives on every engine what a file for GPUs gives.

    Attributes:
        windows: their arithmetic, in samples and frames.

    Raises:
        ValueError: where the model or the engine cannot be streamed so.
    """

    def __init__(
        self,
        engine: Engine,
        options: StreamingOptions | None = None,
        *,
        config: Wav2Vec2Config | None = None,
        silence: bool | None = None,
    ) -> None:
        self.engine = engine
        self.options = options or StreamingOptions()
        self.config = config or engine.config
        if self.config is None:
            raise ValueError(
                f"{engine.name} does not say what model it runs: give its configuration, "
                "config=Wav2Vec2Config.from_pretrained(FOLDER)"
            )
        self.windows = self.options.windows(self.config, engine.sampling_rate)
        seconds = self.windows.window / engine.sampling_rate
        if seconds > engine.max_seconds(1):
            raise ValueError(
                f"The window lasts {seconds:g} s, and {engine.name} takes {engine.max_seconds(1):g} s at once: choose less context, "
                "or a shorter chunk"
            )
        whole = _whole_buffers(engine, self.windows.window)
        if whole and silence is False:
            raise ValueError(
                f"{engine.name} takes whole buffers and hears silence before a stream: leave silence out"
            )
        self.silence = whole if silence is None else silence
        self._buffer = np.zeros(self.windows.window, np.float32)
        self.reset()

    @property
    def latency(self) -> float:
        """Seconds from a sound to its label at most, without the time that the model takes."""
        return self.windows.latency / self.engine.sampling_rate

    @property
    def seconds(self) -> float:
        """How much sound has arrived."""
        return self._samples / self.engine.sampling_rate

    def reset(self) -> None:
        """Begin a new stream."""
        self._buffer.fill(0.0)
        self._filled = self.windows.before
        self._samples = self._done = 0
        self._over: str | None = None

    def push(self, samples: Any) -> np.ndarray:
        """Take samples (n,) of any number, floats as they were recorded, and give the frames that became certain.

        Returns:
            Logits (frames, labels), often of 0 frames. Those of all calls together are as many as the recording in one piece
            has, whatever the split, and the split changes nothing in them.

        Raises:
            ValueError: for samples of another shape or kind, or that are no numbers: none of them is taken, and the stream can
                go on. Where the model computes NaN or infinity. After :meth:`finish`.
            OSError: where a server does not answer. After that, or any other fault of the engine, the stream is over.
        """
        self._check_open()
        samples = _checked(samples)
        found = []
        while len(samples):
            taken = min(len(samples), self.windows.window - self._filled)
            self._buffer[self._filled : self._filled + taken] = samples[:taken]
            self._filled += taken
            self._samples += taken
            samples = samples[taken:]
            if self._filled == self.windows.window:
                found.append(self._run(self.windows.chunk))
                self._filled -= self.windows.step
                self._buffer[: self._filled] = self._buffer[self.windows.step :]
        return self._together(found)

    def finish(self) -> np.ndarray:
        """The frames that are left, after the last samples.

        Returns:
            Logits (frames, labels). A stream of less than one frame has none, nor has a second call.

        Raises:
            ValueError, OSError: as :meth:`push` does.
        """
        if self._over == _FINISHED:
            return self._together([])
        self._check_open()
        rest = self.windows.frames_in(self._samples) - self._done
        self._buffer[self._filled :] = 0.0
        found = [self._run(rest)] if rest else []
        self._over = _FINISHED
        return self._together(found)

    def _run(self, count: int) -> np.ndarray:
        """The next ``count`` frames, from what the buffer holds."""
        unheard = 0 if self.silence else self.windows.silence(self._done)
        window = np.zeros_like(self._buffer)
        window[: self._filled - unheard] = self._buffer[unheard : self._filled]
        length = self.windows.window if self.silence else self._filled - unheard
        self._over = _BROKEN  # unless the engine answers
        answer = self.engine(window[None], [length])
        logits = answer.get("logits")
        if logits is None or "frame_lengths" not in answer:
            raise ValueError(
                f"{self.engine.name} gives no labels for each frame ({', '.join(answer)}); stream a model for speech recognition"
            )
        frames, expected = int(answer["frame_lengths"][0]), self.windows.frames_in(length)
        if frames != expected:
            raise ValueError(
                f"{self.engine.name} makes {frames} frames of {length} samples, where its configuration says {expected}: give "
                "the configuration that belongs to the model"
            )
        first, end = self.windows.kept(self._done, count, self.silence)
        kept = np.array(logits[0, first:end])  # a copy: a view would hold the whole answer
        if not np.isfinite(kept).all():
            raise ValueError(
                "The stream makes the model compute NaN or infinity: check the recording's level, and the model's weights"
            )
        self._done += count
        self._over = None
        return kept

    def _together(self, found: list[np.ndarray]) -> np.ndarray:
        return np.concatenate(found) if found else np.zeros((0, self.config.vocab_size), np.float32)

    def _check_open(self) -> None:
        if self._over is not None:
            raise ValueError(f"{self._over}: call reset() to begin another")


class StreamingTranscriber:
    """Text as the sound arrives: :class:`StreamingEncoder`, and the likeliest label of each frame collapsed as it comes.

    The text is exactly what greedy decoding makes of all frames together. Prefer an exported model to a Keras model, which
    compiles a program for each length that it sees often: the first and the last windows of streams are shorter than the
    others, and a stream would wait seconds for each, once.

    Args:
        engine: what computes (see :mod:`tfwav2vec2.serving.engines`), for speech recognition.
        options: the windows.
        processor: what belongs to the model, or its tokenizer; the engine's by default. A server has none.
        config: the model's; the engine's by default.
        silence: as for :class:`StreamingEncoder`.

    Raises:
        ValueError: where the model or the engine cannot be streamed so, or has no vocabulary.
    """

    def __init__(
        self,
        engine: Engine,
        options: StreamingOptions | None = None,
        *,
        processor: Any = None,
        config: Wav2Vec2Config | None = None,
        silence: bool | None = None,
    ) -> None:
        processor = getattr(engine, "processor", None) if processor is None else processor
        tokenizer = getattr(processor, "tokenizer", processor)
        if not hasattr(tokenizer, "convert_ids_to_tokens"):
            raise ValueError(
                f"{engine.name} has no vocabulary here: give the processor of its model, "
                "processor=Wav2Vec2Processor.from_pretrained(FOLDER)"
            )
        self.encoder = StreamingEncoder(engine, options, config=config, silence=silence)
        self._decoder = StreamedDecoder(tokenizer, self.encoder.windows.hop, engine.sampling_rate)

    @property
    def options(self) -> StreamingOptions:
        """The windows, as they were asked for."""
        return self.encoder.options

    @property
    def latency(self) -> float:
        """Seconds from a sound to its text at most, without the time that the model takes."""
        return self.encoder.latency

    def reset(self) -> None:
        """Begin a new stream."""
        self.encoder.reset()
        self._decoder.reset()

    def push(self, samples: Any) -> StreamedText:
        """Take samples (n,) of any number, and give the text that became certain.

        Raises:
            ValueError, OSError: as :meth:`StreamingEncoder.push` does.
        """
        return self._decoder.push(best_path(self.encoder.push(samples)[None])[0])

    def finish(self) -> StreamedText:
        """The rest of the text, after the last samples; a second call gives nothing more.

        Raises:
            ValueError, OSError: as :meth:`push` does.
        """
        text = self._decoder.push(best_path(self.encoder.finish()[None])[0], last=True)
        return replace(text, seconds=self.encoder.seconds)


def _whole_buffers(engine: Engine, window: int) -> bool:
    """Whether an engine takes whole buffers alone.

    Raises:
        ValueError: where none of them has the window's length.
    """
    buffer = getattr(engine, "buffer", None)
    if buffer is None or buffer(engine.shortest) == engine.shortest:
        return False
    if buffer(window) != window:
        raise ValueError(
            f"{engine.name} has no buffer of {window} samples, the windows of these options, but one of {buffer(window)}: "
            f"export the model with lengths=[{window}], or choose other options"
        )
    return True


def _checked(samples: Any) -> np.ndarray:
    samples = np.asarray(samples)
    if samples.ndim != 1:
        raise ValueError(f"A stream takes samples of one channel, (n,); got the shape {samples.shape}")
    if samples.dtype.kind != "f":
        raise ValueError(
            f"A stream takes floating-point samples within ±1; got {samples.dtype}: divide int16 by 32768"
        )
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        samples = samples.astype(np.float32, copy=False)
    if not np.isfinite(samples).all():
        raise ValueError("The samples hold NaN or infinity; check how they were read or computed")
    return samples
