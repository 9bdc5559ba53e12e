"""Models from the hub and to it: ``from_pretrained``, ``save_pretrained``, ``push_to_hub``."""

from __future__ import annotations

import copy
import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from tfwav2vec2.backbone.initializers import skip_initialization
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.config import CONFIG_NAME, Wav2Vec2Config
from tfwav2vec2.weights.files import PushToHub, take_hub_options
from tfwav2vec2.weights.model_files import (
    FLAX_NAMES,
    TF_NAMES,
    TORCH_NAMES,
    WEIGHT_NAMES,
    open_model_files,
)
from tfwav2vec2.weights.readers import open_checkpoint
from tfwav2vec2.weights.variables import Strictness, fill, tensors
from tfwav2vec2.weights.writers import write_checkpoint


class PretrainedModel(PushToHub):
    """Gives a Keras model of this package the ways to and from the hub (reference: ``PreTrainedModel``)."""

    config: Wav2Vec2Config

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        *,
        config: Wav2Vec2Config | str | Path | None = None,
        strict: Strictness = True,
        ignore_mismatched_sizes: bool = False,
        dtype: Any = None,
        from_pt: bool = False,
        from_tf: bool = False,
        from_flax: bool = False,
        **options: Any,
    ) -> Self:
        """The model that a folder or the hub holds, ready to run or to train.

        Read are, in this order, ``model.safetensors``, ``pytorch_model.bin``, ``tf_model.h5`` and ``flax_model.msgpack``,
        each in one file or in several with an index, and ``model.keras``. Files of bare models and of models with a
        head serve either: a bare model takes the backbone of a file with a head.

        Args:
            name_or_path: a folder, a name on the hub, or one file of any kind that
                :func:`~tfwav2vec2.weights.readers.open_checkpoint` reads, beside its ``config.json`` where it does not
                describe itself, as those of fairseq, torchaudio and Keras do.
            config: a configuration to use in place of the folder's own, or where to find it.
            strict: whether a tensor that the file lacks, or has too many, is an error. ``"backbone"`` is the way to
                fine-tune: the backbone must be there, the head is initialised as in a new model where the file has
                none that fits. With False whatever is missing is initialised and what is not expected is left out,
                with a warning that lists both. ``masked_spec_embed``, which only training reads and which many
                published files lack, may always be missing.
            ignore_mismatched_sizes: initialise tensors of another shape as in a new model, with a warning that lists
                them; otherwise they are an error.
            dtype: dtype or Keras policy of the model, such as ``"mixed_bfloat16"``; Keras's own by default.
            from_pt, from_tf, from_flax: look for torch's (safetensors among them), TensorFlow's or Flax's files alone.
            options: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download`` and ``subfolder``
                as in :func:`~tfwav2vec2.weights.files.find_file`; all others are fields of the configuration to
                override, such as ``vocab_size`` or ``ctc_loss_reduction``.

        Raises:
            OSError: where files are missing, out of reach, truncated, damaged or hostile.
            ValueError: where the tensors are not those of this model; the message lists them.
            TypeError: for an option that is no field of the configuration.
        """
        hub = take_hub_options(options)
        names = _weight_names(from_pt, from_tf, from_flax)
        with open_model_files(name_or_path, config=config, overrides=options, weight_names=names, **hub) as (
            checkpoint,
            found,
        ):
            with skip_initialization(), _collector_paused():
                model = cls(found, **({} if dtype is None else {"dtype": dtype}))
            unfilled = fill(model, checkpoint, strict, ignore_mismatched_sizes)
        if unfilled:
            _initialise(model, unfilled)
        return model

    def load_checkpoint(
        self, path: str | Path, *, strict: Strictness = True, ignore_mismatched_sizes: bool = False
    ) -> None:
        """Fill this model's variables from one checkpoint file, of any kind that ``from_pretrained`` reads.

        Args:
            path: any that :func:`~tfwav2vec2.weights.readers.open_checkpoint` reads.
            strict: as in :meth:`from_pretrained`; what is missing keeps its present value.
            ignore_mismatched_sizes: as in :meth:`from_pretrained`; tensors of another shape are left out.

        Raises:
            OSError, ValueError: as in :meth:`from_pretrained`; the model is then unchanged, unless the file turns out
                to be damaged in the middle.
        """
        with open_checkpoint(path, config=self.config) as checkpoint:
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


def _weight_names(from_pt: bool, from_tf: bool, from_flax: bool) -> tuple[str, ...]:
    chosen = [
        names
        for names, asked in ((TORCH_NAMES, from_pt), (TF_NAMES, from_tf), (FLAX_NAMES, from_flax))
        if asked
    ]
    return tuple(name for names in chosen for name in names) or WEIGHT_NAMES


def _initialise(model: Any, names: list[str]) -> None:
    """Give variables the values that they have in a new model, drawn in one with no more layers than that takes."""
    layers = [int(found[1]) for name in names if (found := re.search(r"encoder\.layers\.(\d+)\.", name))]
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = 1 + max(layers, default=0)
    drawn = named_variables(type(model)(config))
    variables = named_variables(model)
    for name in names:
        # The layers' shares are as many as all the layers, and have their values since the model was made.
        if name != "layer_weights":
            variables[name].assign(drawn[name])
