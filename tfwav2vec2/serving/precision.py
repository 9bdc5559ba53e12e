"""What a ``.tflite`` file's weights may be, and what int8 may change: numbers that the command line shows without numpy."""

from __future__ import annotations

from typing import Literal

Precision = Literal["float32", "float16", "int8"]

# How far int8 must agree with float32, and the word error rate of its transcripts against float32's.
LEAST_AGREEMENT, MOST_WORDS_CHANGED = 0.98, 0.05
