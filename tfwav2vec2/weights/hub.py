"""Models from the hub and to it: ``from_pretrained``, ``save_pretrained``, ``push_to_hub``."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np

from tfwav2vec2.backbone.initializers import skip_initialization
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.config import CONFIG_NAME, Wav2Vec2Config
from tfwav2vec2.weights.files import PushToHub, find_file, take_hub_options
from tfwav2vec2.weights.key_map import is_optional, is_transposed, match, torch_keys
from tfwav2vec2.weights.readers import Checkpoint, open_checkpoint
from tfwav2vec2.weights.writers import SAFE_INDEX_NAME, SAFE_NAME, write_checkpoint

# In the order in which they are looked for: safetensors before pickles.
WEIGHT_NAMES = (SAFE_NAME, SAFE_INDEX_NAME, "pytorch_model.bin", "pytorch_model.bin.index.json")


class PretrainedModel(PushToHub):
    """Gives a Keras model of this package the ways to and from the hub (reference: ``PreTrainedModel``)."""

    config: Wav2Vec2Config

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        config: Wav2Vec2Config | str | Path | None = None,
        strict: bool = True,
        ignore_mismatched_sizes: bool = False,
        dtype: Any = None,
        from_pt: bool = True,
        **options: Any,
    ) -> Self:
        """The model that a folder or the hub holds, ready to run or to train.

        Read are ``model.safetensors`` or ``pytorch_model.bin``, each in one file or in several with an index. Files of
        bare models and of models with a head serve either: a bare model takes the backbone of a file with a head.

        Args:
            name_or_path: a folder, one checkpoint file beside its ``config.json``, or a name on the hub.
            config: a configuration to use in place of the folder's own, or where to find it.
            strict: whether a tensor that the file lacks, or has too many, is an error. With False what is missing is
                initialised as in a new model and what is not expected is left out, with a warning that lists both: the
                way to put a new head on a pretrained backbone.
            ignore_mismatched_sizes: initialise tensors of another shape as in a new model, with a warning that lists
                them; otherwise they are an error.
            dtype: dtype or Keras policy of the model, such as ``"mixed_bfloat16"``; Keras's own by default.
            from_pt: accepted for compatibility; files in torch's layout are the only kind.
            options: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download`` and ``subfolder``
                as in :func:`~tfwav2vec2.weights.files.find_file`; all others are fields of the configuration to
                override, such as ``vocab_size`` or ``ctc_loss_reduction``.

        Raises:
            OSError: where files are missing, out of reach, truncated, damaged or hostile.
            ValueError: where the tensors are not those of this model; the message lists them.
            TypeError: for an option that is no field of the configuration.
        """
        hub = take_hub_options(options)
        file = Path(name_or_path).expanduser()
        folder = file.parent if file.is_file() else name_or_path
        config = _configuration(config, folder, hub, options)
        path = file if file.is_file() else _find_weights(folder, hub)
        with open_checkpoint(path, lambda name: _find_shard(folder, path, name, hub)) as checkpoint:
            with skip_initialization():
                model = cls(config, **({} if dtype is None else {"dtype": dtype}))
            unfilled = _fill(model, checkpoint, strict, ignore_mismatched_sizes)
        if unfilled:
            drawn = named_variables(cls(config))
            variables = named_variables(model)
            for name in unfilled:
                variables[name].assign(drawn[name])
        return model

    def load_checkpoint(
        self, path: str | Path, *, strict: bool = True, ignore_mismatched_sizes: bool = False
    ) -> None:
        """Fill this model's variables from one checkpoint file, of any kind that ``from_pretrained`` reads.

        Args:
            path: a ``.safetensors``, ``.bin`` or ``.pt`` file, or the ``.index.json`` of several.
            strict: as in :meth:`from_pretrained`; what is missing keeps its present value.
            ignore_mismatched_sizes: as in :meth:`from_pretrained`; tensors of another shape are left out.

        Raises:
            OSError, ValueError: as in :meth:`from_pretrained`; the model is then unchanged, unless the file turns out
                to be damaged in the middle.
        """
        with open_checkpoint(path) as checkpoint:
            _fill(self, checkpoint, strict, ignore_mismatched_sizes)

    def save_pretrained(
        self,
        folder: str | Path,
        *,
        max_shard_size: int | str = "5GB",
        safe_serialization: bool = True,
        push_to_hub: bool = False,
        **options: Any,
    ) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder, which is made if need be.

        ``transformers`` loads what is written, bit for bit. A save that fails leaves the folder as it was.

        Args:
            folder: where to write.
            max_shard_size: bytes, or text such as ``"5GB"``; a larger model is written in several files.
            safe_serialization: must be True: no pickles are written.
            push_to_hub: upload the folder's content as well, to the repository ``repo_id`` (the folder's name by default).
            options: with ``push_to_hub``, what :meth:`push_to_hub` takes.

        Raises:
            OSError: where the folder cannot be written to.
        """
        if not safe_serialization:
            raise ValueError("Only safetensors are written (safe_serialization=True): pickles can run code")
        folder = Path(folder)
        if folder.is_file():
            raise NotADirectoryError(f"{folder} is a file; give the name of a folder to save the model in")
        folder.mkdir(parents=True, exist_ok=True)
        variables = {torch_keys(name)[0]: (name, var) for name, var in named_variables(self).items()}
        config = copy.deepcopy(self.config)
        config.architectures = [type(self).__name__.removeprefix("TF")]
        config.dtype = next(iter(variables.values()))[1].dtype
        write_checkpoint(
            folder,
            {key: lambda pair=pair: _to_torch(*pair) for key, pair in variables.items()},
            {key: _bytes(var) for key, (_, var) in variables.items()},
            max_shard_size,
            {CONFIG_NAME: config.to_json_string()},
        )
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), max_shard_size=max_shard_size, **options)


def _configuration(
    config: Wav2Vec2Config | str | Path | None,
    folder: str | Path,
    hub: dict[str, Any],
    overrides: dict[str, Any],
) -> Wav2Vec2Config:
    if isinstance(config, Wav2Vec2Config):
        made = Wav2Vec2Config.from_dict(config.to_dict(), return_unused_kwargs=True, **overrides)
    else:
        source = folder if config is None else config
        made = Wav2Vec2Config.from_pretrained(source, return_unused_kwargs=True, **hub, **overrides)
    config, unknown = made
    if unknown:
        raise TypeError(
            f"from_pretrained got {', '.join(unknown)}: neither an option of its own nor a field of the configuration; "
            "check the spelling"
        )
    config.name_or_path = folder
    return config


def _find_weights(folder: str | Path, hub: dict[str, Any]) -> Path:
    for name in WEIGHT_NAMES:
        path = find_file(folder, name, **hub, required=False)
        if path is not None:
            return path
    raise FileNotFoundError(
        f"{str(folder)!r} has a {CONFIG_NAME} but no weights: none of {', '.join(WEIGHT_NAMES)}; download or save the "
        "model again, or check the revision and subfolder"
    )


def _find_shard(folder: str | Path, index: Path, name: str, hub: dict[str, Any]) -> Path:
    beside = index.with_name(name)
    return beside if beside.is_file() else find_file(folder, name, **hub)


def _fill(model: Any, checkpoint: Checkpoint, strict: bool, ignore_mismatched_sizes: bool) -> list[str]:
    """Assign what the checkpoint holds, after everything was checked; the names of the variables left as they were."""
    variables = named_variables(model)
    found = match(variables, checkpoint.shapes)
    mismatched = {
        name: key
        for name, key in found.pairs.items()
        if _torch_shape(name, variables[name]) != checkpoint.shapes[key]
    }
    problems = {
        "missing": found.missing,
        "not expected": found.unexpected,
        "of another shape": [
            f"{key} (file {checkpoint.shapes[key]}, model {_torch_shape(name, variables[name])})"
            for name, key in mismatched.items()
        ],
    }
    tolerated = {
        "missing": not strict or all(map(is_optional, found.missing)),
        "not expected": not strict,
        "of another shape": ignore_mismatched_sizes,
    }
    _report(checkpoint.path, type(model).__name__, problems, tolerated)
    for name, key in found.pairs.items():
        if name not in mismatched:
            _assign(variables[name], checkpoint.read(key), is_transposed(name))
    return [name for name in variables if name not in found.pairs or name in mismatched]


def _report(path: Path, model: str, problems: dict[str, list[str]], tolerated: dict[str, bool]) -> None:
    lines = [f"  {kind}: {', '.join(names)}" for kind, names in problems.items() if names]
    if not lines:
        return
    refused = [kind for kind, names in problems.items() if names and not tolerated[kind]]
    if not refused:
        warnings.warn(
            "\n".join(
                [f"{path} fills {model} in part; the rest of the model is as it was initialised", *lines]
            ),
            stacklevel=4,
        )
        return
    remedies = ["Check that the file, its config.json and the class belong together"]
    if {"missing", "not expected"} & set(refused):
        remedies.append("pass strict=False to initialise what is missing and leave out what is not expected")
    if "of another shape" in refused:
        remedies.append("pass ignore_mismatched_sizes=True to initialise what has another shape")
    raise ValueError(
        "\n".join([f"The tensors of {path} are not those of {model}", *lines, f"{', or '.join(remedies)}."])
    )


def _torch_shape(name: str, variable: keras.Variable) -> tuple[int, ...]:
    shape = tuple(variable.shape)
    return shape[::-1] if is_transposed(name) else shape


def _assign(variable: keras.Variable, tensor: np.ndarray, transposed: bool) -> None:
    value = keras.ops.convert_to_tensor(tensor.astype(variable.dtype, copy=False))
    # The backend turns matrices round several times faster than numpy does.
    variable.assign(keras.ops.transpose(value) if transposed else value)


def _to_torch(name: str, variable: keras.Variable) -> np.ndarray:
    value = keras.ops.convert_to_numpy(variable.value)
    return np.ascontiguousarray(value.T if is_transposed(name) else value)


def _bytes(variable: keras.Variable) -> int:
    return int(np.prod(variable.shape)) * np.dtype(variable.dtype).itemsize
