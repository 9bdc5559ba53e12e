"""What became of the examples that were given: kept, or left out and why."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# How many of the examples that were left out for one reason a printed report names.
_NAMED = 3


@dataclass(frozen=True)
class LeftOut:
    """An example that is not used.

    Args:
        id: its name.
        reason: the reason by which it is counted.
        message: what is wrong with it.
    """

    id: str
    reason: str
    message: str


@dataclass(frozen=True)
class DataReport:
    """What training data consist of.

    Args:
        kept: the examples that are used.
        left_out: those that are not.
        seconds: the sound in those that are used.
        steps: the batches of an epoch.
        shapes: the shapes (clips, samples, label columns) of the batches, and how many of an epoch have each.
        padding: the share of the batches' samples that is padding.
        remainder: the examples that do not fill an epoch's last batch and wait for another epoch.
        unknown_characters: how often each character outside the vocabulary occurs.
        changed_texts: the texts that were brought to the vocabulary's letters.
    """

    kept: int
    left_out: Sequence[LeftOut]
    seconds: float
    steps: int
    shapes: Mapping[tuple[int, int, int], int]
    padding: float
    remainder: int = 0
    unknown_characters: Mapping[str, int] = field(default_factory=dict)
    changed_texts: int = 0

    @property
    def dropped(self) -> dict[str, int]:
        """How many examples were left out for each reason."""
        return dict(collections.Counter(example.reason for example in self.left_out))

    def __str__(self) -> str:
        total = self.kept + len(self.left_out)
        lines = [
            f"{self.kept} of {total} examples, {self.seconds / 60:.1f} min: {self.steps} batches an epoch in "
            f"{len(self.shapes)} shapes, {100 * self.padding:.1f} % of them padding"
        ]
        if self.remainder:
            lines.append(f"  {self.remainder} do not fill a batch and are left out of each epoch")
        if self.changed_texts:
            lines.append(f"  {self.changed_texts} texts were brought to the vocabulary's letters")
        for reason, count in sorted(self.dropped.items(), key=lambda item: -item[1]):
            lines.append(f"  left out {count}: {reason}")
            of_reason = [example for example in self.left_out if example.reason == reason]
            lines += [f"    {example.id}: {example.message}" for example in of_reason[:_NAMED]]
        if self.unknown_characters:
            often = sorted(self.unknown_characters.items(), key=lambda item: (-item[1], item[0]))
            lines.append("  outside the vocabulary: " + ", ".join(f"{char!r} ({n})" for char, n in often))
        return "\n".join(lines)
