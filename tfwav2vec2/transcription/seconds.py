"""Options that are numbers of seconds."""

from __future__ import annotations

import math
from typing import Any


def check_seconds(name: str, value: Any, *, above_zero: bool = False) -> None:
    """Refuse what is no number of seconds.

    Raises:
        ValueError: for what is no number, not finite, negative, or 0 where that is too little.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (above_zero and value == 0):
        least = "above 0" if above_zero else "from 0 on"
        raise ValueError(f"{name} must be a number of seconds {least}; got {value!r}")
