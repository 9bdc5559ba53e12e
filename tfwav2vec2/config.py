"""The architecture of a model as data: every field of the reference's ``Wav2Vec2Config``, and what it does not know kept."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any, ClassVar

from tfwav2vec2.weights.files import PushToHub, find_file, read_json, take_hub_options, write_json

CONFIG_NAME = "config.json"

_WAV2VEC2_DEFAULTS: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout": 0.1,
    "activation_dropout": 0.1,
    "attention_dropout": 0.1,
    "feat_proj_dropout": 0.0,
    "feat_quantizer_dropout": 0.0,
    "final_dropout": 0.1,
    "layerdrop": 0.1,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-5,
    "feat_extract_norm": "group",
    "feat_extract_activation": "gelu",
    "conv_dim": [512, 512, 512, 512, 512, 512, 512],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_bias": False,
    "num_conv_pos_embeddings": 128,
    "num_conv_pos_embedding_groups": 16,
    "do_stable_layer_norm": False,
    "apply_spec_augment": True,
    "mask_time_prob": 0.05,
    "mask_time_length": 10,
    "mask_time_min_masks": 2,
    "mask_feature_prob": 0.0,
    "mask_feature_length": 10,
    "mask_feature_min_masks": 0,
    "num_codevectors_per_group": 320,
    "num_codevector_groups": 2,
    "contrastive_logits_temperature": 0.1,
    "num_negatives": 100,
    "codevector_dim": 256,
    "proj_codevector_dim": 256,
    "diversity_loss_weight": 0.1,
    "ctc_loss_reduction": "sum",
    "ctc_zero_infinity": False,
    "use_weighted_layer_sum": False,
    "classifier_proj_size": 256,
    "tdnn_dim": [512, 512, 512, 512, 1500],
    "tdnn_kernel": [5, 3, 3, 1, 1],
    "tdnn_dilation": [1, 2, 3, 1, 1],
    "xvector_output_dim": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "add_adapter": False,
    "adapter_kernel_size": 3,
    "adapter_stride": 2,
    "num_adapter_layers": 3,
    "output_hidden_size": None,
    "adapter_attn_dim": None,
}

# Fields of every configuration of the reference that these models read.
_COMMON_DEFAULTS: dict[str, Any] = {
    "output_hidden_states": False,
    "output_attentions": False,
    "return_dict": True,
    "architectures": None,
    "id2label": {0: "LABEL_0", 1: "LABEL_1"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
    "problem_type": None,
}

# This package's own field: False gives the reference's unmasked statistics (see ``Wav2Vec2Config``).
_OWN_DEFAULTS: dict[str, Any] = {"feature_norm_mask": True}


class Wav2Vec2Config(PushToHub):
    """The architecture of a wav2vec 2.0 model (reference: ``Wav2Vec2Config`` of transformers 4.57).

    Every field has the reference's name and default. Keys that this class does not know are kept and written back.
    ``feature_norm_mask`` is this package's own: with True (the default) every statistic is taken over valid frames
    alone, so that padding never changes a result; False gives the reference's behaviour.

    Raises:
        ValueError: where the convolutions' lists differ in length, or a field has no valid meaning.
    """

    model_type: ClassVar[str] = "wav2vec2"

    def __init__(self, **fields: Any) -> None:
        labels = fields.pop("num_labels", None)
        for name, default in (_WAV2VEC2_DEFAULTS | _COMMON_DEFAULTS | _OWN_DEFAULTS).items():
            setattr(self, name, copy.deepcopy(fields.pop(name, default)))
        for name in ("conv_dim", "conv_stride", "conv_kernel", "tdnn_dim", "tdnn_kernel", "tdnn_dilation"):
            setattr(self, name, [int(value) for value in getattr(self, name)])
        self.output_hidden_size = self.output_hidden_size or self.hidden_size
        self.id2label = {int(index): label for index, label in (self.id2label or {}).items()}
        if labels is not None and labels != len(self.id2label):
            self.num_labels = labels
        self._name_or_path = str(fields.pop("_name_or_path", fields.pop("name_or_path", "")))
        fields.pop("model_type", None)
        fields.pop("num_feat_extract_layers", None)
        for name, value in fields.items():
            setattr(self, name, value)
        self._check()

    def _check(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("conv_dim", "conv_stride", "conv_kernel")}
        if len(set(lengths.values())) != 1 or not self.conv_dim:
            raise ValueError(
                f"conv_dim, conv_stride and conv_kernel must have one entry for each convolution; got {lengths} entries"
            )
        if self.feat_extract_norm not in ("group", "layer"):
            raise ValueError(
                f"feat_extract_norm is {self.feat_extract_norm!r}; it must be 'group' or 'layer'"
            )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of num_attention_heads {self.num_attention_heads}"
            )
        if self.hidden_size % self.num_conv_pos_embedding_groups:
            raise ValueError(
                f"hidden_size {self.hidden_size} must be a multiple of num_conv_pos_embedding_groups "
                f"{self.num_conv_pos_embedding_groups}"
            )

    @property
    def num_feat_extract_layers(self) -> int:
        """The number of convolutions in the front end."""
        return len(self.conv_dim)

    @property
    def num_labels(self) -> int:
        """The number of classes of a classification head."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        self.id2label = {index: f"LABEL_{index}" for index in range(count)}
        self.label2id = {label: index for index, label in self.id2label.items()}

    @property
    def use_return_dict(self) -> bool:
        """Whether models return output objects rather than tuples."""
        return bool(self.return_dict)

    @property
    def inputs_to_logits_ratio(self) -> int:
        """Samples for one frame: the product of the strides."""
        return math.prod(self.conv_stride)

    @property
    def name_or_path(self) -> str:
        """Where this configuration was loaded from."""
        return self._name_or_path

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain data, ready for JSON; ``from_dict`` gives the same configuration back."""
        fields = {name: copy.deepcopy(value) for name, value in vars(self).items() if name != "_name_or_path"}
        fields["id2label"] = {str(index): label for index, label in self.id2label.items()}
        fields["num_feat_extract_layers"] = self.num_feat_extract_layers
        fields["model_type"] = self.model_type
        if self._name_or_path:
            fields["_name_or_path"] = self._name_or_path
        return fields

    def to_json_string(self) -> str:
        """The fields as JSON with sorted keys, as ``config.json`` holds them."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_dict(cls, fields: dict[str, Any], **overrides: Any) -> Wav2Vec2Config:
        """Build a configuration from plain data; keyword arguments take precedence."""
        model_type = fields.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f"The configuration is for a model of type {model_type!r}; this class reads {cls.model_type!r} only"
            )
        return cls(**{**fields, **overrides})

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Wav2Vec2Config:
        """Read ``config.json`` from a folder or from the hub; fields given as keywords take precedence.

        Raises:
            OSError: where there is no readable ``config.json``.
        """
        hub = take_hub_options(options)
        path = find_file(name_or_path, CONFIG_NAME, **hub)
        return cls.from_dict(read_json(path), **{"_name_or_path": str(name_or_path), **options})

    def save_pretrained(self, folder: str | Path, *, push_to_hub: bool = False, **options: Any) -> None:
        """Write ``config.json`` into a folder, which is made if need be."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        fields = self.to_dict()
        fields.pop("_name_or_path", None)
        write_json(folder / CONFIG_NAME, fields, sort_keys=True)
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), **options)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Wav2Vec2Config) and self.to_dict() == other.to_dict()

    __hash__ = None  # type: ignore[assignment]  # fields can change

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"
