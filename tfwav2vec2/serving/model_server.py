"""What TensorFlow's model server wants beside a SavedModel: its configuration files, and commands to copy."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfwav2vec2.serving.batching_options import BatchingOptions

MODELS_CONFIG = "models.config"
BATCHING_CONFIG = "batching.config"
INSTRUCTIONS = "SERVING.md"

# Where a SavedModel holds what is no part of its graph; the server looks there for its warm-up requests.
EXTRA = "assets.extra"

# What a name may hold so that it is itself in an address, in a shell and in a configuration file.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class ServedModel:
    """A SavedModel as a server sees it.

    The server wants a folder for the model and in it one for each version, named by a number. A folder that is named
    so is served with the versions beside it; any other one is put into its place as version 1.

    Args:
        name: what the model is called in requests: letters, digits, ``_``, ``-`` and ``.``.
        folder: the name of the SavedModel's folder.
        parent: the name of the folder that holds it.

    Raises:
        ValueError: for a name with other characters.
    """

    name: str
    folder: str
    parent: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} cannot name a served model: use letters, digits, '_', '-' and '.', and no '-' or '.' first"
            )

    @classmethod
    def of(cls, path: Path, name: str | None = None) -> ServedModel:
        """The model in the folder ``path``; without a name it bears that of the folder that is no version's."""
        path = path.resolve()
        if name is None:
            named = path.parent.name if _is_version(path.name) else path.name
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", named).lstrip("-.") or "model"
        return cls(name, path.name, path.parent.name)

    @property
    def base(self) -> str:
        """The folder of the model on the server."""
        return f"/models/{self.name}"

    @property
    def extra(self) -> str:
        """The folder of the configuration files on the server."""
        return f"{self.base}/{self.folder if self.has_version else 1}/{EXTRA}"

    @property
    def has_version(self) -> bool:
        """Whether the folder is named by a version's number."""
        return _is_version(self.folder)


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit()


def server_files(
    served: ServedModel,
    signatures: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    *,
    rate: int,
    server_batching: BatchingOptions | None,
    graph_batches: bool,
) -> dict[str, str]:
    """The texts for a server, by the names of their files.

    Args:
        served: the model.
        signatures: for each name what it takes and what it gives.
        rate: the model's rate in Hz.
        server_batching: how the server puts requests together; None where it must not.
        graph_batches: whether the graph puts requests together itself.

    Returns:
        ``models.config`` and ``SERVING.md``, and ``batching.config`` where the server batches.
    """
    texts = {
        MODELS_CONFIG: _models_config(served),
        INSTRUCTIONS: _instructions(served, signatures, rate, server_batching is not None, graph_batches),
    }
    if server_batching is not None:
        texts[BATCHING_CONFIG] = _batching_config(server_batching)
    return texts


def _models_config(served: ServedModel) -> str:
    """The file for ``--model_config_file`` (``ModelServerConfig`` in text)."""
    return f"""\
model_config_list {{
  config {{
    name: "{served.name}"
    base_path: "{served.base}"
    model_platform: "tensorflow"
  }}
}}
"""


def _batching_config(options: BatchingOptions) -> str:
    """The file for ``--batching_parameters_file`` (``BatchingParameters`` in text)."""
    return f"""\
# Recordings of different lengths may share a batch: the server pads each waveform with its own first sample, and whatever
# stands behind the samples that a row's entry in "lengths" counts is ignored.
pad_variable_length_inputs: true
max_batch_size {{ value: {options.max_batch_size} }}
batch_timeout_micros {{ value: {options.batch_timeout_micros} }}
num_batch_threads {{ value: {options.num_batch_threads} }}
max_enqueued_batches {{ value: {options.max_enqueued_batches} }}
"""


def _instructions(
    served: ServedModel,
    signatures: Mapping[str, tuple[Sequence[str], Sequence[str]]],
    rate: int,
    server_batches: bool,
    graph_batches: bool,
) -> str:
    """How to start the server, and a request for each signature, as text to copy from."""
    parts = [
        f"# Serving {served.name}\n",
        _start(served, server_batches),
        _batching(server_batches, graph_batches),
        f"## Requests\n\nEach goes to the REST interface; over gRPC (port 8500) the names are the same.\n\n"
        f"`waveform` holds recordings at {rate} Hz as numbers from -1 to 1, (recordings, samples), and `lengths` how many "
        f"samples of each are audio: {rate} zeros stand for them here. `wav` holds the bytes of WAV files of any rate.\n",
        *(_request(served, name, *names, rate) for name, names in signatures.items()),
    ]
    return "\n".join(parts)


def _start(served: ServedModel, server_batches: bool) -> str:
    import tensorflow as tf

    if served.has_version:
        beside, source, target = served.parent or served.folder, served.parent, served.base
    else:
        beside, source, target = served.folder, served.folder, f"{served.base}/1"
    mounted = shlex.quote(f"/{source}:{target}:ro") if source else f":{target}:ro"
    flags = [f"--model_config_file={served.extra}/{MODELS_CONFIG}"]
    if server_batches:
        flags += ["--enable_batching", f"--batching_parameters_file={served.extra}/{BATCHING_CONFIG}"]
    lines = ["docker run --rm -p 8500:8500 -p 8501:8501", f'-v "$PWD"{mounted}', "tensorflow/serving", *flags]
    command = " \\\n  ".join(lines)
    return (
        f"TensorFlow {tf.__version__} wrote this model; a server of that version or a newer one reads it. In the folder "
        f"that holds `{beside}`:\n\n```sh\n{command}\n```\n\n"
        f"Once it has run the warm-up requests that lie in `{EXTRA}`, the model is available:\n\n"
        f"```sh\ncurl http://localhost:8501/v1/models/{served.name}\n```\n\n"
        f"Without docker, `tensorflow_model_server --port=8500 --rest_api_port=8501` takes the same options; write the "
        f"folder's place into `{MODELS_CONFIG}` in place of `{served.base}`.\n"
    )


def _batching(server_batches: bool, graph_batches: bool) -> str:
    if graph_batches:
        text = (
            "The graph itself puts concurrent requests together, whatever their lengths, and a request that is wrong "
            "fails alone. Leave out `--enable_batching`, which would make requests wait twice."
        )
    elif server_batches:
        text = (
            f"`{BATCHING_CONFIG}` lets the server put concurrent requests together. Its padding does no harm, because "
            "`lengths` says where each recording ends. A request that is wrong, such as one with a broken WAV file, "
            "fails with all of its batch; and lengths beyond a waveform's own end are not noticed where longer ones pad "
            "it. A request may hold no more recordings than `max_batch_size`."
        )
    else:
        text = (
            "The server must not put requests together: this model's configuration makes padding change its answers. "
            "Leave out `--enable_batching`."
        )
    return f"## Batching\n\n{text}\n"


def _request(served: ServedModel, name: str, inputs: Sequence[str], outputs: Sequence[str], rate: int) -> str:
    address = f"http://localhost:8501/v1/models/{served.name}:predict"
    if list(inputs) == ["wav"]:
        body = f'{{"signature_name": "{name}", "instances": [{{"b64": "%s"}}]}}'
        command = f"printf '{body}' \"$(base64 < recording.wav | tr -d '\\n')\" |\n  curl --data @- {address}"
    else:
        values = f'"inputs": {{"waveform": [[0.0] * {rate}], "lengths": [{rate}]}}'
        program = f'import json; print(json.dumps({{"signature_name": "{name}", {values}}}))'
        command = f"python3 -c '{program}' |\n  curl --data @- {address}"
    takes, gives = (", ".join(f"`{each}`" for each in names) for names in (inputs, outputs))
    return f"### {name}\n\nFrom {takes} to {gives}.\n\n```sh\n{command}\n```\n"
