"""Audio decoded by TensorFlow's own operations, with tensorflow-io: for pipelines that run where no Python is.

``tf.data`` service sends a pipeline to other machines, and a Python function cannot go along. Otherwise
:meth:`~tfwav2vec2.data.speech_data.SpeechData.dataset` reads more formats and is as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf

from tfwav2vec2.audio.feature_extractor import VARIANCE_FLOOR
from tfwav2vec2.audio.graph_resampling import resample

# tensorflow-io 0.37.1, the last one, is built against these; under later ones its symbols are missing.
SUPPORTED = ("2.16", "2.17")


@dataclass(frozen=True)
class GraphBatch:
    """What a batch is made of.

    Args:
        files: a path for each clip.
        samples: what the clips are padded to.
        labels: of the batch, or None.
    """

    files: Sequence[Path]
    samples: int
    labels: np.ndarray | None


@dataclass(frozen=True, order=True)
class _Kind:
    """Files that are decoded alike."""

    format: str
    rate: int


def make_graph_dataset(
    batches: Sequence[GraphBatch], sampling_rate: int, *, normalize: bool, parallel: int
) -> tf.data.Dataset:
    """A ``tf.data.Dataset`` of these batches, in which nothing is Python.

    Its batches are those of :meth:`~tfwav2vec2.data.speech_data.SpeechData.batch`, but for the resampler: soxr's filter
    and this one's differ near the highest frequencies.

    Args:
        batches: in their order.
        sampling_rate: the model's, in Hz.
        normalize: whether each clip is brought to zero mean and unit variance.
        parallel: how many batches are made at once.

    Raises:
        ImportError: where tensorflow-io is missing, or does not work with the installed TensorFlow.
        ValueError: for files other than wav and flac of 16 bits, and mp3.
    """
    io = _import_tensorflow_io()
    kind_of = {path: _kind(path) for batch in batches for path in batch.files}
    kinds = sorted(set(kind_of.values()))

    def read(path: Any, kind: Any) -> Any:
        contents = tf.io.read_file(path)
        return tf.switch_case(
            kind, [lambda each=each: _waveform(io, contents, each, sampling_rate) for each in kinds]
        )

    def make(paths: Any, kinds: Any, samples: Any, *labels: Any) -> dict[str, Any]:
        def clip(row: tuple[Any, Any]) -> tuple[Any, Any]:
            waveform = read(*row)[:samples]
            length = tf.shape(waveform)[0]
            if normalize:
                mean, variance = tf.nn.moments(waveform, axes=[0])
                waveform = (waveform - mean) / tf.sqrt(variance + VARIANCE_FLOOR)
            return tf.pad(waveform, [[0, samples - length]]), length

        values, lengths = tf.map_fn(clip, (paths, kinds), fn_output_signature=(tf.float32, tf.int32))
        values.set_shape((None, None))
        batch = {"input_values": values, "attention_mask": tf.sequence_mask(lengths, samples, tf.int32)}
        if labels:
            dtype, rank = batches[0].labels.dtype, batches[0].labels.ndim
            batch["labels"] = tf.ensure_shape(tf.io.parse_tensor(labels[0], dtype), (None,) * rank)
        return batch

    columns: list[Any] = [
        tf.ragged.constant([list(map(str, batch.files)) for batch in batches]),
        tf.ragged.constant([[kinds.index(kind_of[path]) for path in batch.files] for batch in batches]),
        np.array([batch.samples for batch in batches], np.int32),
    ]
    if batches[0].labels is not None:
        columns.append([tf.io.serialize_tensor(batch.labels) for batch in batches])
    dataset = tf.data.Dataset.from_tensor_slices(tuple(columns))
    return dataset.map(make, num_parallel_calls=parallel, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _import_tensorflow_io() -> Any:
    """The module ``tensorflow_io``.

    Raises:
        ImportError: where it is missing, or does not work with the installed TensorFlow.
    """
    if not tf.__version__.startswith(SUPPORTED):
        raise ImportError(
            f"tensorflow-io works with TensorFlow {' and '.join(SUPPORTED)}, and this is {tf.__version__}; use dataset(), "
            "which needs no tensorflow-io and is as fast"
        )
    try:
        import tensorflow_io
    except ImportError as error:
        raise ImportError(
            "Decoding in the graph needs tensorflow-io==0.37.1 (requirements/tensorflow-io.txt has what goes with it); install "
            "it, or use dataset()"
        ) from error
    return tensorflow_io


def _kind(path: Path) -> _Kind:
    info = soundfile.info(path)
    if (info.format, info.subtype) not in {("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("MP3", "MPEG_LAYER_III")}:
        raise ValueError(
            f"{path} is {info.format} {info.subtype}; the graph decodes wav and flac of 16 bits, and mp3. Convert it, or use "
            "dataset()"
        )
    return _Kind(info.format, info.samplerate)


def _waveform(io: Any, contents: Any, kind: _Kind, sampling_rate: int) -> Any:
    """A file's contents as a waveform (samples,) float32, channels averaged."""
    if kind.format == "MP3":
        samples = io.audio.decode_mp3(contents)
    else:
        decode = io.audio.decode_wav if kind.format == "WAV" else io.audio.decode_flac
        samples = tf.cast(decode(contents, dtype=tf.int16), tf.float32) / 2.0**15
    return resample(tf.reduce_mean(samples, axis=1), kind.rate, sampling_rate)
