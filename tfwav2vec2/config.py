"""The architecture of a model as data: every field of the reference's ``Wav2Vec2Config``, and what it does not know kept."""

from __future__ import annotations

import copy
import inspect
import json
import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tfwav2vec2.config_fields import (
    COMMON_DEFAULTS,
    COMPUTED,
    OWN_DEFAULTS,
    PROBLEM_TYPES,
    WAV2VEC2_DEFAULTS,
    check_type,
    plain,
)
from tfwav2vec2.weights.files import PushToHub, find_file, read_json, take_hub_options, write_atomically

logger = logging.getLogger(__name__)

CONFIG_NAME = "config.json"


def _numbered(count: int) -> dict[int, str]:
    return {index: f"LABEL_{index}" for index in range(count)}


_TWO_LABELS = {"id2label": _numbered(2), "label2id": {"LABEL_0": 0, "LABEL_1": 1}}


class Wav2Vec2Config(PushToHub):
    """The architecture of a wav2vec 2.0 model (reference: ``Wav2Vec2Config`` of transformers 4.57).

    Every field has the reference's name, default and position. Keys that this class does not know are kept as
    attributes and written back. ``feature_norm_mask`` is this package's own: with True (the default) every statistic
    is taken over valid frames alone, so that padding never changes a result; False gives the reference's behaviour.
    ``word_delimiter_token_id`` is too: the token between words, which the word error rate of ``fit`` has to know.

    ``label2id`` follows from ``id2label`` unless both are given; where ``num_labels`` contradicts ``id2label``, the
    latter counts, as in the reference.

    Raises:
        TypeError: for a field whose value is of another type than its default.
        ValueError: where the convolutions' lists differ in length, or a field has no valid meaning.
    """

    model_type: ClassVar[str] = "wav2vec2"

    if TYPE_CHECKING:  # the fields are set from a table
        output_hidden_size: int

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, *positional: Any, **fields: Any) -> None:
        fields = _by_name(positional, fields)
        for name in COMPUTED:
            fields.pop(name, None)
        self._name_or_path = str(fields.pop("_name_or_path", fields.pop("name_or_path", "")))
        self._set_labels(
            fields.pop("num_labels", None), fields.pop("id2label", None), fields.pop("label2id", None)
        )
        fields["dtype"] = fields.get("dtype") or fields.pop("torch_dtype", None)
        fields.pop("torch_dtype", None)
        for name, default in (WAV2VEC2_DEFAULTS | COMMON_DEFAULTS | OWN_DEFAULTS).items():
            setattr(self, name, copy.deepcopy(fields.pop(name, default)))
        if not self.output_hidden_size:
            self.output_hidden_size = self.hidden_size
        for name, value in fields.items():
            setattr(self, name, value)
        self._check()

    def __setattr__(self, name: str, value: Any) -> None:
        if callable(getattr(type(self), name, None)):
            raise ValueError(f"{name!r} is a method of the configuration and cannot be one of its fields")
        super().__setattr__(name, plain(name, value))

    def _set_labels(self, count: int | None, id2label: Any, label2id: Any) -> None:
        for name, labels in (("id2label", id2label), ("label2id", label2id)):
            if labels is not None and not isinstance(labels, dict):
                raise TypeError(f"{name} must be a dictionary; got a {type(labels).__name__}")
        if id2label is None:
            self.id2label, label2id = _numbered(2 if count is None else count), None
        else:
            self.id2label = id2label
            if count not in (None, len(id2label)):
                logger.warning(
                    "num_labels=%s contradicts id2label, which has %s labels and counts", count, len(id2label)
                )
        self.label2id = label2id or {label: index for index, label in self.id2label.items()}

    def _check(self) -> None:
        for name, default in WAV2VEC2_DEFAULTS.items():
            check_type(name, getattr(self, name), default)
        lengths = {name: len(getattr(self, name)) for name in ("conv_dim", "conv_stride", "conv_kernel")}
        if len(set(lengths.values())) != 1 or not self.conv_dim:
            raise ValueError(
                f"conv_dim, conv_stride and conv_kernel must have one entry for each convolution; got {lengths} entries"
            )
        if self.feat_extract_norm not in ("group", "layer"):
            raise ValueError(
                f"feat_extract_norm is {self.feat_extract_norm!r}; it must be 'group' or 'layer'"
            )
        for divisor in ("num_attention_heads", "num_conv_pos_embedding_groups"):
            if getattr(self, divisor) < 1 or self.hidden_size % getattr(self, divisor):
                raise ValueError(
                    f"hidden_size {self.hidden_size} must be a multiple of {divisor} {getattr(self, divisor)}"
                )
        if self.problem_type not in PROBLEM_TYPES:
            raise ValueError(
                f"problem_type is {self.problem_type!r}; it must be one of {', '.join(map(repr, PROBLEM_TYPES))}"
            )

    @property
    def num_feat_extract_layers(self) -> int:
        """The number of convolutions in the front end."""
        return len(self.conv_dim)

    @property
    def num_labels(self) -> int:
        """The number of classes of a classification head; setting another number renames them all."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != len(self.id2label):
            self._set_labels(count, None, None)

    @property
    def use_return_dict(self) -> bool:
        """Whether models return output objects rather than tuples."""
        return bool(self.return_dict and not self.torchscript)

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Samples for one frame: the product of the strides."""
        return math.prod(self.conv_stride)

    @property
    def name_or_path(self) -> str:
        """Where this configuration was loaded from."""
        return self._name_or_path

    @name_or_path.setter
    def name_or_path(self, value: str | Path) -> None:
        self._name_or_path = str(value)

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain data; ``from_dict`` gives the same configuration back."""
        fields = copy.deepcopy(vars(self))
        fields["num_feat_extract_layers"] = self.num_feat_extract_layers
        fields["model_type"] = self.model_type
        return fields

    def to_diff_dict(self) -> dict[str, Any]:
        """What ``config.json`` holds: the fields of this architecture, and of all others those off their defaults."""
        defaults = COMMON_DEFAULTS | OWN_DEFAULTS | _TWO_LABELS | {"_name_or_path": self._name_or_path}
        fields = self.to_dict().items()
        return {name: value for name, value in fields if name not in defaults or value != defaults[name]}

    def to_json_string(self, use_diff: bool = True) -> str:
        """The fields as JSON with sorted keys; with ``use_diff`` as ``config.json`` holds them."""
        fields = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, path: str | Path, use_diff: bool = True) -> None:
        """Write :meth:`to_json_string` to a file; an old file is replaced only once all is written."""
        text = self.to_json_string(use_diff)
        with write_atomically(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @classmethod
    def from_json_file(cls, path: str | Path) -> Wav2Vec2Config:
        """Read a configuration from one JSON file.

        Raises:
            OSError: where the file is missing or is not a JSON object.
            TypeError, ValueError: as the class does.
        """
        return cls.from_dict(read_json(path))

    @classmethod
    def from_dict(cls, fields: dict[str, Any], **overrides: Any) -> Any:
        """Build a configuration from plain data; keyword arguments that name a field take precedence.

        As in the reference, keyword arguments that name no field are left out; with ``return_unused_kwargs=True``
        the answer is ``(config, those)``.
        """
        return_unused = overrides.pop("return_unused_kwargs", False)
        model_type = fields.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f"The configuration is for a model of type {model_type!r}; this class reads {cls.model_type!r} only"
            )
        config = cls(**fields)
        known = {name: value for name, value in overrides.items() if hasattr(config, name)}
        config._override(known)
        unused = {name: value for name, value in overrides.items() if name not in known}
        if return_unused:
            return config, unused
        if unused:
            logger.warning("No field of the configuration is named %s; ignored", ", ".join(unused))
        return config

    def _override(self, fields: dict[str, Any]) -> None:
        count, id2label = fields.get("num_labels"), fields.get("id2label")
        if count is not None and id2label is not None and count != len(id2label):
            raise ValueError(
                f"num_labels={count} contradicts the {len(id2label)} labels of id2label; give one of the two"
            )
        self.update(fields)
        if id2label is not None and "label2id" not in fields:
            self._set_labels(None, id2label, None)
        self._check()

    def update(self, fields: dict[str, Any]) -> None:
        """Set several fields at once, known or not."""
        for name, value in fields.items():
            if name not in COMPUTED:
                setattr(self, name, value)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Any:
        """Read ``config.json`` from a folder or from the hub; fields given as keywords take precedence.

        Args:
            name_or_path: a folder, or a name on the hub.
            options: the hub's options (:data:`tfwav2vec2.weights.files.HUB_OPTIONS`), fields to override, and
                ``return_unused_kwargs`` as in :meth:`from_dict`.

        Raises:
            OSError: where there is no readable ``config.json``.
            TypeError, ValueError: where it is no configuration of a wav2vec 2.0 model; the message names the file.
        """
        path = find_file(name_or_path, CONFIG_NAME, **take_hub_options(options))
        fields = read_json(path)
        try:
            return cls.from_dict({**fields, "_name_or_path": str(name_or_path)}, **options)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{path}: {error}") from None

    def save_pretrained(self, folder: str | Path, *, push_to_hub: bool = False, **options: Any) -> None:
        """Write ``config.json`` into a folder, which is made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.to_json_file(folder / CONFIG_NAME)
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), **options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wav2Vec2Config) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # fields can change

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def _by_name(positional: tuple[Any, ...], fields: dict[str, Any]) -> dict[str, Any]:
    if len(positional) > len(WAV2VEC2_DEFAULTS):
        raise TypeError(
            f"Wav2Vec2Config takes at most {len(WAV2VEC2_DEFAULTS)} arguments by position; got {len(positional)}"
        )
    by_position = dict(zip(WAV2VEC2_DEFAULTS, positional, strict=False))
    twice = by_position.keys() & fields.keys()
    if twice:
        raise TypeError(f"Wav2Vec2Config got {', '.join(sorted(twice))} both by position and by name")
    return by_position | fields


# So that help() and editors show every field with its default.
Wav2Vec2Config.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by inspect.signature
    [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in WAV2VEC2_DEFAULTS.items()
    ]
    + [inspect.Parameter("fields", inspect.Parameter.VAR_KEYWORD)]
)
