"""State dicts of torchaudio's wav2vec 2.0 models, the pretrained and the fine-tuned (``Wav2Vec2Model``)."""

from __future__ import annotations

import logging
from typing import Any

from tfwav2vec2.weights.checkpoint import Checkpoint, damage_reported
from tfwav2vec2.weights.formats.renaming import NameRule, RenamedCheckpoint, renamed_keys
from tfwav2vec2.weights.formats.shape_fields import fields_of_shapes
from tfwav2vec2.weights.formats.torch_reader import TorchCheckpoint

logger = logging.getLogger(__name__)

# Bundles that torchaudio's own bundle classes wrap keep their model under this; wav2vec2 is pretraining's.
_PREFIX = r"(?:model\.|wav2vec2\.)?"
_ENDS = r"(weight|bias)"

RULES: tuple[NameRule, ...] = (
    (
        _PREFIX + r"feature_extractor\.conv_layers\.(\d+)\.(conv|layer_norm)\." + _ENDS,
        r"wav2vec2.feature_extractor.conv_layers.\1.\2.\3",
    ),
    (
        _PREFIX + r"encoder\.feature_projection\.(layer_norm|projection)\." + _ENDS,
        r"wav2vec2.feature_projection.\1.\2",
    ),
    (
        _PREFIX + r"encoder\.transformer\.pos_conv_embed\.conv\.bias",
        r"wav2vec2.encoder.pos_conv_embed.conv.bias",
    ),
    (
        _PREFIX
        + r"encoder\.transformer\.pos_conv_embed\.conv\.(?:weight_g|parametrizations\.weight\.original0)",
        r"wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    ),
    (
        _PREFIX
        + r"encoder\.transformer\.pos_conv_embed\.conv\.(?:weight_v|parametrizations\.weight\.original1)",
        r"wav2vec2.encoder.pos_conv_embed.conv.parametrizations.weight.original1",
    ),
    (_PREFIX + r"encoder\.transformer\.layer_norm\." + _ENDS, r"wav2vec2.encoder.layer_norm.\1"),
    (
        _PREFIX
        + r"encoder\.transformer\.layers\.(\d+)\.(attention\.(?:[kvq]|out)_proj|(?:final_)?layer_norm"
        + r"|feed_forward\.(?:intermediate|output)_dense)\."
        + _ENDS,
        r"wav2vec2.encoder.layers.\1.\2.\3",
    ),
    (_PREFIX + r"aux\." + _ENDS, r"lm_head.\1"),
    (r"mask_generator\.mask_embedding", r"wav2vec2.masked_spec_embed"),
)

_FIRST_CONV = "feature_extractor.conv_layers.0.conv.weight"
_PROJECTION = "encoder.feature_projection.projection.weight"
_PREFIXES = ("", "model.", "wav2vec2.")

_KERNELS = [10, 3, 3, 3, 3, 2, 2]
_STRIDES = [5, 2, 2, 2, 2, 2, 2]
# The published sizes: base, large, XLS-R 1B and XLS-R 2B.
_HEADS = {768: 12, 1024: 16, 1280: 16, 1920: 16}
_HEAD_WIDTH = 64


def torchaudio_view(checkpoint: TorchCheckpoint) -> Checkpoint | None:
    """A state dict of torchaudio under the torch keys of this package; None where the file is of another kind.

    ``config_fields`` are read off the shapes of the tensors. What leaves no trace in them is as in torchaudio's
    bundles: strides 5, 2, 2, ... ; 12 heads at width 768, 16 at 1024, 1280 and 1920; norms before the layers
    (``do_stable_layer_norm``) where every convolution has a norm, after them where only the first has one. For sizes
    that no bundle has, heads are taken to be 64 wide, with a warning: give ``num_attention_heads`` and ``conv_stride``
    if the model was built with others. Outputs have no symbols in the file: torchaudio keeps them in its source.

    Raises:
        CheckpointError: for parts that wav2vec 2.0 has no counterpart of, such as WavLM's or HuBERT's pretraining's.
    """
    if not any(
        prefix + _FIRST_CONV in checkpoint.shapes and prefix + _PROJECTION in checkpoint.shapes
        for prefix in _PREFIXES
    ):
        return None
    view = RenamedCheckpoint(checkpoint, renamed_keys(checkpoint, RULES, "torchaudio"))
    with damage_reported(view.path):
        view.config_fields = _with_conventions(view, fields_of_shapes(view.shapes))
    return view


def _with_conventions(view: Checkpoint, fields: dict[str, Any]) -> dict[str, Any]:
    hidden = fields["hidden_size"]
    heads = _HEADS.get(hidden) or max(1, hidden // _HEAD_WIDTH)
    strides = _STRIDES[:1] + [_STRIDES[1]] * (len(fields["conv_kernel"]) - 1)
    if hidden not in _HEADS or fields["conv_kernel"] != _KERNELS:
        logger.warning(
            "%s has no size of torchaudio's bundles, and its tensors do not tell num_attention_heads and conv_stride: "
            "taken to be %s and %s; give the right ones if they differ",
            view.path,
            heads,
            strides,
        )
    return fields | {
        "num_attention_heads": heads,
        "conv_stride": strides,
        "do_stable_layer_norm": fields["feat_extract_norm"] == "layer",
    }
