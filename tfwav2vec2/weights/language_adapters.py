"""A language's adapters and head in a file of their own, as multilingual models (MMS) have them."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import keras

from tfwav2vec2.backbone.adapters import AttentionAdapter
from tfwav2vec2.backbone.initializers import skip_initialization
from tfwav2vec2.backbone.naming import named_variables
from tfwav2vec2.weights.checkpoint import Checkpoint
from tfwav2vec2.weights.files import HUB_OPTIONS, find_file, take_hub_options
from tfwav2vec2.weights.formats.safetensors_writer import write_safetensors
from tfwav2vec2.weights.key_map import torch_keys
from tfwav2vec2.weights.readers import open_checkpoint
from tfwav2vec2.weights.variables import assign, filled_elsewhere, tensors, torch_shape

if TYPE_CHECKING:
    from tfwav2vec2.heads.task_model import TFWav2Vec2TaskModel as _Model
else:
    _Model = object

logger = logging.getLogger(__name__)

# In the order in which they are looked for: safetensors before pickles.
_FILES = ("adapter.{}.safetensors", "adapter.{}.bin")
# Such as "fra" or "azj-script_latin". Without separators of paths, so that no name leads out of the model's folder.
_LANGUAGE = re.compile(r"[\w.-]{1,64}")
_ADAPTER = re.compile(r"(.+\.adapter_layer|lm_head)\..+")


class LanguageAdapters(_Model):
    """Gives a CTC model one set of attention adapters and one head a language, and the ways to switch them.

    The languages are files named ``adapter.<language>.safetensors`` (or ``.bin``) beside the model's own; the rest of
    the model serves all of them and is never read again. Reference: ``load_adapter``, ``init_adapter_layers`` and
    ``_get_adapters`` of ``Wav2Vec2PreTrainedModel``.
    """

    target_lang: str | None = None

    if TYPE_CHECKING:  # the class that mixes this in has it
        lm_head: Any

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, *, target_lang: str | None = None, **options: Any
    ) -> Self:
        """The model that a folder or the hub holds, ready to run or to train, in one of its languages.

        Args:
            name_or_path: as in :meth:`~tfwav2vec2.weights.hub.PretrainedModel.from_pretrained`.
            target_lang: the language whose adapters and head to read, as :meth:`load_adapter` does. They take the place
                of those in the model's own file, which may lack them or have a head of another size.
            options: all that :meth:`~tfwav2vec2.weights.hub.PretrainedModel.from_pretrained` takes.

        Raises:
            OSError, TypeError: as there.
            ValueError: as there, and for a ``target_lang`` where ``config.adapter_attn_dim`` is None.
        """
        if target_lang is None:
            return super().from_pretrained(name_or_path, **options)
        _check_language(target_lang)
        with filled_elsewhere(_is_adapter):
            model = super().from_pretrained(name_or_path, **options)
        model.load_adapter(target_lang, **{name: options[name] for name in HUB_OPTIONS if name in options})
        return model

    def load_adapter(self, target_lang: str, force_load: bool = True, **hub_options: Any) -> None:
        """Switch to a language: read its adapters and its head, whatever its number of letters.

        The file is looked for where the model came from (``config.name_or_path``), safetensors first, then ``.bin``.
        The tokenizer is switched on its own, by :meth:`~tfwav2vec2.Wav2Vec2CTCTokenizer.set_target_lang`. All or
        nothing: after an error the model is as it was.

        A language with another number of letters brings a new head, so that a model that was compiled has to be
        compiled again: its optimizer belongs to the old one. A ``tf.function`` of your own has to be made again too.

        Args:
            target_lang: the language's name in the file's, for MMS its ISO 639-3 code, such as ``"fra"``.
            force_load: whether the file is read even where the model is in this language already.
            hub_options: ``revision``, ``token``, ``cache_dir``, ``local_files_only``, ``force_download`` and ``subfolder``
                as in :meth:`from_pretrained`.

        Raises:
            OSError: where the language has no file, or the file is out of reach, damaged or hostile.
            ValueError: where ``config.adapter_attn_dim`` is None, the language's name is none, or the file's tensors are
                not those of this model's adapters; the message lists them.
            TypeError: for an option that does not exist.
        """
        hub = take_hub_options(hub_options)
        if hub_options:
            raise TypeError(
                f"load_adapter got {', '.join(hub_options)}, which are no options of it; it takes force_load and "
                f"{', '.join(HUB_OPTIONS)}"
            )
        self._check_has_adapters()
        _check_language(target_lang)
        if target_lang == self.target_lang and not force_load:
            logger.info("The adapters of %r are loaded already; they are kept", target_lang)
            return
        variables = self.adapter_variables()
        with open_checkpoint(_find_adapter(self.config.name_or_path, target_lang, hub)) as checkpoint:
            letters = _check_tensors(checkpoint, variables)
            arrays = {name: checkpoint.read(_key(name)) for name in variables}
        if letters != self.lm_head.kernel.shape[-1]:
            self._replace_head(letters)
            variables = self.adapter_variables()
        for name, variable in variables.items():
            assign(name, variable, arrays[name])
        self.config.vocab_size = letters
        self.target_lang = target_lang

    def save_adapter(self, folder: str | Path, target_lang: str | None = None) -> Path:
        """Write this model's adapters and head to ``adapter.<language>.safetensors``, from where languages are loaded.

        ``transformers`` reads the file. A save that fails leaves what was there.

        Args:
            folder: where to write; it is made if need be.
            target_lang: the language's name; the model's own by default.

        Returns:
            The path of the file.

        Raises:
            OSError: where the folder cannot be written to.
            ValueError: where there are no adapters, or no name or none that can be part of a file's name.
        """
        variables = self.adapter_variables()
        target_lang = self.target_lang if target_lang is None else target_lang
        _check_language(target_lang)
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / _FILES[0].format(target_lang)
        everything = tensors(self)
        write_safetensors(path, {key: everything[key] for key in map(_key, variables)})
        return path

    def adapter_variables(self) -> dict[str, keras.Variable]:
        """What belongs to the language, by dotted name: the adapters of every layer, and the head.

        Reference: ``_get_adapters``.

        Raises:
            ValueError: where ``config.adapter_attn_dim`` is None.
        """
        self._check_has_adapters()
        return {name: variable for name, variable in named_variables(self).items() if _is_adapter(name)}

    def init_adapter_layers(self) -> None:
        """Draw the adapters and the head anew, as in a new model: where training for a new language starts.

        The reference's method of this name draws the head alone and leaves the adapters as they are.

        Raises:
            ValueError: where ``config.adapter_attn_dim`` is None.
        """
        self._check_has_adapters()
        for layer in self.wav2vec2.encoder.layers:
            if layer.adapter_layer is not None:
                _copy(self.make_part(AttentionAdapter, self.config), layer.adapter_layer)
        _copy(self._make_head(self.lm_head.kernel.shape[-1]), self.lm_head)
        self.target_lang = None

    def freeze_all_but_adapters(self) -> None:
        """Let training change the language's adapters and head alone; call it before ``compile``.

        Raises:
            ValueError: where ``config.adapter_attn_dim`` is None.
        """
        self.train_only(self.adapter_variables().values())

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data, and the language, for ``.keras`` files."""
        return super().get_config() | {"target_lang": self.target_lang}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """The model that :meth:`get_config` described, with new weights."""
        model = super().from_config(config, custom_objects)
        model.target_lang = config.get("target_lang")
        return model

    def _check_has_adapters(self) -> None:
        if self.config.adapter_attn_dim is None:
            raise ValueError(
                f"This {type(self).__name__} has no adapters for languages: config.adapter_attn_dim is None; take a "
                "multilingual checkpoint such as facebook/mms-1b-all, or set adapter_attn_dim and "
                "do_stable_layer_norm=True in the configuration of a new model"
            )

    def _make_head(self, letters: int) -> keras.layers.Dense:
        with keras.name_scope(self.name):
            return self.make_dense(self.head_width, letters, "lm_head")

    def _replace_head(self, letters: int) -> None:
        """Put a head of another size in the place of the present one, its values to be assigned."""
        old = self.lm_head
        with skip_initialization():
            new = self._make_head(letters)
        new.trainable = old.trainable
        new.kernel.trainable, new.bias.trainable = old.kernel.trainable, old.bias.trainable
        # Setting an attribute leaves what it held before among the model's layers, and so among its weights.
        self._tracker.untrack(old)
        self.lm_head = new
        # Compiled functions hold the old head, and so does the optimizer.
        self.forget_compiled()


def _is_adapter(name: str) -> bool:
    """Whether a variable's name, or a tensor's key, is that of an adapter or of the head."""
    return _ADAPTER.fullmatch(name) is not None


def _key(variable: str) -> str:
    return torch_keys(variable)[0]


def _check_language(language: Any) -> None:
    if not isinstance(language, str) or not _LANGUAGE.fullmatch(language):
        raise ValueError(
            f"target_lang is {str(language)[:100]!r}; it must be the name of a language, of letters, digits, '-', '_' "
            "and '.', such as 'fra' or 'azj-script_latin'"
        )


def _find_adapter(name_or_path: str, language: str, hub: dict[str, Any]) -> Path:
    names = [name.format(language) for name in _FILES]
    if not name_or_path:
        raise FileNotFoundError(
            f"There is nowhere to look for {names[0]}: the model was not read from a folder or from the hub; set "
            "config.name_or_path to where its languages are"
        )
    for name in names:
        path = find_file(name_or_path, name, required=False, **hub)
        if path is not None:
            return path
    raise FileNotFoundError(
        f"{name_or_path!r} has no adapters for the language {language!r}: neither {' nor '.join(names)} is there; check "
        "the language's name, and the revision and subfolder"
    )


def _check_tensors(checkpoint: Checkpoint, variables: dict[str, keras.Variable]) -> int:
    """How many letters the head in a language's file has, once its tensors are known to be this model's.

    Raises:
        ValueError: for tensors that are missing, not expected or of another shape; the message lists them all.
    """
    shapes = checkpoint.shapes
    expected = {_key(name): torch_shape(name, variable) for name, variable in variables.items()}
    letters = next(iter(shapes.get("lm_head.weight", ())), 0)
    for key in ("lm_head.weight", "lm_head.bias"):
        expected[key] = (letters, *expected[key][1:])
    wrong = [
        f"{key} (file {shapes[key]}, model {shape})"
        for key, shape in expected.items()
        if key in shapes and (shapes[key] != shape or 0 in shape)
    ]
    problems = {
        "missing": [key for key in expected if key not in shapes],
        "not expected": [key for key in shapes if key not in expected],
        "of another shape": wrong,
    }
    if any(problems.values()):
        lines = [f"  {kind}: {', '.join(keys)}" for kind, keys in problems.items() if keys]
        raise ValueError(
            "\n".join(
                [
                    f"The tensors of {checkpoint.path} are not this model's adapters",
                    *lines,
                    "Check that the file belongs to this model, whose config.adapter_attn_dim counts.",
                ]
            )
        )
    return letters


def _copy(source: keras.layers.Layer, target: keras.layers.Layer) -> None:
    values = named_variables(source)
    for name, variable in named_variables(target).items():
        variable.assign(values[name])
