"""How far the gradients of a model may be from the reference's."""

from __future__ import annotations

import numpy as np

from tests.parity.matrix import GRADIENT_OF_LARGEST, GRADIENT_RELATIVE
from tfwav2vec2.weights.key_map import is_transposed, torch_keys


def share_of_allowed(gradients: dict[str, np.ndarray | None], wanted: dict[str, np.ndarray]) -> float:
    """The largest share of its limit that a variable's gradient is away from the reference's, by torch key.

    The limit is a thousandth of the gradient's norm and a millionth of the largest: some gradients are zero but for
    rounding.

    Raises:
        AssertionError: where one side has a gradient that the other lacks.
    """
    largest = max(np.linalg.norm(gradient) for gradient in wanted.values())
    shares, checked = [], set()
    for name, gradient in gradients.items():
        key = torch_keys(name)[0]
        if key not in wanted:
            if gradient is not None and np.any(gradient):
                raise AssertionError(f"{name} has a gradient, the reference's has none")
            continue
        if gradient is None:
            if np.any(wanted[key]):
                raise AssertionError(f"{name} has no gradient, the reference's has one")
            gradient = np.zeros_like(wanted[key].T if is_transposed(name) else wanted[key])
        value = gradient.T if is_transposed(name) else gradient
        limit = GRADIENT_RELATIVE * np.linalg.norm(wanted[key]) + GRADIENT_OF_LARGEST * largest
        shares.append(float(np.linalg.norm(value - wanted[key]) / limit))
        checked.add(key)
    if checked != set(wanted):
        raise AssertionError(f"no variable stands for {sorted(set(wanted) - checked)}")
    return max(shares)
