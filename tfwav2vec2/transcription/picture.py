"""A picture of what was heard: the waveform, the probability of each letter over time, and the words at their times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfwav2vec2.extras import require_extra
from tfwav2vec2.language.log_probabilities import log_probabilities
from tfwav2vec2.transcription.transcript import TimedWord
from tfwav2vec2.weights.files import write_atomically

READABLE_SECONDS = 15.0
"""A longer recording is drawn in part: beyond it words stand on one another."""

# What is drawn before the first word.
_LEAD_SECONDS = 0.25

# What a page is wide enough for, at which a letter of the words is about six points high.
_INCHES_A_SECOND, _NARROWEST, _WIDEST = 1.4, 7.0, 21.0
_DOTS_AN_INCH = 120
_LETTER_INCHES = 0.075

# Labels that are drawn: beyond it they are too many to be told apart, as a vocabulary of syllables or signs has them.
_MOST_LABELS = 40
# A label counts as heard where it is at least so probable in some frame.
_HEARD = 0.05

_WORD_COLOUR, _OTHER_WORD_COLOUR = "tab:blue", "tab:cyan"
_SPACE = "␣"  # what stands for the space between words

# Points of the waveform: more than a screen has.
_MOST_POINTS = 8000


@dataclass(frozen=True)
class LetterProbabilities:
    """What a model says of each frame.

    Attributes:
        logits: (frames, labels): logits or log probabilities.
        labels: (labels,): what each label writes.
        frame_seconds: from the start of a frame to that of the next.
        blank: the index of the label that writes nothing, which is not drawn; None where there is none.
        start: when the first frame begins, in seconds.
    """

    logits: np.ndarray
    labels: Sequence[str]
    frame_seconds: float
    blank: int | None = None
    start: float = 0.0


def plot_alignment(
    path: str | Path,
    waveform: np.ndarray,
    sampling_rate: int,
    words: Sequence[TimedWord] = (),
    letters: LetterProbabilities | None = None,
    *,
    part: tuple[float, float] | None = None,
    title: str = "",
) -> tuple[float, float]:
    """Draw a recording: its waveform, how probable each letter is in each frame, and its words at their times.

    Words are boxes from start to end, the darker the surer the model is of them where it says so.

    Args:
        path: the file to write; its suffix says which kind of image, PNG by default.
        waveform: (samples,).
        sampling_rate: of the samples, in Hz.
        words: with times in seconds from the first sample.
        letters: the model's answer; without it that panel is left out.
        part: from when to when, in seconds; by default all of a recording of up to :data:`READABLE_SECONDS`, and otherwise so
            much from just before the first word on.
        title: what stands above; which part is drawn of how much is added.

    Returns:
        From when to when the picture shows, in seconds.

    Raises:
        ImportError: where matplotlib is not installed.
        ValueError: for a part outside of the recording, shapes that do not fit, or an unknown kind of image.
        OSError: where the file cannot be written.
    """
    require_extra("plot", "Drawing needs", ("matplotlib",))
    from matplotlib.figure import Figure

    waveform = np.asarray(waveform)
    if waveform.ndim != 1 or not len(waveform):
        raise ValueError(
            f"A picture takes the samples of one channel, (samples,); got the shape {waveform.shape}"
        )
    seconds = len(waveform) / sampling_rate
    start, end = readable_part(seconds, words) if part is None else _checked_part(part, seconds)
    width = min(max((end - start) * _INCHES_A_SECOND, _NARROWEST), _WIDEST)
    shown = [word for word in words if word.end >= start and word.start <= end]
    rows = _label_rows(shown, (end - start) / width * _LETTER_INCHES)
    heights = {"waveform": 1.3, "letters": 0.0, "words": 0.35 + 0.25 * max(rows, default=1)}
    drawn = _visible(letters, start, end) if letters is not None else None
    if drawn is not None:
        heights["letters"] = 0.5 + 0.16 * len(drawn.names)
    panels = [name for name, height in heights.items() if height]
    figure = Figure(figsize=(width, sum(heights.values()) + 0.9), layout="constrained", dpi=_DOTS_AN_INCH)
    axes = figure.subplots(
        len(panels), 1, sharex=True, squeeze=False, height_ratios=[heights[name] for name in panels]
    )[:, 0]
    at = dict(zip(panels, axes, strict=True))
    _draw_waveform(at["waveform"], waveform, sampling_rate, start, end, shown)
    if drawn is not None:
        _draw_letters(at["letters"], drawn)
    _draw_words(at["words"], shown, rows, (start, end))
    axes[-1].set_xlim(start, end)
    axes[-1].set_xlabel("seconds")
    whole = end - start >= seconds - 1e-9
    extent = "" if whole else f"{start:.1f} to {end:.1f} s of {seconds:.1f} s"
    heading = "  |  ".join(each for each in (title, extent) if each)
    if heading:
        # A dollar sign would begin a formula.
        figure.suptitle(heading.replace("$", r"\$"), fontsize=10)
    _save(figure, Path(path))
    return start, end


@dataclass(frozen=True)
class _Drawn:
    """Probabilities (labels, frames) of the labels that are drawn, their names, and the frames' extent in seconds."""

    probabilities: np.ndarray
    names: list[str]
    start: float
    end: float


def readable_part(seconds: float, words: Sequence[TimedWord] = ()) -> tuple[float, float]:
    """From when to when a recording is drawn: all of it up to :data:`READABLE_SECONDS`, otherwise so much from the first word on."""
    if seconds <= READABLE_SECONDS:
        return 0.0, seconds
    first = min((word.start for word in words), default=0.0)
    start = math.floor(max(0.0, min(first - _LEAD_SECONDS, seconds - READABLE_SECONDS)) * 10) / 10
    return start, start + READABLE_SECONDS


def _checked_part(part: tuple[float, float], seconds: float) -> tuple[float, float]:
    start, end = part
    if not 0 <= start < end or start >= seconds:
        raise ValueError(
            f"A recording of {seconds:.2f} s has no part from {start} to {end} s: give a start and a later end within it"
        )
    return float(start), float(min(end, seconds))


def _visible(letters: LetterProbabilities, start: float, end: float) -> _Drawn | None:
    """The labels that are heard between two times, in the order of the vocabulary; None where there is no frame."""
    logits = np.asarray(letters.logits)
    if logits.ndim != 2 or logits.shape[1] != len(letters.labels):
        raise ValueError(
            f"Logits are (frames, labels), here of {len(letters.labels)} labels; got the shape {logits.shape}"
        )
    first = max(0, math.floor((start - letters.start) / letters.frame_seconds))
    last = min(len(logits), math.ceil((end - letters.start) / letters.frame_seconds))
    if first >= last:
        return None
    probabilities = np.exp(log_probabilities(logits[first:last], logits.shape[1])).T
    highest = probabilities.max(axis=1)
    if letters.blank is not None:
        highest[letters.blank] = 0
    heard = np.flatnonzero(highest >= _HEARD)
    if len(heard) > _MOST_LABELS:
        heard = np.sort(heard[np.argsort(-highest[heard], kind="stable")[:_MOST_LABELS]])
    if not len(heard):
        heard = np.array([int(highest.argmax())])
    names = [_SPACE if letters.labels[label].isspace() else letters.labels[label] for label in heard]
    begins = letters.start + first * letters.frame_seconds
    return _Drawn(probabilities[heard], names, begins, begins + (last - first) * letters.frame_seconds)


def _label_rows(words: Sequence[TimedWord], letter_seconds: float) -> list[int]:
    """Which row each word's text is written in, 1 first, so that no two stand on one another."""
    rows: list[int] = []
    free: list[float] = []  # when each row's last text ends
    for word in words:
        half = (len(word.text) + 1) * letter_seconds / 2
        middle = (word.start + word.end) / 2
        row = next((index for index, end in enumerate(free) if end <= middle - half), len(free))
        if row == len(free):
            free.append(0.0)
        free[row] = middle + half
        rows.append(row + 1)
    return rows


def _draw_waveform(
    axes: Any, waveform: np.ndarray, rate: int, start: float, end: float, words: Sequence[TimedWord]
) -> None:
    first, last = int(start * rate), min(len(waveform), math.ceil(end * rate))
    samples = waveform[first:last].astype(np.float64)
    # The lowest and the highest of each few samples, so that no peak is lost.
    step = max(1, math.ceil(len(samples) / _MOST_POINTS))
    padded = np.pad(samples, (0, -len(samples) % step), mode="edge").reshape(-1, step)
    times = (first + np.arange(len(padded)) * step) / rate
    axes.fill_between(times, padded.min(axis=1), padded.max(axis=1), color="0.35", linewidth=0.3)
    for index, word in enumerate(words):
        axes.axvspan(word.start, word.end, color=_colour(index), alpha=0.15, linewidth=0)
    axes.set_ylabel("waveform")
    axes.set_yticks([])


def _draw_letters(axes: Any, drawn: _Drawn) -> None:
    count = len(drawn.names)
    image = axes.imshow(
        drawn.probabilities,
        aspect="auto",
        interpolation="nearest",
        origin="upper",
        cmap="Greys",
        vmin=0,
        vmax=1,
        extent=(drawn.start, drawn.end, count - 0.5, -0.5),
    )
    axes.set_yticks(range(count), [name.replace("$", r"\$") for name in drawn.names], fontsize=7)
    axes.set_ylabel("letters")
    axes.figure.colorbar(image, ax=axes, label="probability", pad=0.01, fraction=0.02, aspect=12)


def _draw_words(
    axes: Any, words: Sequence[TimedWord], rows: Sequence[int], span: tuple[float, float]
) -> None:
    for index, (word, row) in enumerate(zip(words, rows, strict=True)):
        sure = 1.0 if word.confidence is None else min(max(word.confidence, 0.0), 1.0)
        axes.barh(
            0,
            # A word of no length is still to be seen.
            max(word.end - word.start, (span[1] - span[0]) / 1000),
            left=word.start,
            height=0.8,
            color=_colour(index),
            alpha=0.25 + 0.75 * sure,
        )
        middle = (word.start + word.end) / 2
        if span[0] <= middle <= span[1]:
            axes.plot([middle, middle], [0.4, row - 0.35], color="0.8", linewidth=0.6)
            axes.text(
                middle, row, word.text.replace("$", r"\$"), ha="center", va="center", fontsize=8, clip_on=True
            )
    axes.set_ylim(-0.6, max(rows, default=1) + 0.6)
    axes.set_yticks([])
    axes.set_ylabel("words")
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)


def _colour(index: int) -> str:
    return _OTHER_WORD_COLOUR if index % 2 else _WORD_COLOUR


def _save(figure: Any, path: Path) -> None:
    kind = path.suffix.removeprefix(".").lower() or "png"
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise ValueError(
            f"{path} is no kind of image that can be drawn: choose from {', '.join(sorted(known))}"
        )
    with write_atomically(path) as temporary:
        figure.savefig(temporary, format=kind)
