from __future__ import annotations

import itertools
import json
import math
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tfwav2vec2.language import alignment
from tfwav2vec2.language.alignment import WILDCARD, Alignment, forced_align, frames_needed

GOLDENS = Path(__file__).resolve().parents[1] / "goldens" / "alignment.npz"

LIBRI_LETTERS = " abcdefghijklmnopqrstuvwxyz'"
LIBRI_TEXT = "i have a good deal of will you remember and what i have set my mind upon no doubt i shall some day achieve"


class Case(NamedTuple):
    logits: np.ndarray
    labels: np.ndarray
    blank: int


@st.composite
def cases(draw: st.DrawFn, frames: int = 6, vocab: int = 3) -> Case:
    """Logits that are small whole numbers, so that ways tie, and a text that fits them."""
    blank = draw(st.integers(0, vocab - 1))
    others = [label for label in range(vocab) if label != blank]
    labels = np.array(draw(st.lists(st.sampled_from(others), min_size=1, max_size=frames)))
    assume(frames_needed(labels) <= frames)
    count = draw(st.integers(frames_needed(labels), frames))
    rows = st.lists(st.integers(-3, 3), min_size=vocab, max_size=vocab)
    logits = np.array(draw(st.lists(rows, min_size=count, max_size=count)), np.float64)
    return Case(logits, labels, blank)


def collapsed(path: np.ndarray, blank: int) -> list[int]:
    return [int(label) for label, _ in itertools.groupby(path) if label != blank]


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def best_score(case: Case, log_probs: np.ndarray) -> float:
    """By every path there is."""
    frames, vocab = log_probs.shape
    return max(
        sum(log_probs[frame, label] for frame, label in enumerate(path))
        for path in itertools.product(range(vocab), repeat=frames)
        if collapsed(np.array(path), case.blank) == case.labels.tolist()
    )


def check(case: Case, found: Alignment) -> None:
    """That the path is one of the text, has the score that it claims, and the spans that it shows."""
    assert collapsed(found.path, case.blank) == case.labels.tolist()
    log_probs = log_probabilities(case.logits)
    frames = np.arange(len(found.path))
    assert found.score == pytest.approx(log_probs[frames, found.path].sum())
    spoken = np.zeros(len(found.path), bool)
    for label, start, end, probability in zip(
        case.labels, found.starts, found.ends, found.probabilities, strict=True
    ):
        assert start < end
        assert (found.path[start:end] == label).all()
        assert probability == pytest.approx(np.exp(log_probs[start:end, label]).mean())
        spoken[start:end] = True
    assert (found.path[~spoken] == case.blank).all()
    assert (found.starts[1:] >= found.ends[:-1]).all()


@given(cases())
def test_no_path_of_the_text_is_better(case: Case) -> None:
    found = forced_align(*case)
    check(case, found)
    assert found.score == pytest.approx(best_score(case, log_probabilities(case.logits)))


@given(case=cases(frames=40, vocab=5), block=st.integers(1, 41))
def test_blocks_change_no_path(case: Case, block: int) -> None:
    whole, in_blocks = forced_align(*case, block=len(case.logits)), forced_align(*case, block=block)
    np.testing.assert_array_equal(in_blocks.path, whole.path)
    np.testing.assert_array_equal(in_blocks.starts, whole.starts)
    assert in_blocks.score == pytest.approx(whole.score)


def test_long_recordings_are_aligned_as_one_block_would(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((3000, 12)), rng.integers(1, 12, 700)
    whole = forced_align(logits, labels)
    monkeypatch.setattr(alignment, "_AT_ONCE", 0)
    tracemalloc.start()
    in_blocks = forced_align(logits, labels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(in_blocks.path, whole.path)
    # All back-pointers would take 2 bytes for each of 3000 x 700; the rest is a few copies of the logits.
    assert peak < 5 * logits.nbytes + 3000 * 700 / 2


def torchaudio_cases() -> Iterator[tuple[Case, np.ndarray]]:
    with np.load(GOLDENS) as file:
        arrays = dict(file)
    firsts = np.zeros(3, int)
    for frames, vocab, count, blank in arrays["sizes"]:
        lasts = firsts + np.array([frames * vocab, count, frames])
        parts = zip(("logits", "labels", "paths"), firsts, lasts, strict=True)
        logits, labels, path = (arrays[name][first:last] for name, first, last in parts)
        yield Case(logits.astype(np.float64).reshape(frames, vocab), labels, int(blank)), path
        firsts = lasts


def test_paths_are_torchaudios() -> None:
    worse = 0
    for case, theirs in torchaudio_cases():
        found = forced_align(*case)
        check(case, found)
        if not np.array_equal(found.path, theirs):
            # Their search stays where two other ways tie and are better; exact, since these logits are whole numbers.
            assert (case.logits == case.logits.round()).all()
            frames = np.arange(len(theirs))
            assert case.logits[frames, found.path].sum() > case.logits[frames, theirs].sum()
            worse += 1
    assert worse < 12


def test_real_speech(shared_data: Path) -> None:
    logits = np.array(json.loads((shared_data / "ctc_logits" / "libri_logits.json").read_text()))
    labels = np.array([LIBRI_LETTERS.index(letter) for letter in LIBRI_TEXT])
    found = forced_align(logits, labels, blank=28)
    check(Case(logits.astype(np.float64), labels, 28), found)
    # The recogniser hears just this, with a second space in three places.
    heard = logits.argmax(axis=1)
    differ = found.path != heard
    assert differ.sum() == 3
    assert set(heard[differ]) == {LIBRI_LETTERS.index(" ")}
    assert set(found.path[differ]) == {28}
    assert found.probabilities.min() > 0.5
    other = np.array([LIBRI_LETTERS.index(letter) for letter in LIBRI_TEXT.replace("no doubt", "perhaps")])
    wrong = LIBRI_TEXT.index("no doubt") + np.arange(len("perhaps"))
    unsure = forced_align(logits, other, blank=28).probabilities
    assert unsure[wrong].mean() < 0.2
    assert np.delete(unsure, wrong).mean() > 0.95


@given(st.integers(1, 6), st.integers(0, 3))
def test_frames_that_are_needed(count: int, doubled: int) -> None:
    labels = [index % 2 + 1 for index in range(count)]
    labels += [labels[-1]] * doubled
    assert frames_needed(labels) == count + 2 * doubled
    logits = np.zeros((frames_needed(labels), 3))
    assert collapsed(forced_align(logits, labels).path, 0) == labels
    with pytest.raises(ValueError, match=r"needs \d+ frames at least.*and the recording has \d+"):
        forced_align(logits[1:], labels)


def test_wildcard_takes_what_the_neighbours_leave() -> None:
    """The text is 1 ? 2, and 1 3 blank 4 2 is heard: the wildcard lasts from 3 to 4."""
    heard = [0, 1, 1, 0, 3, 3, 0, 4, 0, 2, 0]
    logits = np.where(np.arange(5) == np.array(heard)[:, None], 8.0, 0.0)
    found = forced_align(logits, [1, WILDCARD, 2])
    assert found.path.tolist() == [0, 1, 1, 0, WILDCARD, WILDCARD, WILDCARD, WILDCARD, 0, 2, 0]
    assert np.isnan(found.probabilities).tolist() == [False, True, False]
    assert math.isfinite(found.score)


@given(cases(frames=8, vocab=4), st.data())
def test_a_wildcard_is_never_worse_than_a_letter(case: Case, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(case.labels) - 1))
    unknown = case.labels.copy()
    unknown[place] = WILDCARD
    allowance = len(case.logits) * math.log(0.9)
    assert (
        forced_align(case.logits, unknown, case.blank).score >= forced_align(*case).score + allowance - 1e-9
    )


@given(cases(), st.data())
def test_for_a_delimiter_the_blank_is_as_good(case: Case, data: st.DataObject) -> None:
    delimiter = int(data.draw(st.sampled_from(case.labels)))
    found = forced_align(*case, delimiter=delimiter)
    assert collapsed(found.path, case.blank) == case.labels.tolist()
    better = log_probabilities(case.logits)
    better[:, delimiter] = better[:, [delimiter, case.blank]].max(axis=1)
    assert found.score == pytest.approx(best_score(case, better))


def test_labels_stay_where_they_are_heard_when_the_delimiter_never_is() -> None:
    """The delimiter, 3, is unlikely wherever a blank is sure, and less so where 1 and 2 nearly end."""
    heard = np.array([0, 1, 0, 0, 2, 0, 0, 1, 0])
    logits = np.where(np.arange(4) == heard[:, None], 8.0, 0.0)
    logits[:, 3] = np.where(np.isin(np.arange(9), [1, 4]), -9.0, -40.0)
    labels = [1, 3, 2, 3, 1]
    assert forced_align(logits, labels).starts[::2].tolist() != [1, 4, 7]
    found = forced_align(logits, labels, delimiter=3)
    assert found.starts[::2].tolist() == [1, 4, 7]
    assert found.probabilities[::2].min() > 0.99


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("logits", "labels", "blank", "message"),
    [
        (np.zeros((4, 3)), [], 0, "the text has no labels"),
        (np.zeros((4, 3)), [[1]], 0, "the text has no labels"),
        (np.zeros((4, 3)), [1.0], 0, "whole numbers"),
        (np.zeros((4, 3)), [3], 0, "The label 3 is none"),
        (np.zeros((4, 3)), [-2], 0, "The label -2 is none"),
        (np.zeros((4, 3)), [0], 0, "The label 0 is none"),
        (np.zeros((4, 3)), [1], 3, "The blank is 3"),
        (np.zeros((4, 3)), [1], -1, "The blank is -1"),
        (np.zeros((2, 4, 3)), [1], 0, r"must have the shape \(frames, labels\)"),
        (np.zeros((4, 1)), [1], 0, r"must have the shape \(frames, labels\)"),
        (np.zeros((0, 3)), [1], 0, "the recording has 0"),
        (np.array([[0, 0], [0, NAN]]), [1], 0, "logits of frame 1 hold NaN"),
        (np.array([[0, INF], [0, 0]]), [1], 0, "logits of frame 0 hold NaN or infinity"),
        (np.array([[-INF, -INF], [0, 0]]), [1], 0, "nothing but minus infinity"),
        (np.array([[0, -INF], [0, -INF]]), [1], 0, "the probability 0"),
    ],
)
def test_what_cannot_be_aligned(logits: np.ndarray, labels: list, blank: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        forced_align(logits, labels, blank)


def test_minus_infinity_is_a_logit_that_no_path_takes() -> None:
    logits = np.array([[0.0, 1.0], [0.0, -INF], [0.0, 1.0]])
    assert forced_align(logits, [1, 1]).path.tolist() == [1, 0, 1]


@given(
    logits=st.lists(st.lists(st.floats(width=32), min_size=3, max_size=3), max_size=6),
    labels=st.lists(st.integers(-2, 4), max_size=4),
    blank=st.integers(-1, 3),
)
def test_whatever_comes_is_aligned_or_refused(
    logits: list[list[float]], labels: list[int], blank: int
) -> None:
    """Nothing else than ValueError, and no alignment that is none."""
    try:
        found = forced_align(np.array(logits).reshape(-1, 3), labels, blank)
    except ValueError:
        return
    assert collapsed(found.path, blank) == labels or WILDCARD in labels
    assert math.isfinite(found.score)
