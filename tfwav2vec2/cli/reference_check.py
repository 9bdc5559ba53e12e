"""Whether a converted model gives the reference's logits, where torch and transformers are installed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfwav2vec2.audio import SAMPLE_RATE

if TYPE_CHECKING:
    from tfwav2vec2.weights.conversion import Report

# What each class answers with; the first that an output has is compared.
_ANSWERS = ("logits", "projected_states", "last_hidden_state")


def largest_difference(report: Report, source: str | None, **hub: Any) -> float | None:
    """How far our logits of what was written lie from those of transformers, both in float32, on one second of sound.

    Args:
        report: what was written.
        source: what transformers reads where it does not read what was written; None for nothing.
        hub: options for reading it.

    Returns:
        The largest difference; None where transformers reads neither.
    """
    waveform = _one_second()
    if report.format in ("safetensors", "torch"):
        expected = _reference(report.destination, report.architecture, waveform)
    else:
        expected = None if source is None else _reference(source, report.architecture, waveform, **hub)
    return None if expected is None else float(np.max(np.abs(_ours(report, waveform) - expected)))


def _one_second() -> np.ndarray:
    """(1, samples): a gliding tone over noise, the same every time, of mean 0 and variance 1."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    wave = np.sin(2 * np.pi * (120 * time + 400 * time**2)) + np.random.default_rng(0).normal(
        0, 0.1, SAMPLE_RATE
    )
    return ((wave - wave.mean()) / wave.std())[None].astype(np.float32)


def _reference(folder: str | Path, architecture: str, waveform: np.ndarray, **hub: Any) -> np.ndarray | None:
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = getattr(transformers, architecture).from_pretrained(
                folder, torch_dtype=torch.float32, **hub
            )
        except (OSError, ValueError):
            return None
        with torch.no_grad():
            return _answer(model.eval()(torch.from_numpy(waveform))).numpy()


def _ours(report: Report, waveform: np.ndarray) -> np.ndarray:
    import keras

    from tfwav2vec2.weights.architecture import model_class

    model = model_class(report.architecture).from_pretrained(
        report.destination, config=report.config, dtype="float32"
    )
    return keras.ops.convert_to_numpy(_answer(model(waveform)))


def _answer(output: Any) -> Any:
    return next(output[name] for name in _ANSWERS if name in output)
