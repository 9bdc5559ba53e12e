"""A recording of any length in pieces that a model hears one at a time, cut in pauses, in memory that does not grow with it.

A piece has two sorts of frames: those that count, and context on either side that is computed and dropped. The counted frames
of all pieces, one behind the other, are the frames of the recording, each once: pieces begin at a multiple of the hop, as the
windows of a stream do (:mod:`tfwav2vec2.transcription.stream_windows`, whose arithmetic this is).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tfwav2vec2.transcription.stream_windows import StreamWindows

# A pause is quieter than loud speech around it by this (26 dB), as an amplitude, for this long. Within words the sound is
# never away for longer than some 0.15 s, while a stop consonant closes.
PAUSE_LEVEL = 0.05
PAUSE_SECONDS = 0.3

# What loud speech is: the level that this share of the time is below.
LOUD_SHARE = 0.95


@dataclass(frozen=True)
class Piece:
    """A stretch of a recording that the model hears at once.

    Attributes:
        samples: what it hears (n,), context included.
        start: the place of the first frame that counts among the recording's.
        first: frames of the answer before those that count.
        frames: how many count.
        from_pause: whether it begins at a cut in a pause: it has no context there, and no word goes on.
        to_pause: the same of its end.
    """

    samples: np.ndarray = field(repr=False)
    start: int
    first: int
    frames: int
    from_pause: bool
    to_pause: bool


def cut_in_pieces(
    blocks: Iterable[np.ndarray], windows: StreamWindows, rate: int, *, at_pauses: bool
) -> Iterator[Piece]:
    """Cut a recording into pieces of at most ``windows.frames`` frames, those of context included.

    Args:
        blocks: its samples, in blocks of any length.
        windows: the longest piece, and the frames of context of a cut that is not in a pause.
        rate: of the samples, in Hz.
        at_pauses: whether pieces end in pauses where there are any: in the last quarter of a piece, otherwise before.
            Pieces that meet in a pause hear nothing of each other. Without a pause, and where this is False, they have context.

    Yields:
        Pieces in their order, of at most ``windows.window`` samples; none where the recording is shorter than a frame. A
        recording that fits into one piece is that piece.
    """
    hop, field_ = windows.hop, windows.receptive_field
    held = _Held()
    start, from_pause, ended = 0, True, False
    arriving = iter(blocks)
    while True:
        left = 0 if from_pause else min(windows.left, start)
        held.drop_before((start - left) * hop)
        room = windows.frames - left
        # Enough for the longest piece, and to know whether anything follows.
        wanted = (start + room) * hop + field_
        while not ended and held.end < wanted:
            block = next(arriving, None)
            ended = block is None
            if block is not None:
                held.append(block)
        frames = windows.frames_in(held.end) - start
        if ended and frames <= room:
            if frames > 0:
                begin = (start - left) * hop
                # No frame hears what is left behind a window.
                samples = held.between(begin, min(held.end, begin + windows.window))
                yield Piece(samples, start, left, frames, from_pause, True)
            return
        count, in_pause = room - windows.right, False
        if at_pauses:
            levels = _levels(held.between(start * hop, (start + room) * hop), hop)
            count, in_pause = _find_cut(levels, count, max(round(PAUSE_SECONDS * rate / hop), 1))
        right = 0 if in_pause else windows.right
        end = (start + count + right - 1) * hop + field_
        yield Piece(held.between((start - left) * hop, end), start, left, count, from_pause, in_pause)
        start += count
        from_pause = in_pause


class _Held:
    """The samples that may still be needed."""

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._begin = self.end = 0

    def append(self, block: np.ndarray) -> None:
        self._blocks.append(block)
        self.end += len(block)

    def drop_before(self, place: int) -> None:
        while self._blocks and self._begin + len(self._blocks[0]) <= place:
            self._begin += len(self._blocks.pop(0))

    def between(self, begin: int, end: int) -> np.ndarray:
        """A copy of the samples from one place in the recording to another."""
        found = np.empty(end - begin, np.float32)
        at = self._begin
        for block in self._blocks:
            first, last = max(begin, at), min(end, at + len(block))
            if first < last:
                found[first - begin : last - begin] = block[first - at : last - at]
            at += len(block)
        return found


def _levels(samples: np.ndarray, hop: int) -> np.ndarray:
    """The root mean square of every hop, without what the microphone adds to all samples."""
    rows = samples[: len(samples) // hop * hop].reshape(-1, hop)
    return np.sqrt(np.square(rows - samples.mean(), dtype=np.float32).mean(axis=1))


def _find_cut(levels: np.ndarray, most: int, pause: int) -> tuple[int, bool]:
    """After how many hops to cut, and whether that is in a pause.

    Args:
        levels: of each hop.
        most: hops before a cut that is in no pause, which has context behind it.
        pause: hops that a pause has at least.
    """
    if most <= 2 * pause:
        return most, False
    # Of so many hops in a row, whose middle is a place to cut: the loudest, since the burst that ends an "eight" is short.
    loudest = np.lib.stride_tricks.sliding_window_view(levels, pause).max(axis=1)
    loud = float(np.quantile(levels, LOUD_SHARE))
    # Late, for long pieces; but an early pause is better than none.
    eighth = (len(levels) - pause) // 8
    for begin, end in ((6 * eighth, len(loudest)), (4 * eighth, 6 * eighth), (eighth, 4 * eighth)):
        quietest = float(loudest[begin:end].min(initial=np.inf))
        if quietest <= PAUSE_LEVEL * loud:
            found = begin + int(np.flatnonzero(loudest[begin:end] <= quietest)[-1])
            return _middle(levels, found, pause, max(2 * quietest, 1e-6)), True
    # None: where it is quietest near the end.
    late = (most - pause) * 3 // 4
    return late + int(loudest[late : most - pause + 1].argmin()) + pause // 2, False


def _middle(levels: np.ndarray, found: int, pause: int, limit: float) -> int:
    """The middle of the pause of which ``found`` begins a quiet stretch: as far on both sides as it is as quiet as ``limit``."""
    begin, end = found, found + pause
    while begin > 0 and levels[begin - 1] <= limit:
        begin -= 1
    while end < len(levels) and levels[end] <= limit:
        end += 1
    return (begin + end) // 2
