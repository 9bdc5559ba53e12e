"""How much SpecAugment hides while a model is fine-tuned, by the hours of speech that are labelled."""

from __future__ import annotations

from typing import Any, Literal, get_args

Labelled = Literal["10min", "1h", "10h", "100h", "960h"]
Size = Literal["base", "large"]

# The share of frames and of channels that spans would cover if none overlapped: fairseq's mask_prob and
# mask_channel_prob, in examples/wav2vec/config/finetuning, base_* and vox_*.
_SHARES: dict[Size, dict[Labelled, tuple[float, float]]] = {
    "base": {
        "10min": (0.65, 0.25),
        "1h": (0.65, 0.25),
        "10h": (0.65, 0.5),
        "100h": (0.65, 0.5),
        "960h": (0.5, 0.1),
    },
    "large": {
        "10min": (0.65, 0.25),
        "1h": (0.75, 0.25),
        "10h": (0.75, 0.25),
        "100h": (0.5, 0.5),
        "960h": (0.5, 0.25),
    },
}
_SPAN_FRAMES = 10
_SPAN_CHANNELS = 64


def spec_augment(labelled: Labelled, size: Size = "base") -> dict[str, Any]:
    """The configuration's fields for fine-tuning: ``from_pretrained(name, **spec_augment("10h"))``.

    Less labelled speech is hidden more often. The values are those of fairseq's configurations for the models of the
    paper, which speaks of the chance that a span begins (arXiv 2006.11477, section 3.1): the share over the span's
    length, 0.065 for a share of 0.65 and spans of 10 frames. Spans overlap, so that less is hidden than the share says.

    Args:
        labelled: how much speech is labelled, the nearest of ``"10min"``, ``"1h"``, ``"10h"``, ``"100h"``, ``"960h"``.
        size: the pretrained model, ``"base"`` (12 layers) or ``"large"`` (24).

    Returns:
        ``apply_spec_augment``, and the share and length of the spans over time and over channels.

    Raises:
        ValueError: for another amount or size.
    """
    for name, value, choices in (("labelled", labelled, get_args(Labelled)), ("size", size, get_args(Size))):
        if value not in choices:
            raise ValueError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}")
    frames, channels = _SHARES[size][labelled]
    return {
        "apply_spec_augment": True,
        "mask_time_prob": frames,
        "mask_time_length": _SPAN_FRAMES,
        "mask_feature_prob": channels,
        "mask_feature_length": _SPAN_CHANNELS,
    }
