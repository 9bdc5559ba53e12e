"""Smaller weights for a ``.tflite`` file: half precision, or integers in those layers that bear them.

Dense layers and convolutions keep integer weights and round what comes in anew at each call (dynamic range). The layers at
the front see the waveform as it is, and may lose the quiet parts of it; which layers bear integers is therefore tried on
recordings, from the smallest file on.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.metrics.error_rates import word_error_rate
from tfwav2vec2.serving.bundle import append_archive
from tfwav2vec2.serving.engines import Arrays, LiteRTEngine

# What computes in integers, from the most to the least, by the operators and the names of their outputs. All other weights
# are 16-bit floats.
_WEIGHTED = ("CONV_2D", "FULLY_CONNECTED")
_EVERYWHERE = ".*"
_TRANSFORMER = r".*/layers_\d+.*"
LAYERS: dict[str, dict[str, str]] = {
    "convolutions and dense layers": {"CONV_2D": _EVERYWHERE, "FULLY_CONNECTED": _EVERYWHERE},
    "dense layers": {"FULLY_CONNECTED": _EVERYWHERE},
    "the transformer's dense layers": {"FULLY_CONNECTED": _TRANSFORMER},
}


def in_half_precision(content: bytes) -> bytes:
    """A float32 file with all weights as 16-bit floats, which the runtime widens once, when it opens the file."""
    recipe = _recipe()
    _narrow(recipe, _WEIGHTED)
    return _quantized(content, recipe)


def in_integers(
    content: bytes,
    files: Mapping[str, bytes],
    clips: Sequence[np.ndarray],
    least_agreement: float,
    most_words_changed: float,
) -> tuple[bytes, dict[str, Any]]:
    """The smallest file of ``LAYERS`` whose answers for the clips are close enough to those of the float32 file.

    Args:
        content: the float32 file.
        files: its bundle's.
        clips: recordings (samples,).
        least_agreement: how far they must agree, 0 to 1 (see :func:`agreement`).
        most_words_changed: the highest word error rate of its transcripts against those of the float32 file.

    Returns:
        The file, and what was measured: ``integer_layers``, ``agreement``, ``words_changed`` and ``time_ratio``.

    Raises:
        ValueError: where none of them is close enough.
    """
    measured = []
    for layers, operators in LAYERS.items():
        smaller = _integers(content, operators)
        figures = _compared(content, smaller, files, clips)
        agrees, changed = figures["agreement"], figures["words_changed"] or 0.0
        if agrees >= least_agreement and changed <= most_words_changed:
            return smaller, {"integer_layers": layers, **figures}
        measured.append(f"{agrees:.1%} and {changed:.1%} with {layers} in integers")
    raise ValueError(
        f"int8 changes too much of what is heard in these {len(clips)} recordings: its agreement with float32 must be at least "
        f"{least_agreement:.1%}, and at most {most_words_changed:.1%} of the words may change, and it is "
        f"{', '.join(measured)}. Nothing was written: export with float16, or allow more changes"
    )


def agreement(expected: Arrays, found: Arrays) -> float:
    """How far two answers of one model agree, 0 to 1.

    The share of valid frames, or without frames of recordings, whose likeliest label is the same; for embeddings and hidden
    states the mean cosine of the angle between them.

    Args:
        expected: what an engine gave for one recording.
        found: what another gave.
    """
    frames = int(expected["frame_lengths"][0]) if "frame_lengths" in expected else None
    for name in ("embeddings", "last_hidden_state"):
        if name in expected:
            first, second = (answer[name][0, ...][:frames].astype(np.float64) for answer in (expected, found))
            norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
            return float(np.mean(np.sum(first * second, axis=-1) / np.maximum(norms, 1e-30)))
    first, second = (answer["logits"][0, ...] for answer in (expected, found))
    if frames is not None:
        first, second = first[:frames], second[:frames]
    return float(np.mean(first.argmax(-1) == second.argmax(-1)))


def _integers(content: bytes, operators: Mapping[str, str]) -> bytes:
    recipe = _recipe()
    from ai_edge_quantizer.qtyping import TFLOperationName

    _narrow(recipe, [operator for operator in _WEIGHTED if operators.get(operator) != _EVERYWHERE])
    for operator, names in operators.items():
        recipe.add_dynamic_config(regex=names, operation_name=TFLOperationName(operator), num_bits=8)
    return _quantized(content, recipe)


def _recipe() -> Any:
    try:
        from ai_edge_quantizer.recipe_manager import RecipeManager
    except ImportError as error:
        raise ImportError(
            "Files of less than float32 need the quantizer: pip install 'tfwav2vec2[litert]', or alone, "
            "pip install ai-edge-quantizer"
        ) from error
    return RecipeManager()


def _narrow(recipe: Any, operators: Sequence[str]) -> None:
    """Ask for 16-bit weights of these operators."""
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName

    for operator in operators:
        recipe.add_weight_only_config(
            regex=_EVERYWHERE,
            operation_name=TFLOperationName(operator),
            num_bits=16,
            algorithm_key=AlgorithmName.FLOAT_CASTING,
        )


def _quantized(content: bytes, recipe: Any) -> bytes:
    from ai_edge_quantizer.quantizer import Quantizer

    quantizer = Quantizer(content, recipe.get_quantization_recipe())
    # One of its two progress bars cannot be turned off. It warns of each buffer that several signatures share, which
    # all narrow it in the same way.
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            result = quantizer.quantize(enable_progress_bar=False, enable_progress_report=False)
    finally:
        root.setLevel(level)
    return bytes(result.quantized_model)


def _compared(
    content: bytes, smaller: bytes, files: Mapping[str, bytes], clips: Sequence[np.ndarray]
) -> dict[str, Any]:
    """How the answers of two files for the same clips compare, and what time they take in turn."""
    with tempfile.TemporaryDirectory() as folder:
        engines = []
        for name, model in (("float32", content), ("smaller", smaller)):
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(model)
            append_archive(path, files)
            engines.append(LiteRTEngine(path))
        seconds, shares, texts = np.zeros(2), [], ([], [])
        weights = [len(clip) for clip in clips]
        speaks = hasattr(engines[0].processor, "tokenizer")
        for clip in clips:
            answers = []
            for index, engine in enumerate(engines):
                started = time.perf_counter()
                answers.append(engine(clip[None], [len(clip)]))
                seconds[index] += time.perf_counter() - started
                if speaks:
                    texts[index].append(engine.text_of(answers[-1])[0] or "")
            shares.append(agreement(*answers))
    return {
        "agreement": float(np.average(shares, weights=weights)),
        "words_changed": word_error_rate(*texts).rate if speaks and any(texts[0]) else None,
        "time_ratio": float(seconds[1] / seconds[0]),
    }
