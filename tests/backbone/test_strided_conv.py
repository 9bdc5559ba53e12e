"""The convolution over time: values and gradients are those of the plain sum over taps, taken in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from tests.backbone.gradients import draw, gradients, numerical
from tfwav2vec2.backbone.strided_conv import strided_conv


@settings(max_examples=25, deadline=None)
@given(
    width=st.integers(1, 7),
    stride=st.integers(1, 5),
    places=st.integers(1, 4),
    unread=st.integers(0, 4),
    channels=st.integers(1, 3),
)
def test_values_and_gradients(width: int, stride: int, places: int, unread: int, channels: int) -> None:
    frames = width + stride * (places - 1) + min(unread, stride - 1)
    x, kernel, upstream = draw((2, frames, channels), (width, channels, 2), (2, places, 2))

    def function(x: Any, kernel: Any) -> Any:
        return strided_conv(x, kernel, stride)

    def plain(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        read = np.stack([x[:, at * stride : at * stride + width] for at in range(places)], axis=1)
        return np.einsum("bpwc,wcf->bpf", read, kernel)

    inputs = [x, kernel]
    np.testing.assert_allclose(
        function(*map(ops.convert_to_tensor, inputs)), plain(*inputs), rtol=1e-5, atol=1e-4
    )
    for found, expected in zip(
        gradients(function, inputs, upstream), numerical(plain, inputs, upstream), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)
