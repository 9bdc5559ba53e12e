"""Models from the hub and to it: ``from_pretrained``, ``save_pretrained``, ``push_to_hub``."""

from __future__ import annotations

import copy
import gc
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tfwav2vec2.backbone.initializers import skip_initialization
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.config import CONFIG_NAME, Wav2Vec2Config
from tfwav2vec2.weights.files import PushToHub, find_file, take_hub_options
from tfwav2vec2.weights.readers import Checkpoint, open_checkpoint
from tfwav2vec2.weights.variables import fill, tensors
from tfwav2vec2.weights.writers import SAFE_INDEX_NAME, SAFE_NAME, write_checkpoint

# In the order in which they are looked for: safetensors before pickles.
WEIGHT_NAMES = (SAFE_NAME, SAFE_INDEX_NAME, "pytorch_model.bin", "pytorch_model.bin.index.json")

# A new head, or layers added to a pretrained model, make it larger than its file, but never this many times.
_LARGEST_GROWTH = 8


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
                way to put a new head on a pretrained backbone. ``masked_spec_embed``, which only training reads and
                which many published files lack, may always be missing.
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
            _check_size(config, checkpoint)
            with skip_initialization(), _collector_paused():
                model = cls(config, **({} if dtype is None else {"dtype": dtype}))
            unfilled = fill(model, checkpoint, strict, ignore_mismatched_sizes)
        if unfilled:
            _initialise(model, unfilled)
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
            fill(self, checkpoint, strict, ignore_mismatched_sizes)

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
            TypeError, ValueError: for an option that does not exist or has no such value.
        """
        if not safe_serialization:
            raise ValueError("Only safetensors are written (safe_serialization=True): pickles can run code")
        if options and not push_to_hub:
            raise TypeError(
                f"save_pretrained got {', '.join(options)}, which only push_to_hub=True has a use for"
            )
        folder = Path(folder)
        if folder.is_file():
            raise NotADirectoryError(f"{folder} is a file; give the name of a folder to save the model in")
        folder.mkdir(parents=True, exist_ok=True)
        config = copy.deepcopy(self.config)
        config.architectures = [type(self).__name__.removeprefix("TF")]
        # Newer readers take the dtype from here rather than from the file.
        config.dtype = self.variable_dtype
        write_checkpoint(folder, tensors(self), max_shard_size, {CONFIG_NAME: config.to_json_string()})
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), max_shard_size=max_shard_size, **options)


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Python looks for garbage after every few thousand new objects, among all of TensorFlow's: a model's stay anyway."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _configuration(
    config: Wav2Vec2Config | str | Path | None,
    folder: str | Path,
    hub: dict[str, Any],
    overrides: dict[str, Any],
) -> Wav2Vec2Config:
    if isinstance(config, Wav2Vec2Config):
        made, unknown = Wav2Vec2Config.from_dict(config.to_dict(), return_unused_kwargs=True, **overrides)
    else:
        source = folder if config is None else config
        made, unknown = Wav2Vec2Config.from_pretrained(source, return_unused_kwargs=True, **hub, **overrides)
    if unknown:
        raise TypeError(
            f"from_pretrained got {', '.join(unknown)}: neither an option of its own nor a field of the configuration; "
            "check the spelling"
        )
    made.name_or_path = folder
    return made


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


def _initialise(model: Any, names: list[str]) -> None:
    """Give variables the values that they have in a new model, drawn in one with no more layers than that takes."""
    layers = [int(found[1]) for name in names if (found := re.search(r"encoder\.layers\.(\d+)\.", name))]
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = 1 + max(layers, default=0)
    drawn = named_variables(type(model)(config))
    variables = named_variables(model)
    for name in names:
        variables[name].assign(drawn[name])


def _check_size(config: Wav2Vec2Config, checkpoint: Checkpoint) -> None:
    """Refuse a configuration that describes a far larger model than the file holds, before memory is taken for it.

    Raises:
        ValueError: for such a pair.
    """
    hidden, output = config.hidden_size, config.output_hidden_size
    described = (
        config.num_hidden_layers * (4 * hidden**2 + 2 * hidden * config.intermediate_size)
        + sum(
            a * b * k
            for a, b, k in zip([1, *config.conv_dim], config.conv_dim, config.conv_kernel, strict=False)
        )
        + config.num_conv_pos_embeddings * hidden**2 // config.num_conv_pos_embedding_groups
        + (config.vocab_size or 0) * hidden
        + config.add_adapter * config.num_adapter_layers * 2 * output**2 * config.adapter_kernel_size
    )
    held = sum(math.prod(shape) for shape in checkpoint.shapes.values())
    if described > _LARGEST_GROWTH * held:
        raise ValueError(
            f"The configuration describes a model of {described:,} weights or more, and {checkpoint.path} holds {held:,}; "
            "check that the file and its config.json belong together"
        )
