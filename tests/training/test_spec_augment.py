"""Settings of SpecAugment for fine-tuning."""

from __future__ import annotations

from typing import get_args

import keras
import numpy as np
import pytest

from tfwav2vec2 import Wav2Vec2Config
from tfwav2vec2.backbone.masking import draw_spans
from tfwav2vec2.training.spec_augment import Labelled, Size, spec_augment


def test_ten_hours_hide_half_of_the_frames() -> None:
    """Section 4.2 of the paper: starts with a chance of 0.065 and spans of 10 hide about 49 % of all frames."""
    fields = spec_augment("10h")
    frames = 1000
    hidden = draw_spans(
        np.full((20,), frames, "int32"),
        frames,
        fields["mask_time_prob"],
        fields["mask_time_length"],
        0,
        keras.random.SeedGenerator(0),
    )
    assert np.mean(keras.ops.convert_to_numpy(hidden)) == pytest.approx(0.49, abs=0.02)


@pytest.mark.parametrize("size", get_args(Size))
@pytest.mark.parametrize("labelled", get_args(Labelled))
def test_the_fields_are_the_configurations_own(labelled: Labelled, size: Size) -> None:
    fields = spec_augment(labelled, size)
    config = Wav2Vec2Config(**fields)
    assert {name: getattr(config, name) for name in fields} == fields


@pytest.mark.parametrize("arguments", [("2h",), ("1h", "small")])
def test_what_has_no_settings_is_refused(arguments: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="it must be one of"):
        spec_augment(*arguments)
