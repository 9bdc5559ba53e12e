"""Forced alignment beside torchaudio's, where that can be imported: its wheels on PyPI want the CUDA build of torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.language.test_alignment import LIBRI_LETTERS, LIBRI_TEXT
from tfwav2vec2.language.alignment import forced_align, frames_needed

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def theirs() -> Any:
    try:
        from torchaudio.functional import forced_align as reference
    except (ImportError, OSError) as error:
        pytest.skip(f"torchaudio cannot be imported here: {error}")
    return lambda logits, labels, blank: reference(
        torch.tensor(logits)[None], torch.tensor(labels)[None], blank=blank
    )[0][0].numpy()


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    vocab=st.integers(2, 40),
    count=st.integers(1, 60),
    spare=st.integers(0, 80),
)
def test_the_same_path_as_torchaudio(theirs: Any, seed: int, vocab: int, count: int, spare: int) -> None:
    rng = np.random.default_rng(seed)
    blank = int(rng.integers(vocab))
    labels = rng.choice([label for label in range(vocab) if label != blank], count)
    logits = 3 * rng.standard_normal((frames_needed(labels) + spare, vocab))
    np.testing.assert_array_equal(forced_align(logits, labels, blank).path, theirs(logits, labels, blank))


def test_the_same_path_on_real_speech(theirs: Any, shared_data: Path) -> None:
    logits = np.array(json.loads((shared_data / "ctc_logits" / "libri_logits.json").read_text()), np.float64)
    labels = np.array([LIBRI_LETTERS.index(letter) for letter in LIBRI_TEXT])
    # They are whole numbers, so that ways tie, and of those torchaudio's search misses some.
    frames = np.arange(len(logits))
    ours, others = forced_align(logits, labels, 28).path, theirs(logits, labels, 28)
    assert logits[frames, ours].sum() >= logits[frames, others].sum()
    logits += 1e-3 * np.random.default_rng(0).random(logits.shape)
    np.testing.assert_array_equal(forced_align(logits, labels, 28).path, theirs(logits, labels, 28))
