"""The fields of a configuration: their names, defaults, types and plain form."""

from __future__ import annotations

import numbers
from typing import Any

WAV2VEC2_DEFAULTS: dict[str, Any] = {
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

# Fields of every configuration of the reference. They are written only where they differ from these values.
COMMON_DEFAULTS: dict[str, Any] = {
    "return_dict": True,
    "output_hidden_states": False,
    "output_attentions": False,
    "torchscript": False,
    "dtype": None,
    "pruned_heads": {},
    "tie_word_embeddings": True,
    "chunk_size_feed_forward": 0,
    "is_encoder_decoder": False,
    "is_decoder": False,
    "cross_attention_hidden_size": None,
    "add_cross_attention": False,
    "tie_encoder_decoder": False,
    "architectures": None,
    "finetuning_task": None,
    "task_specific_params": None,
    "problem_type": None,
    "tokenizer_class": None,
    "prefix": None,
    "sep_token_id": None,
    "decoder_start_token_id": None,
}

# This package's own fields, written only where they differ from these values.
OWN_DEFAULTS: dict[str, Any] = {"feature_norm_mask": True, "word_delimiter_token_id": None}

_LISTS = ("conv_dim", "conv_stride", "conv_kernel", "tdnn_dim", "tdnn_kernel", "tdnn_dilation")
_OPTIONAL = ("pad_token_id", "bos_token_id", "eos_token_id", "output_hidden_size", "adapter_attn_dim")
PROBLEM_TYPES = (None, "regression", "single_label_classification", "multi_label_classification")

# Keys that a file holds and that the class computes or that belong to one download.
COMPUTED = (
    "model_type",
    "num_feat_extract_layers",
    "inputs_to_logits_ratio",
    "use_return_dict",
    "_commit_hash",
)


def plain(name: str, value: Any) -> Any:
    """The value as JSON can hold it: tuples as lists, label indices as integers, dtypes by name."""
    if name in _LISTS and isinstance(value, tuple):
        return list(value)
    if name == "id2label" and isinstance(value, dict):
        return {int(index): label for index, label in value.items()}
    if name == "dtype" and value is not None and not isinstance(value, str):
        return getattr(value, "name", None) or getattr(value, "__name__", None) or str(value).split(".")[-1]
    return value


def check_type(name: str, value: Any, default: Any) -> None:
    """Refuse what a model would only trip over later, deep inside."""
    if value is None and name in _OPTIONAL:
        return
    if name in _LISTS:
        good = isinstance(value, list) and all(isinstance(item, numbers.Integral) for item in value)
        expected = "a list of integers"
    elif isinstance(default, (bool, int)) or default is None:
        good, expected = (
            isinstance(value, numbers.Integral),
            "a boolean" if isinstance(default, bool) else "an integer",
        )
    elif isinstance(default, float):
        good, expected = isinstance(value, numbers.Real), "a number"
    else:
        good, expected = isinstance(value, str), "a string"
    if not good:
        raise TypeError(f"{name} must be {expected}; got {value!r}")
