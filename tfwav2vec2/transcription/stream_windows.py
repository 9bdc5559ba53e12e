"""Which samples a streamed model is given when, and which of its frames count: whole numbers, and nothing else.

The scheme, for whoever writes it in another language. The model makes a frame every ``hop`` samples, and frame ``k`` hears
the samples from ``k * hop`` on, ``receptive_field`` of them. Frames are labelled ``chunk`` at a time, each chunk in a window
that holds ``left`` frames before it and ``right`` frames after it::

    ... | left | chunk | right |
               | left  | chunk | right |

Keep one buffer of ``window`` samples and a count ``filled``:

1. Start: the buffer is silence (zeros), ``filled = left * hop``, ``done = 0`` frames.
2. Samples come in: copy them behind those that are there. Whenever ``filled == window``, run the model on the buffer, keep the
   frames ``left`` to ``left + chunk`` of its answer, ``done += chunk``, and move the buffer to the left by ``step`` samples:
   ``filled = window - step``.
3. End: ``rest = frames_in(total) - done`` frames are left, ``total`` being all samples that came in. If there are any, fill the
   buffer up with zeros, run the model once more, and keep the frames ``left`` to ``left + rest``.

A model that is told how many samples count hears none of that silence, neither what precedes the stream nor what follows it.
The first ``silence(done)`` samples of the buffer are then left out, as many zeros put behind so that the window keeps its
length, and the frames that are kept are as many hops nearer to the start: :meth:`StreamWindows.kept` says which.
"""

from __future__ import annotations

from dataclasses import dataclass

from tfwav2vec2.backbone.lengths import shortest_clip
from tfwav2vec2.config import Wav2Vec2Config


@dataclass(frozen=True)
class StreamWindows:
    """The windows of a stream. All are of one length and begin at a multiple of the hop.

    Attributes:
        hop: samples from one frame to the next.
        receptive_field: samples that one frame hears, at least a hop.
        left: frames of context before a chunk.
        chunk: frames of a chunk.
        right: frames of context after it.

    Raises:
        ValueError: for a number that is no whole one, or too small.
    """

    hop: int
    receptive_field: int
    left: int
    chunk: int
    right: int

    def __post_init__(self) -> None:
        least = {"hop": 1, "receptive_field": self.hop, "left": 0, "chunk": 1, "right": 0}
        for name, smallest in least.items():
            value = getattr(self, name)
            if type(value) is not int or value < smallest:
                raise ValueError(f"{name} must be a whole number from {smallest} on; got {value!r}")

    @classmethod
    def of(cls, config: Wav2Vec2Config, left: int, chunk: int, right: int) -> StreamWindows:
        """The windows for a model's front end; the rest is frames, as for the class.

        Raises:
            ValueError: as the class does, and for a model with a convolutional adapter, whose frames are not evenly spaced from
                a window's start.
        """
        if config.add_adapter:
            raise ValueError(
                "The model has a convolutional adapter (add_adapter), whose frames depend on the whole recording: it cannot "
                "be streamed; transcribe whole recordings with it"
            )
        return cls(config.inputs_to_logits_ratio, shortest_clip(config), left, chunk, right)

    @property
    def frames(self) -> int:
        """Frames of every window."""
        return self.left + self.chunk + self.right

    @property
    def window(self) -> int:
        """Samples of every window."""
        return (self.frames - 1) * self.hop + self.receptive_field

    @property
    def step(self) -> int:
        """Samples from one window to the next."""
        return self.chunk * self.hop

    @property
    def before(self) -> int:
        """Samples of silence before the stream, which the first window begins with."""
        return self.left * self.hop

    @property
    def latency(self) -> int:
        """Samples from the first one that a chunk's first frame hears to the last one that its window waits for.

        No frame waits longer for its label, but for the time that the model takes to compute it.
        """
        return self.window - self.before

    def frames_in(self, samples: int) -> int:
        """Frames that the model makes of so many samples."""
        return max((samples - self.receptive_field) // self.hop + 1, 0)

    def silence(self, done: int) -> int:
        """Samples of the next window that lie before the stream's start, after ``done`` frames; 0 from the left context on."""
        return max(self.left - done, 0) * self.hop

    def kept(self, done: int, count: int, whole: bool) -> tuple[int, int]:
        """The frames of the next window's answer that are kept, the end exclusive.

        Args:
            done: frames kept before.
            count: how many are kept: ``chunk``, or at the end what is left.
            whole: whether the model hears the silence before the stream.
        """
        first = self.left if whole else min(self.left, done)
        return first, first + count
