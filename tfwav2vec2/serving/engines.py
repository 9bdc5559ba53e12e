"""One way to run a model, whatever it became: a Keras model, a SavedModel, a ``.tflite`` file, a TensorFlow server.

Each engine takes samples as they were recorded, at its rate, and does all the processing itself, so that the same
recording gives the same text everywhere. Nothing but what the engine in use needs is imported: a ``.tflite`` file needs
neither TensorFlow nor Keras.
"""

from __future__ import annotations

import copy
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.audio.loading import LONGEST_SECONDS, SAMPLE_RATE
from tfwav2vec2.backbone.lengths import adapter_lengths, frame_lengths, shortest_clip
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.language.greedy import greedy_decode
from tfwav2vec2.serving.bundle import read_archive, read_folder
from tfwav2vec2.serving.model_server import EXTRA

# One layer's attention scores may take this much memory: about two minutes of audio for a base or large model.
ATTENTION_BYTES = 2**31

Arrays = dict[str, np.ndarray]

# The signature of a .tflite file for any length, and of each fixed one, named by its samples.
RESIZABLE = "serving_default"
FIXED = "samples_"


class Engine(ABC):
    """Waveforms and their lengths to logits and how many frames of them count.

    Attributes:
        name: what it runs, for messages.
        sampling_rate: of the samples that it takes, in Hz.
        shortest: the fewest samples that make an answer, as far as is known.
        config: the model's, where it is known.
        one_length: whether a change of length costs so much, in time or memory, that pieces of a long recording had better all
            have the same.
    """

    name: str
    sampling_rate: int = SAMPLE_RATE
    shortest: int = 1
    config: Wav2Vec2Config | None = None
    one_length: bool = False

    def __call__(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> Arrays:
        """Run the model.

        Args:
            waveform: (batch, samples) float32, as loud as it was recorded.
            lengths: (batch,), how many samples of each row are audio.

        Returns:
            For speech recognition ``logits`` (batch, frames, labels) and ``frame_lengths`` (batch,); for other models what
            the signature ``serving_default`` of :func:`~tfwav2vec2.serving.endpoints.endpoints` gives.

        Raises:
            ValueError: for a length that is too short for an answer or beyond the samples, for other shapes, and for
                samples that are no numbers.
            OSError: where a server does not answer.
        """
        return self._run(*self._checked(waveform, lengths))

    @abstractmethod
    def texts(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> list[str | None]:
        """The transcripts (batch,) of a model for speech recognition; None where the model computes NaN or infinity.

        Arguments and errors as for the call.
        """

    @abstractmethod
    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays: ...

    def expect(self, rows: int, samples: int) -> None:
        """Say that many batches (rows, samples) will come, for an engine that can make ready for them."""
        return

    def max_seconds(self, batch_size: int) -> float:
        """The longest recording in seconds whose attention, in a batch of so many, fits the memory set aside for it."""
        if self.config is None:
            return LONGEST_SECONDS
        frames = math.isqrt(ATTENTION_BYTES // (4 * self.config.num_attention_heads * batch_size))
        return min(frames * self.config.inputs_to_logits_ratio / self.sampling_rate, LONGEST_SECONDS)

    def close(self) -> None:
        """Give back what the engine holds; it cannot be used afterwards."""
        return

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def _checked(
        self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        waveform, counts = np.asarray(waveform, np.float32), np.asarray(lengths)
        if waveform.ndim != 2 or counts.shape != waveform.shape[:1] or counts.dtype.kind not in "iu":
            raise ValueError(
                "An engine takes a waveform (batch, samples) and one whole number of samples for each row; got the shapes "
                f"{waveform.shape} and {counts.shape}"
            )
        samples = waveform.shape[1]
        if counts.size and not (self.shortest <= counts.min() and counts.max() <= samples):
            raise ValueError(
                f"The lengths must lie between {self.shortest} samples, the fewest that {self.name} answers, and the {samples} "
                f"of the waveform; got {counts.tolist()}"
            )
        for index, (row, length) in enumerate(zip(waveform, counts, strict=True)):
            if not np.isfinite(row[:length]).all():
                raise ValueError(
                    f"Row {index} holds NaN or infinite samples; check how it was read or computed"
                )
        return waveform, counts.astype(np.int32)


class _WithTokenizer(Engine):
    """An engine whose vocabulary lies here: its text is read off the logits."""

    processor: Any

    def texts(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> list[str | None]:
        """As :meth:`Engine.texts`."""
        return self.text_of(self(waveform, lengths))

    def text_of(self, answer: Arrays) -> list[str | None]:
        """The transcripts (batch,) of an answer of this engine."""
        tokenizer = getattr(self.processor, "tokenizer", None)
        if tokenizer is None:
            raise ValueError(
                f"{self.name} has no vocabulary and gives no text; transcribe with a model for CTC"
            )
        rows = zip(answer["logits"], answer["frame_lengths"], strict=True)
        valid = [row[None, :length] for row, length in rows]
        return [
            greedy_decode(logits, None, tokenizer)[0] if np.isfinite(logits).all() else None
            for logits in valid
        ]


class KerasEngine(_WithTokenizer):
    """A model of this package as it is.

    Args:
        model: the model.
        processor: what belongs to it: a processor for speech recognition, otherwise that or a feature extractor.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.name = type(model).__name__
        self.model, self.processor, self.config = model, processor, model.config
        self.shortest = shortest_clip(model.config)
        self._extractor = copy.copy(getattr(processor, "feature_extractor", processor))
        self._extractor.padding_side = "right"  # models take padding at the end alone
        self.sampling_rate = self._extractor.sampling_rate

    @property
    def one_length(self) -> bool:
        """True where the model compiles a program for each length."""
        from tfwav2vec2.backbone.compiled_call import compiles_shapes

        return compiles_shapes(self.model)

    def expect(self, rows: int, samples: int) -> None:
        """As :meth:`Engine.expect`: the program is compiled at the first batch."""
        from tfwav2vec2.backbone.compiled_call import expect_calls

        expect_calls(self.model, rows, samples)

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        features = self._extractor(
            [row[:length] for row, length in zip(waveform, lengths, strict=True)],
            sampling_rate=self.sampling_rate,
            padding="max_length",
            max_length=waveform.shape[1],
            return_attention_mask=True,
            return_tensors="np",
        )
        output = self.model(features["input_values"], attention_mask=features["attention_mask"])
        names = ("logits", "frame_lengths", "embeddings", "last_hidden_state")
        return {name: np.asarray(output[name]) for name in names if output.get(name) is not None}


class LiteRTEngine(_WithTokenizer):
    """A ``.tflite`` file that :func:`~tfwav2vec2.serving.litert.export_litert` wrote, run by LiteRT.

    Args:
        path: the file. LiteRT is not made for files of people who mean harm: load none that you do not trust.
        threads: that compute; all processors by default.

    Raises:
        OSError: where the file is missing, damaged, or lacks its configuration.
        ValueError: for other signatures than ``export_litert`` writes.
        ImportError: where LiteRT is not installed.
    """

    # XNNPACK packs all weights anew for a new length, beside the old ones.
    one_length = True

    def __init__(self, path: str | Path, *, threads: int | None = None) -> None:
        self.name = str(path)
        if not is_litert(path):
            raise OSError(f"{path} is no LiteRT file; give one that tfwav2vec2 export wrote with --to litert")
        bundle = read_archive(path)
        self.config, self.processor, self.shortest = bundle.config, bundle.processor, bundle.shortest
        self.sampling_rate = getattr(self.processor, "feature_extractor", self.processor).sampling_rate
        module = import_litert()
        try:
            interpreter = module.Interpreter(str(path), num_threads=threads or os.cpu_count())
            signatures = interpreter.get_signature_list()
        except (ValueError, RuntimeError) as error:
            raise OSError(f"{path} is damaged ({first_line(error)}): export or download it again") from error
        takes = {name: set(signature["inputs"]) for name, signature in signatures.items()}
        self._resizable = takes.get(RESIZABLE) == {"waveform", "lengths"}
        # Those of a file for GPUs: fixed buffers, all of which is audio.
        self._fixed = sorted(
            int(name.removeprefix(FIXED))
            for name, inputs in takes.items()
            if name.startswith(FIXED) and inputs == {"waveform"} and name.removeprefix(FIXED).isdecimal()
        )
        if not self._resizable and not self._fixed:
            raise ValueError(
                f"{path} has the signatures {', '.join(sorted(takes)) or 'none'}, of which none takes waveform and lengths: "
                "it was not written by this version of the package; export the model again"
            )
        self._runners = {
            name: interpreter.get_signature_runner(name)
            for name in ([RESIZABLE] if self._resizable else [f"{FIXED}{samples}" for samples in self._fixed])
        }

    def max_seconds(self, batch_size: int) -> float:
        """As :meth:`Engine.max_seconds`; in a file for GPUs, what its largest buffer holds."""
        longest = super().max_seconds(batch_size)
        return longest if self._resizable else min(longest, self._fixed[-1] / self.sampling_rate)

    def buffer(self, samples: int) -> int:
        """How many samples a recording of so many becomes: as many, but in a file for GPUs those of its buffer.

        Raises:
            ValueError: where no buffer holds so many.
        """
        if self._resizable:
            return samples
        for size in self._fixed:
            if size >= samples:
                return size
        raise ValueError(
            f"The recording has {samples} samples, and the largest buffer of {self.name} holds {self._fixed[-1]}; export the "
            "model with a greater length"
        )

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        if self._resizable:
            return dict(self._runners[RESIZABLE](waveform=waveform, lengths=lengths))
        size = self.buffer(int(lengths.max()))
        # Silence behind each: such a file ignores nothing, and only how many frames count is told.
        buffers = [np.zeros((1, size), np.float32) for _ in lengths]
        for buffer, row, length in zip(buffers, waveform, lengths, strict=True):
            buffer[0, :length] = row[:length]
        answers = [self._runners[f"{FIXED}{size}"](waveform=buffer) for buffer in buffers]
        together = {name: np.concatenate([answer[name] for answer in answers]) for name in answers[0]}
        if "frame_lengths" in together:
            counts = [
                adapter_lengths(self.config, frame_lengths(self.config, int(length))) for length in lengths
            ]
            together["frame_lengths"] = np.array(counts, np.int32)
        return together


class SavedModelEngine(Engine):
    """A SavedModel that :func:`~tfwav2vec2.serving.saved_model.export_saved_model` wrote, in a TensorFlow session.

    Args:
        path: its folder. It is a program: load none that you would not run.

    Raises:
        OSError: where the folder holds no SavedModel, or a damaged one.
        ValueError: for other signatures than ``export_saved_model`` writes.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        if not is_saved_model(path):
            raise OSError(
                f"{path} holds no SavedModel (saved_model.pb); give a folder that tfwav2vec2 export wrote"
            )
        bundle = read_folder(Path(path) / EXTRA)
        self.config, self.shortest, self.processor = bundle.config, bundle.shortest, bundle.processor
        self.sampling_rate = getattr(bundle.processor, "feature_extractor", bundle.processor).sampling_rate
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError(
                "A SavedModel runs in TensorFlow, which is not installed: pip install tensorflow; or give a .tflite file, which "
                "runs without it"
            ) from error

        from tfwav2vec2.serving.session import SavedModelSession

        self._refusal = tf.errors.InvalidArgumentError
        try:
            self._session = SavedModelSession(path)
        except (tf.errors.OpError, RuntimeError, OSError, ValueError) as error:
            raise OSError(
                f"The SavedModel {path} cannot be loaded ({first_line(error)}); export it again"
            ) from error
        if self._session.inputs_of("serving_default") != {"waveform", "lengths"}:
            self._session.close()
            raise ValueError(
                f"{path} has no signature serving_default of waveform and lengths: it was not written by this version of the "
                "package; export the model again"
            )

    def texts(self, waveform: np.ndarray, lengths: Sequence[int] | np.ndarray) -> list[str | None]:
        """As :meth:`Engine.texts`."""
        if "transcribe" not in self._session.signatures:
            raise ValueError(f"{self.name} gives no text; transcribe with a model for CTC")
        return texts_of(self._call("transcribe", *self._checked(waveform, lengths)))

    def _run(self, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        return self._call("serving_default", waveform, lengths)

    def _call(self, name: str, waveform: np.ndarray, lengths: np.ndarray) -> Arrays:
        try:
            return self._session.run(name, {"waveform": waveform, "lengths": lengths})
        except self._refusal as error:
            raise ValueError(f"{self.name} refuses the recording: {first_line(error)}") from error

    def close(self) -> None:
        """Close the session."""
        self._session.close()


def texts_of(answer: Mapping[str, np.ndarray]) -> list[str | None]:
    """The transcripts that the signature ``transcribe`` gave; none where the model was sure of nothing but NaN."""
    rows = zip(answer["text"], answer["confidence"], strict=True)
    return [
        (text.decode() if isinstance(text, bytes) else str(text)) if np.isfinite(sure) else None
        for text, sure in rows
    ]


def is_saved_model(path: str | Path) -> bool:
    """Whether a folder is a SavedModel's."""
    return (Path(path) / "saved_model.pb").is_file()


def is_litert(path: str | Path) -> bool:
    """Whether a file begins as a LiteRT model does."""
    try:
        with Path(path).open("rb") as file:
            return file.read(8)[4:] == b"TFL3"
    except OSError:
        return False


def first_line(error: BaseException) -> str:
    """What an error says, without the heading and the traces that TensorFlow adds."""
    lines = str(error).removeprefix("Graph execution error:").strip().splitlines()
    return next(iter(lines), type(error).__name__)


def import_litert() -> Any:
    """LiteRT's interpreter.

    Raises:
        ImportError: where it is not installed.
    """
    try:
        from ai_edge_litert import interpreter
    except ImportError as error:
        raise ImportError(
            "LiteRT is not installed: pip install 'tfwav2vec2[litert]', or alone, pip install ai-edge-litert"
        ) from error
    return interpreter


def is_engine(source: Any) -> bool:
    """Whether ``source`` is for :func:`open_engine`: a ``.tflite`` file, a SavedModel's folder or a server's address.

    A folder with weights in the hub's layout is not, whatever lies beside them: weights are data, and a SavedModel is a
    program, which is run only where nothing else can be meant.
    """
    if is_server(source) or Path(source).suffix == ".tflite" or is_litert(source):
        return True
    return is_saved_model(source) and not (Path(source) / "config.json").exists()


def is_server(source: Any) -> bool:
    """Whether a text is the address of a model on a server."""
    return isinstance(source, str) and source.startswith(("http://", "https://", "grpc://"))


def open_engine(source: str | Path) -> Engine:
    """The engine for a ``.tflite`` file, the folder of a SavedModel, or the address of a model on a server.

    SavedModels and ``.tflite`` files are programs: open none that you would not run. None is ever fetched from the hub.

    Raises:
        OSError: where it is none of these, or damaged.
        ValueError: where it was not written by this version of the package.
        ImportError: where what runs it is not installed.
    """
    if is_server(source):
        from tfwav2vec2.serving.server_engine import ServerEngine

        return ServerEngine(str(source))
    if Path(source).suffix == ".tflite" or is_litert(source):
        return LiteRTEngine(source)
    return SavedModelEngine(source)
