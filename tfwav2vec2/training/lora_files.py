"""What LoRA learnt in a folder of its own, in the layout of the library ``peft``, which reads and writes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfwav2vec2.backbone.low_rank import low_rank_layers
from tfwav2vec2.backbone.naming import name_of, named_variables
from tfwav2vec2.backbone.trainable import head_weights
from tfwav2vec2.training.lora import ATTENTION, FEED_FORWARD, LoraSettings, check_has_lora, enable_lora
from tfwav2vec2.weights.checkpoint import Checkpoint, LazyTensor
from tfwav2vec2.weights.files import find_file, read_json, write_json
from tfwav2vec2.weights.formats.safetensors_writer import write_safetensors
from tfwav2vec2.weights.key_map import torch_keys
from tfwav2vec2.weights.readers import open_checkpoint
from tfwav2vec2.weights.variables import assign, tensors

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"

# What peft's models put before the keys of the model that they wrap.
_PREFIX = "base_model.model."
# Settings under which peft computes something else, and the values under which it does not.
_PLAIN = {
    "peft_type": "LORA",
    "bias": "none",
    "fan_in_fan_out": False,
    "use_rslora": False,
    "use_dora": False,
    "rank_pattern": {},
    "alpha_pattern": {},
    "layers_to_transform": None,
    "lora_bias": False,
}
# The same of settings that older releases of peft do not know, so that they are not written.
_PLAIN_IF_ABSENT = {
    "alora_invocation_tokens": None,
    "layer_replication": None,
    "use_bdlora": False,
    "use_qalora": False,
}


def save_lora(model: Any, folder: str | Path) -> None:
    """Write the thin matrices and the head to ``adapter_config.json`` and ``adapter_model.safetensors``.

    Args:
        model: a model with LoRA.
        folder: where to write; it is made if need be.

    Raises:
        ValueError: for a model without LoRA.
        OSError: where the folder cannot be written to.
    """
    check_has_lora(model)
    settings: LoraSettings = model.lora
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    everything = tensors(model)
    learnt = {key: _thin(variable) for key, variable in _thin_variables(model).items()}
    learnt |= {_PREFIX + key: everything[key] for key in _head_variables(model)}
    write_safetensors(folder / WEIGHTS_NAME, learnt)
    config = _PLAIN | {
        "r": settings.rank,
        "lora_alpha": settings.alpha,
        "lora_dropout": settings.dropout,
        "target_modules": list(settings.targets),
        "modules_to_save": sorted({key.partition(".")[0] for key in _head_variables(model)}) or None,
        "base_model_name_or_path": model.config.name_or_path or None,
        "task_type": None,
        "inference_mode": True,
    }
    write_json(folder / CONFIG_NAME, config, sort_keys=True)


def load_lora(model: Any, name_or_path: str | Path, **hub_options: Any) -> None:
    """Read what :func:`save_lora`, or ``peft``, wrote, into the model that it was learnt beside.

    A model without LoRA gets it, as by :func:`~tfwav2vec2.training.lora.enable_lora` with the file's settings.

    Args:
        model: a model of the same class, with the weights that training began with.
        name_or_path: a folder, or a name on the hub.
        hub_options: as in :func:`~tfwav2vec2.weights.files.find_file`.

    Raises:
        OSError: where a file is missing, out of reach or damaged.
        ValueError: where the settings are none that this package computes or not the model's own, or the tensors are
            not the model's; it is then unchanged, unless it had no LoRA before.
    """
    settings = _settings(find_file(name_or_path, CONFIG_NAME, **hub_options))
    path = find_file(name_or_path, WEIGHTS_NAME, **hub_options)
    if model.lora is None:
        enable_lora(model, settings.rank, settings.alpha, settings.targets, settings.dropout)
    elif (model.lora.rank, model.lora.alpha, set(model.lora.targets)) != (
        settings.rank,
        settings.alpha,
        set(settings.targets),
    ):
        raise ValueError(f"{path.parent} holds {settings}, but the model has {model.lora}")
    with open_checkpoint(path) as checkpoint:
        thin = _thin_variables(model)
        head = {_PREFIX + key: item for key, item in _head_variables(model).items()}
        _check_tensors(checkpoint, model, thin, head)
        for key, variable in thin.items():
            variable.assign(checkpoint.read(key).T)
        for key, (name, variable) in head.items():
            assign(name, variable, checkpoint.read(key))


def _thin_variables(model: Any) -> dict[str, keras.Variable]:
    """The thin matrices by peft's key."""
    return {
        f"{_PREFIX}{name_of(layer.kernel).removesuffix('.kernel')}.lora_{letter.upper()}.weight": layer.low_rank[
            f"lora_{letter}"
        ]
        for layer in low_rank_layers(model)
        for letter in "ab"
    }


def _thin(variable: keras.Variable) -> LazyTensor:
    """As torch has it, its axes the other way round."""
    return LazyTensor(
        tuple(variable.shape)[::-1],
        np.dtype("float32"),
        lambda: np.ascontiguousarray(keras.ops.convert_to_numpy(variable.value).T),
    )


def _head_variables(model: Any) -> dict[str, tuple[str, keras.Variable]]:
    """What the head learns by: torch's key, and the name and variable."""
    inside = {id(weight) for weight in head_weights(model)}
    named = {name: item for name, item in named_variables(model).items() if id(item) in inside}
    return {torch_keys(name)[0]: (name, item) for name, item in named.items()}


def _settings(path: Path) -> LoraSettings:
    """What a configuration of peft's asks for, where this package computes it."""
    fields = read_json(path)
    plain = _PLAIN | _PLAIN_IF_ABSENT
    other = [name for name, value in plain.items() if (fields.get(name) or value) != value]
    if other:
        raise ValueError(
            f"{path} asks for {', '.join(f'{name}={fields[name]!r}' for name in other)}; plain LoRA alone is computed here, "
            f"with {', '.join(f'{name}={plain[name]!r}' for name in other)}"
        )
    match fields:
        case {"r": int(rank), "lora_alpha": int() | float() as alpha, "target_modules": list(targets)}:
            return LoraSettings(rank, alpha, tuple(targets), float(fields.get("lora_dropout") or 0.0))
    raise ValueError(
        f"{path} must hold r and lora_alpha, numbers, and target_modules, a list of names such as "
        f"{[*ATTENTION, *FEED_FORWARD]}; it holds "
        f"{ {name: fields.get(name) for name in ('r', 'lora_alpha', 'target_modules')} }"
    )


def _check_tensors(
    checkpoint: Checkpoint,
    model: Any,
    thin: dict[str, keras.Variable],
    head: dict[str, tuple[str, keras.Variable]],
) -> None:
    """Refuse a file whose tensors are not those that the model learns by."""
    everything = tensors(model)
    expected = {key: tuple(variable.shape)[::-1] for key, variable in thin.items()}
    expected |= {key: everything[key.removeprefix(_PREFIX)].shape for key in head}
    problems = {
        "missing": [key for key in expected if key not in checkpoint.shapes],
        "not expected": [key for key in checkpoint.shapes if key not in expected],
        "of another shape": [
            f"{key} (file {checkpoint.shapes[key]}, model {shape})"
            for key, shape in expected.items()
            if checkpoint.shapes.get(key, shape) != shape
        ],
    }
    if any(problems.values()):
        lines = [f"  {kind}: {', '.join(keys)}" for kind, keys in problems.items() if keys]
        raise ValueError(
            "\n".join(
                [
                    f"The tensors of {checkpoint.path} are not those that this {type(model).__name__} learns by",
                    *lines,
                ]
            )
        )
