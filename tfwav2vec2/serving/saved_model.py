"""A model and its processor as one SavedModel: for TensorFlow Serving, and for whatever else loads one in a session."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfwav2vec2.serving.batching_options import BatchingOptions
from tfwav2vec2.serving.bundle import bundle_files
from tfwav2vec2.serving.destination import new_folders
from tfwav2vec2.serving.model_server import EXTRA, ServedModel, server_files
from tfwav2vec2.serving.session import SavedModelSession
from tfwav2vec2.serving.shortest import fewest_samples

# An exported model may differ from the Keras model by so much of the largest answer: float32, in another order.
LARGEST_DIFFERENCE = 1e-5
# What a model that computes in half precision may differ by.
LARGEST_DIFFERENCE_HALF = 3e-2

# Lengths in seconds of the clips that every export is tried with, none of which it was traced with.
_TRIED_SECONDS = (0.5, 0.9)


def export_saved_model(
    model: Any,
    processor: Any,
    path: str | Path,
    *,
    clips: Sequence[np.ndarray] | None = None,
    name: str | None = None,
    batching: BatchingOptions | None = None,
    in_graph_batching: bool = False,
) -> Path:
    """Write a SavedModel that needs nothing of this package: samples, or WAV files, go in, and answers come out.

    Its signatures are those of :func:`~tfwav2vec2.serving.endpoints.endpoints`, for any number of recordings of any
    length. Before it is put into its place, it is loaded in a TensorFlow session, as TensorFlow Serving does, and has to
    give what the model gives.

    Its folder ``assets.extra`` has what TensorFlow Serving wants beside the model:

    - ``tf_serving_warmup_requests``: a request for each signature, which the server runs before it takes others;
    - ``models.config`` and ``batching.config``: its configuration files. The server pads what it batches with samples that
      are no audio; ``lengths`` tells them apart, so this is safe. Models whose configuration makes padding change their
      answers (``feature_norm_mask=False``) have no ``batching.config``;
    - ``SERVING.md``: the command that starts the server, and a request for each signature.

    The configuration and the processor's files lie there too, for :mod:`~tfwav2vec2.serving.engines`.

    A SavedModel is a program. Load none that you would not run; this package never fetches one from the hub.

    Args:
        model: a model of this package, on the TensorFlow backend.
        processor: what belongs to it: a processor for speech recognition, otherwise that or a feature extractor.
        path: a folder that does not exist yet.
        clips: recordings (samples,) at the model's rate to try the export with; noise by default.
        name: what the server calls the model; by default the name of its folder, or of the one above where the folder
            is named by a version's number, as in ``served/1``.
        batching: how requests are put together that arrive at the same time.
        in_graph_batching: put them together inside the graph, by ``batching`` too, so that it works in whatever session
            the model is loaded in; the server is then not told to.

    Returns:
        The folder.

    Raises:
        FileExistsError: where there is something at ``path`` already.
        ValueError: where the processor does not fit the model, where the export gives something else than the model,
            for a ``name`` that cannot stand in an address, for ``in_graph_batching`` of a model whose answers depend on
            padding, or on another backend than TensorFlow.
        TypeError: for a model that has no answer for a recording.
    """
    path = Path(path)
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A SavedModel is made on the TensorFlow backend, and this is {keras.backend.backend()}: save the model with "
            "save_pretrained, and export it in a process with KERAS_BACKEND=tensorflow"
        )
    if path.exists():
        raise FileExistsError(f"{path} exists already: choose another place for the SavedModel, or remove it")
    from tfwav2vec2.serving.endpoints import endpoints
    from tfwav2vec2.serving.warmup import warmup_requests, write_warmup

    served = ServedModel.of(path, name)
    batching = batching or BatchingOptions()
    server_batching = batching if model.padding_is_neutral() and not in_graph_batching else None
    plain = endpoints(model, processor)
    offered = endpoints(model, processor, batching=batching) if in_graph_batching else plain
    rate = getattr(processor, "feature_extractor", processor).sampling_rate
    shortest = fewest_samples(model)
    with _folder(path) as temporary:
        archive = keras.export.ExportArchive()
        for signature, endpoint in offered.items():
            archive.add_endpoint(signature, endpoint.function, input_signature=list(endpoint.signature))
        # Keras finds the variables that signatures read themselves, but none behind the queue of requests. Tracking the
        # model would find them too, and write each of them twice.
        archive.add_variable_collection("weights", [variable.value for variable in model.weights])
        archive.write_out(str(temporary), verbose=False)
        _check(temporary, model, plain["serving_default"], _tried(rate, shortest) if clips is None else clips)
        signatures = signatures_of(temporary)
        requests = warmup_requests({name: takes for name, (takes, _) in signatures.items()}, rate, shortest)
        _answers(temporary, requests)
        extra = temporary / EXTRA
        extra.mkdir()
        write_warmup(extra, served.name, requests)
        texts = server_files(
            served, signatures, rate=rate, server_batching=server_batching, graph_batches=in_graph_batching
        )
        for file, text in texts.items():
            (extra / file).write_text(text, encoding="utf-8")
        for file, content in bundle_files(model, processor, {"shortest": shortest}).items():
            (extra / file).write_bytes(content)
    return path


def run_saved_model(
    path: str | Path, signature: str, inputs: Sequence[Mapping[str, np.ndarray]]
) -> list[dict[str, np.ndarray]]:
    """What a signature of a SavedModel gives for each of the inputs, in one TensorFlow session.

    Args:
        path: the folder. It is a program: load none that you do not trust.
        signature: its name.
        inputs: for each call, the arrays by their names.

    Raises:
        ValueError: where there is no such signature.
    """
    with SavedModelSession(path) as session:
        return [session.run(signature, each) for each in inputs]


def signatures_of(path: str | Path) -> dict[str, tuple[list[str], list[str]]]:
    """The names of a SavedModel's signatures, each with the names of what it takes and gives; nothing is run."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    content = SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())
    return {
        name: (sorted(found.inputs, reverse=True), sorted(found.outputs))
        for name, found in sorted(content.meta_graphs[0].signature_def.items())
        if not name.startswith("__")
    }


@contextmanager
def _folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` to write to, renamed to it once all went well and removed otherwise."""
    temporary = path.with_name(f".{uuid.uuid4().hex}.tmp")
    with new_folders(path.parent):
        try:
            yield temporary
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _tried(rate: int, shortest: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    counts = [max(round(seconds * rate), shortest) for seconds in _TRIED_SECONDS]
    return [rng.normal(0.0, 0.1, count).astype("float32") for count in counts]


def _check(folder: Path, model: Any, endpoint: Any, clips: Sequence[np.ndarray]) -> None:
    """Compare an export with the model it was made of, on a batch of clips with noise behind the shorter ones."""
    import tensorflow as tf

    lengths = np.array([len(clip) for clip in clips], np.int32)
    waveform = np.full((len(clips), lengths.max()), 1e3, np.float32)
    for row, clip in zip(waveform, clips, strict=True):
        row[: len(clip)] = clip
    inputs = {"waveform": waveform, "lengths": lengths}
    (found,) = run_saved_model(folder, "serving_default", [inputs])
    # By the graph too: a call outside one goes through a compiled program, whose sums have another order.
    expected = tf.function(endpoint.function, autograph=False)(tf.constant(waveform), tf.constant(lengths))
    half = keras.backend.standardize_dtype(model.compute_dtype) != "float32"
    allowed = LARGEST_DIFFERENCE_HALF if half else LARGEST_DIFFERENCE
    if "ids" in found:
        # Where two labels are as likely, the id may be either one's: its logit has to be the highest.
        expected["ids"] = tf.reduce_max(expected["logits"], axis=-1, keepdims=True)
        found["ids"] = np.take_along_axis(found["logits"], found["ids"][..., None], axis=-1)
    for name, value in expected.items():
        tolerance = allowed if value.dtype.is_floating else 0.0
        value = value.numpy()
        differences = np.abs(found[name] - value)
        if value.ndim == 3:
            # What stands in frames behind a row's own is nobody's answer.
            valid = np.arange(value.shape[1]) < expected["frame_lengths"].numpy()[:, None]
            differences = np.where(valid[..., None], differences, 0.0)
        difference = float(np.max(differences, initial=0.0))
        scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
        if not difference <= tolerance * scale:
            raise ValueError(
                f"The SavedModel's {name} differs from the model's by {difference:.1e}, where {tolerance * scale:.1e} is "
                "allowed; nothing was written. Please report this"
            )


def _answers(folder: Path, requests: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Ask each signature what the server will ask when it loads the model: it gives up where one fails."""
    import tensorflow as tf

    with SavedModelSession(folder) as session:
        for signature, inputs in requests.items():
            try:
                session.run(signature, inputs)
            except tf.errors.OpError as error:
                message = " ".join(error.message.split())
                raise ValueError(
                    f"The SavedModel's {signature} does not answer a second of noise ({message}); nothing was written. "
                    "Please report this"
                ) from error
