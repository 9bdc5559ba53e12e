"""Where a model's weights and configuration lie: in a folder, on the hub, or in one file of any kind."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfwav2vec2.config import CONFIG_NAME, Wav2Vec2Config
from tfwav2vec2.weights.described_size import check_described_size
from tfwav2vec2.weights.files import find_file
from tfwav2vec2.weights.readers import Checkpoint, open_checkpoint

TORCH_NAMES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
TF_NAMES = ("tf_model.h5", "tf_model.h5.index.json")
FLAX_NAMES = ("flax_model.msgpack", "flax_model.msgpack.index.json")
KERAS_NAMES = ("model.keras", "model.weights.h5")
# In the order in which they are looked for: safetensors before pickles.
WEIGHT_NAMES = (*TORCH_NAMES, *TF_NAMES, *FLAX_NAMES, *KERAS_NAMES)


@contextmanager
def open_model_files(
    name_or_path: str | Path,
    *,
    config: Wav2Vec2Config | str | Path | None = None,
    overrides: dict[str, Any] | None = None,
    weight_names: Sequence[str] = WEIGHT_NAMES,
    **hub: Any,
) -> Iterator[tuple[Checkpoint, Wav2Vec2Config]]:
    """A model's checkpoint, open, and its configuration.

    Args:
        name_or_path: a folder, a name on the hub, or one checkpoint file.
        config: a configuration, or the folder or JSON file of one. By default it is the ``config.json`` beside the
            weights; for a single file without one, what the file itself says of its model.
        overrides: fields of the configuration to set.
        weight_names: the files to look for in a folder or on the hub; the first that is there counts.
        hub: as in :func:`~tfwav2vec2.weights.files.find_file`.

    Raises:
        OSError: where files are missing, out of reach, damaged or hostile.
        ValueError: where the configuration describes a far larger model than the file holds.
        TypeError: for an override that is no field of the configuration.
    """
    file = Path(name_or_path).expanduser()
    single = file.is_file()
    folder = file.parent if single else name_or_path
    if single and config is None and find_file(folder, CONFIG_NAME, **hub, required=False) is None:
        with open_checkpoint(file) as checkpoint:
            if checkpoint.config_fields is None:
                raise FileNotFoundError(
                    f"{file} does not tell what model it holds, and there is no {CONFIG_NAME} beside it; put it there, "
                    "or give it as config"
                )
            described = Wav2Vec2Config.from_dict(checkpoint.config_fields)
            yield checkpoint, _checked(_overridden(described, folder, overrides), checkpoint)
        return
    found = _configuration(config, folder, hub, overrides)
    path = file if single else _find_weights(folder, weight_names, hub)
    with open_checkpoint(path, lambda name: _find_shard(folder, path, name, hub), found) as checkpoint:
        yield checkpoint, _checked(found, checkpoint)


def _configuration(
    config: Wav2Vec2Config | str | Path | None,
    folder: str | Path,
    hub: dict[str, Any],
    overrides: dict[str, Any] | None,
) -> Wav2Vec2Config:
    if not isinstance(config, Wav2Vec2Config):
        file = None if config is None else Path(config).expanduser()
        if file is not None and file.is_file():
            config = Wav2Vec2Config.from_json_file(file)
        else:
            config = Wav2Vec2Config.from_pretrained(folder if config is None else config, **hub)
    return _overridden(config, folder, overrides)


def _overridden(
    config: Wav2Vec2Config, folder: str | Path, overrides: dict[str, Any] | None
) -> Wav2Vec2Config:
    made, unknown = Wav2Vec2Config.from_dict(config.to_dict(), return_unused_kwargs=True, **(overrides or {}))
    if unknown:
        raise TypeError(
            f"from_pretrained got {', '.join(unknown)}: neither an option of its own nor a field of the configuration; "
            "check the spelling"
        )
    made.name_or_path = folder
    return made


def _checked(config: Wav2Vec2Config, checkpoint: Checkpoint) -> Wav2Vec2Config:
    held = sum(math.prod(shape) for shape in checkpoint.shapes.values())
    check_described_size(config, held, checkpoint.path)
    return config


def _find_weights(folder: str | Path, names: Sequence[str], hub: dict[str, Any]) -> Path:
    for name in names:
        path = find_file(folder, name, **hub, required=False)
        if path is not None:
            return path
    raise FileNotFoundError(
        f"{str(folder)!r} has a {CONFIG_NAME} but no weights: none of {', '.join(names)}; download or save the "
        "model again, or check the revision and subfolder"
    )


def _find_shard(folder: str | Path, index: Path, name: str, hub: dict[str, Any]) -> Path:
    beside = index.with_name(name)
    return beside if beside.is_file() else find_file(folder, name, **hub)
