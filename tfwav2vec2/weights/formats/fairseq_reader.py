"""fairseq's wav2vec 2.0 checkpoints (``.pt``), pretrained and fine-tuned with CTC, read without fairseq or torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfwav2vec2.weights.checkpoint import Checkpoint, Shape, damage_reported
from tfwav2vec2.weights.formats.fairseq_config import config_fields
from tfwav2vec2.weights.formats.fairseq_dictionary import TOKEN_IDS, vocabulary
from tfwav2vec2.weights.formats.renaming import NameRule, RenamedCheckpoint, renamed_keys
from tfwav2vec2.weights.formats.shape_fields import fields_of_shapes
from tfwav2vec2.weights.formats.torch_reader import TorchCheckpoint

_FINE_TUNED = "w2v_encoder."
# A fine-tuned file holds the encoder under this; what pretraining alone needs is not in it.
_PREFIX = r"(?:w2v_encoder\.w2v_model\.)?"
_LAYER = _PREFIX + r"encoder\.layers\.(\d+)\."
_ENDS = r"(weight|bias)"

RULES: tuple[NameRule, ...] = (
    (_PREFIX + r"mask_emb", r"wav2vec2.masked_spec_embed"),
    (
        _PREFIX + r"feature_extractor\.conv_layers\.(\d+)\.0\." + _ENDS,
        r"wav2vec2.feature_extractor.conv_layers.\1.conv.\2",
    ),
    # A group norm stands by itself, a layer norm between two layers that turn the axes round.
    (
        _PREFIX + r"feature_extractor\.conv_layers\.(\d+)\.2(?:\.1)?\." + _ENDS,
        r"wav2vec2.feature_extractor.conv_layers.\1.layer_norm.\2",
    ),
    (_PREFIX + r"layer_norm\." + _ENDS, r"wav2vec2.feature_projection.layer_norm.\1"),
    (_PREFIX + r"post_extract_proj\." + _ENDS, r"wav2vec2.feature_projection.projection.\1"),
    (_PREFIX + r"encoder\.pos_conv\.0\.bias", r"wav2vec2.encoder.pos_conv_embed.conv.bias"),
    (
        _PREFIX + r"encoder\.pos_conv\.0\.(?:weight_g|parametrizations\.weight\.original0)",
        r"wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    ),
    (
        _PREFIX + r"encoder\.pos_conv\.0\.(?:weight_v|parametrizations\.weight\.original1)",
        r"wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original1",
    ),
    (_PREFIX + r"encoder\.layer_norm\." + _ENDS, r"wav2vec2.encoder.layer_norm.\1"),
    (_LAYER + r"self_attn\.([kvq]|out)_proj\." + _ENDS, r"wav2vec2.encoder.layers.\1.attention.\2_proj.\3"),
    (_LAYER + r"self_attn_layer_norm\." + _ENDS, r"wav2vec2.encoder.layers.\1.layer_norm.\2"),
    (_LAYER + r"fc1\." + _ENDS, r"wav2vec2.encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (_LAYER + r"fc2\." + _ENDS, r"wav2vec2.encoder.layers.\1.feed_forward.output_dense.\2"),
    (_LAYER + r"final_layer_norm\." + _ENDS, r"wav2vec2.encoder.layers.\1.final_layer_norm.\2"),
    (_LAYER + r"adapter_layer\.W_a", r"wav2vec2.encoder.layers.\1.adapter_layer.linear_1.weight"),
    (_LAYER + r"adapter_layer\.b_a", r"wav2vec2.encoder.layers.\1.adapter_layer.linear_1.bias"),
    (_LAYER + r"adapter_layer\.W_b", r"wav2vec2.encoder.layers.\1.adapter_layer.linear_2.weight"),
    (_LAYER + r"adapter_layer\.b_b", r"wav2vec2.encoder.layers.\1.adapter_layer.linear_2.bias"),
    (_LAYER + r"adapter_layer\.ln_W", r"wav2vec2.encoder.layers.\1.adapter_layer.norm.weight"),
    (_LAYER + r"adapter_layer\.ln_b", r"wav2vec2.encoder.layers.\1.adapter_layer.norm.bias"),
    (r"quantizer\.vars", r"quantizer.codevectors"),
    (r"quantizer\.weight_proj\." + _ENDS, r"quantizer.weight_proj.\1"),
    (r"project_q\." + _ENDS, r"project_q.\1"),
    (r"final_proj\." + _ENDS, r"project_hid.\1"),
    (r"w2v_encoder\.proj\." + _ENDS, r"lm_head.\1"),
)


def fairseq_view(checkpoint: TorchCheckpoint) -> Checkpoint | None:
    """A fairseq checkpoint under the torch keys of this package; None where the file is of another kind.

    ``config_fields`` are the file's own options, checked against the shapes of its tensors; None where a fine-tuned
    file does not bring the options of the model that it started from. ``vocabulary`` is the dictionary inside the
    file, or the file ``dict.ltr.txt`` (or another ``dict.*.txt``, if it is the only one) beside it. fairseq's blank is
    symbol 0, ``<s>``, and the reference's is ``<pad>``: the two change names, so that outputs keep their order.

    Raises:
        CheckpointError: for a model that is no wav2vec 2.0, options that contradict the tensors, or a dictionary that
            does not fit.
    """
    return None if checkpoint.training is None else FairseqCheckpoint(checkpoint, checkpoint.training)


class FairseqCheckpoint(RenamedCheckpoint):
    """What :func:`fairseq_view` gives."""

    def __init__(self, source: TorchCheckpoint, training: dict[Any, Any]) -> None:
        super().__init__(source, renamed_keys(source, RULES, "fairseq"))
        fine_tuned = any(key.startswith(_FINE_TUNED) for key in source.shapes)
        with damage_reported(self.path):
            self.shapes = {key: _of_one_language(key, shape) for key, shape in self.shapes.items()}
            self.config_fields = _checked(config_fields(training, fine_tuned), self.shapes)
            if "lm_head.weight" in self.shapes:
                self.vocabulary = vocabulary(self.path, training, self.shapes["lm_head.weight"][0])

    def read(self, key: str) -> np.ndarray:
        """The tensor with this key."""
        return super().read(key).reshape(self.shapes[key])


def _of_one_language(key: str, shape: Shape) -> Shape:
    """fairseq stacks adapters of several languages in one tensor; the reference has one adapter to a layer."""
    if ".adapter_layer." not in key:
        return shape
    if shape[:1] != (1,):
        raise ValueError(f"its {key} is not one language's adapter")
    return shape[1:]


def _checked(described: dict[str, Any] | None, shapes: dict[str, Shape]) -> dict[str, Any] | None:
    """What the options say, which must be what the tensors show, and the rest of what the tensors show."""
    if described is None:
        return None
    for field, shown in fields_of_shapes(shapes).items():
        if described.setdefault(field, shown) != shown:
            raise ValueError(f"by its options {field} is {described[field]}, by its tensors {shown}")
    if described["mask_time_prob"] == described["mask_feature_prob"] == 0:
        # The reference has a masked_spec_embed only where masks may be drawn, and the file always has one.
        del described["mask_time_prob"]
        described["apply_spec_augment"] = False
    return described | TOKEN_IDS
