"""A model and its processor as one LiteRT file (``.tflite``): for phones, browsers, and machines without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from tfwav2vec2.serving.bundle import append_archive, bundle_files
from tfwav2vec2.serving.destination import new_folders
from tfwav2vec2.serving.engines import KerasEngine, LiteRTEngine, first_line, import_litert
from tfwav2vec2.serving.precision import LEAST_AGREEMENT, MOST_WORDS_CHANGED, Precision
from tfwav2vec2.serving.quantization import in_half_precision, in_integers
from tfwav2vec2.serving.shortest import fewest_samples
from tfwav2vec2.weights.files import write_atomically

# How far an answer may be from the model's, as a share of the largest: the runtime sums in another order, a 16-bit float
# keeps 11 bits of each weight, and the tanh approximation of GELU is off by 5e-4.
LARGEST_DIFFERENCE = {"float32": 1e-4, "float16": 2e-2}

# Lengths in seconds of the noise that a file is tried with.
_TRIED_SECONDS = (0.5, 0.9)


@dataclass(frozen=True)
class LiteRTExport:
    """What an export came to.

    Attributes:
        path: the file.
        bytes: its size.
        float32_bytes: the size at full precision.
        integer_layers: for int8, which layers compute in integers.
        agreement: for int8, how far the answers for the clips are those of the float32 file, 0 to 1: the share of equal
            labels, of embeddings and hidden states the mean cosine.
        words_changed: for int8 speech recognition, the word error rate of its transcripts against the float32 file's.
        time_ratio: for int8, its time for the clips in that of the float32 file.
    """

    path: Path
    bytes: int
    float32_bytes: int
    integer_layers: str | None = None
    agreement: float | None = None
    words_changed: float | None = None
    time_ratio: float | None = None


def export_litert(
    model: Any,
    processor: Any,
    path: str | Path,
    *,
    precision: Precision = "float32",
    lengths: Sequence[int] = (),
    clips: Sequence[np.ndarray] | None = None,
    least_agreement: float = LEAST_AGREEMENT,
    most_words_changed: float = MOST_WORDS_CHANGED,
    for_gpu: bool = False,
) -> LiteRTExport:
    """Write a ``.tflite`` file of LiteRT's own operators alone, with the model's configuration and vocabulary inside.

    Every signature takes ``waveform`` (batch, samples) float32, at the model's rate and as loud as it was recorded, and
    ``lengths`` (batch,) int32, how many samples of each row are audio; what stands behind them is ignored. It gives what
    the SavedModel's ``serving_default`` gives, for speech recognition ``logits``, ``frame_lengths`` and ``ids``, the
    likeliest label of each frame (see :func:`~tfwav2vec2.serving.endpoints.endpoints`). ``serving_default`` takes any number
    of recordings of any length, once the interpreter has resized its inputs; ``samples_160000`` takes one recording in a
    buffer of 160000 samples, which phones plan ahead. All signatures share one copy of the weights.

    Before the file is put into its place, it runs in LiteRT and has to give what the model gives.

    Args:
        model: a model of this package, on the TensorFlow backend.
        processor: what belongs to it: a processor for speech recognition, otherwise that or a feature extractor.
        path: a file that does not exist yet.
        precision: of the weights. ``float16`` halves the file. ``int8`` makes it a quarter, and computes in integers in
            those layers that bear it, which the clips decide (see :mod:`tfwav2vec2.serving.quantization`).
        lengths: in samples, of the signatures with a fixed length.
        clips: recordings (samples,) at the model's rate to try the file with; noise by default. ``int8`` needs real
            speech, of the kind that the model is for.
        least_agreement: for int8, how far its answers must be those of the float32 file, 0 to 1: the share of equal labels,
            of embeddings and hidden states the mean cosine.
        most_words_changed: for int8 speech recognition, the highest word error rate of its transcripts against those of
            the float32 file.
        for_gpu: make the file that the GPUs of phones run: fixed lengths alone, GELU by its tanh approximation, and no
            ``lengths``, so that all of ``waveform`` counts as audio.

    Raises:
        FileExistsError: where there is something at ``path`` already.
        ValueError: where the processor does not fit the model, a length is too short for an answer, the file gives something
            else than the model, int8 changes too many answers, or on another backend than TensorFlow.
        TypeError: for a model that has no answer for a recording.
        ImportError: where LiteRT, or what makes smaller weights, is not installed.
    """
    path = Path(path)
    _check_request(model, path, precision, lengths, clips, least_agreement, for_gpu)
    import_litert()
    from tfwav2vec2.serving.litert_graph import check_builtin, convert, variant

    model = variant(model, for_gpu)
    shortest = fewest_samples(model)
    float32 = content = convert(model, processor, lengths, for_gpu)
    check_builtin(float32)
    rate = getattr(processor, "feature_extractor", processor).sampling_rate
    tried = _noise(rate, shortest, lengths) if clips is None else clips
    about = {"precision": precision, "for_gpu": for_gpu, "shortest": shortest}
    files = bundle_files(model, processor, about)
    figures: dict[str, Any] = {}
    if precision == "int8":
        content, figures = in_integers(float32, files, tried, least_agreement, most_words_changed)
        files = bundle_files(model, processor, about | {"integer_layers": figures["integer_layers"]})
    elif precision == "float16":
        content = in_half_precision(float32)
    with new_folders(path.parent), write_atomically(path) as temporary:
        temporary.write_bytes(content)
        append_archive(temporary, files)
        if precision != "int8":
            _compare(temporary, model, processor, tried, LARGEST_DIFFERENCE[precision])
    return LiteRTExport(path, path.stat().st_size, len(float32), **figures)


def _check_request(
    model: Any,
    path: Path,
    precision: str,
    lengths: Sequence[int],
    clips: Sequence[np.ndarray] | None,
    least_agreement: float,
    for_gpu: bool,
) -> None:
    """Find out what is wrong with the arguments before the model is converted."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A .tflite file is made on the TensorFlow backend, and this is {keras.backend.backend()}: save the model with "
            "save_pretrained, and export it in a process with KERAS_BACKEND=tensorflow"
        )
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another place for the file, or remove it")
    if precision not in get_args(Precision):
        raise ValueError(f"precision must be one of {', '.join(get_args(Precision))}; got {precision!r}")
    if precision == "int8" and not clips:
        raise ValueError(
            "int8 is measured on recordings: give clips, a few minutes of speech of the kind that the model is for"
        )
    if not 0.0 <= least_agreement <= 1.0:
        raise ValueError(f"least_agreement is a share between 0 and 1; got {least_agreement!r}")
    shortest = fewest_samples(model)
    short = [samples for samples in lengths if samples < shortest]
    if short:
        raise ValueError(
            f"A length must be at least {shortest} samples, the fewest that the model answers; got {short[0]}"
        )
    if for_gpu and not lengths:
        raise ValueError(
            "A file for GPUs has fixed lengths alone: give at least one in samples, such as lengths=[160000]"
        )


def _noise(rate: int, shortest: int, lengths: Sequence[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    counts = [max(round(seconds * rate), shortest) for seconds in _TRIED_SECONDS]
    return [rng.normal(0.0, 0.1, min([count, *lengths])).astype("float32") for count in counts]


def _compare(path: Path, model: Any, processor: Any, clips: Sequence[np.ndarray], allowed: float) -> None:
    """Make sure that a file gives what the model gives.

    Raises:
        ValueError: where it does not.
    """
    engine = LiteRTEngine(path)
    model_itself = KerasEngine(model, processor)
    for clip in clips:
        # A file for GPUs hears the silence behind a clip as well.
        clip = np.pad(clip, (0, engine.buffer(len(clip)) - len(clip)))
        try:
            found = engine(clip[None], [len(clip)])
        except RuntimeError as error:
            raise ValueError(
                f"The file does not run in LiteRT ({first_line(error)}); nothing was written. Please report this with the model's "
                "config.json"
            ) from error
        expected = model_itself(clip[None], [len(clip)])
        frames = int(expected["frame_lengths"][0]) if "frame_lengths" in expected else None
        for name in ("logits", "embeddings", "last_hidden_state"):
            if name not in expected or name not in found:
                continue
            first, second = (answer[name][0, ...][:frames] for answer in (expected, found))
            scale = max(1.0, float(np.max(np.abs(first), initial=0.0)))
            difference = float(np.max(np.abs(first.astype("float32") - second), initial=0.0)) / scale
            if not difference <= allowed:
                raise ValueError(
                    f"The file's {name} differ from the model's by {difference:.1e} of the largest, where {allowed:.0e} is "
                    "allowed; nothing was written. Please report this with the model's config.json"
                )
