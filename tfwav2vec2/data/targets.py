"""What each task learns, as the numbers that its head takes."""

from __future__ import annotations

import collections
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from tfwav2vec2.backbone.lengths import adapter_lengths, frame_lengths
from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.examples import Example
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.language.transcripts import in_letters_of

NO_LABEL = -100
"""Stands where there is no label."""


class UnusableTargetError(ValueError):
    """An example that cannot be learned from.

    Attributes:
        reason: why, in the words by which a report counts.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Targets(Protocol):
    """What is to be learned from each clip, for one task.

    Attributes:
        fewest_frames: the frames that a clip needs at least.
        follows_time: whether the target belongs to places in the clip, so that no piece of it can be cut out.
        trailing: the shape of ``labels`` behind the batch's axis, as far as it is fixed; None for a task without labels.
        dtype: of ``labels``.
    """

    fewest_frames: int
    follows_time: bool
    trailing: tuple[int | None, ...] | None
    dtype: Any

    def encode(self, example: Example) -> Any:
        """The target in numbers.

        Raises:
            UnusableTargetError: where the example has none that the model could learn.
        """

    def size(self, target: Any) -> int:
        """How many columns of labels an encoded target takes; 0 where that does not depend on it."""

    def frames_needed(self, target: Any) -> int:
        """The frames that an encoded target needs at least."""

    def batch(
        self,
        targets: Sequence[Any],
        lengths: Sequence[int],
        stretch: Sequence[float],
        samples: int,
        columns: int,
    ) -> np.ndarray | None:
        """The ``labels`` of a batch; None for a task without labels.

        Args:
            targets: encoded, one for each clip.
            lengths: the samples of each clip.
            stretch: how many times longer than the recording each clip is.
            samples: what the clips are padded to.
            columns: what labels of different numbers are padded to.
        """


class Transcripts:
    """Letters for CTC: (batch, columns) int32, padded with -100.

    Args:
        tokenizer: turns text to ids.
        config: says how many frames a clip has.
        normalize: what is done to a text first; by default it is brought to the vocabulary's case and freed of
            punctuation that the vocabulary lacks (:func:`~tfwav2vec2.language.transcripts.in_letters_of`).

    Attributes:
        unknown: how often each character met was outside the vocabulary.
        changed: how many texts the normalisation changed.
    """

    follows_time = True
    trailing: tuple[int | None, ...] | None = (None,)
    dtype = np.int32

    def __init__(
        self,
        tokenizer: Wav2Vec2CTCTokenizer,
        config: Wav2Vec2Config,
        normalize: Callable[[str], str] | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._config = config
        letters = frozenset(tokenizer.get_vocab())
        self._normalize = normalize or (lambda text: in_letters_of(text, letters))
        self.unknown: collections.Counter[str] = collections.Counter()
        self.changed = 0
        self.fewest_frames = 1

    def encode(self, example: Example) -> np.ndarray:
        """The ids of an example's text."""
        if not isinstance(example.target, str):
            raise UnusableTargetError("no text", f"its target is {example.target!r}, not a text")
        text = self._normalize(example.target)
        self.changed += text != example.target
        if example.target.strip() and not text.strip():
            raise UnusableTargetError("no text", f"nothing is left of its text {example.target!r}")
        tokens = self._tokenizer.tokenize(text)
        unknown = [token for token in tokens if not self._is_known(token)]
        if unknown:
            self.unknown.update(unknown)
            raise UnusableTargetError(
                "characters outside the vocabulary",
                f"the vocabulary lacks {', '.join(sorted(set(map(repr, unknown))))} of its text {example.target!r}",
            )
        return np.array(self._tokenizer.convert_tokens_to_ids(tokens), np.int32)

    def _is_known(self, token: str) -> bool:
        index = self._tokenizer.vocabulary.id_of(token)
        return index is not None and index < self._config.vocab_size and token != self._tokenizer.unk_token

    def size(self, target: np.ndarray) -> int:
        """The number of letters."""
        return len(target)

    def frames_needed(self, target: np.ndarray) -> int:
        """One frame for each letter, and a blank between equal neighbours."""
        return max(len(target) + int(np.sum(target[1:] == target[:-1])), self.fewest_frames)

    def batch(
        self,
        targets: Sequence[Any],
        lengths: Sequence[int],
        stretch: Sequence[float],
        samples: int,
        columns: int,
    ) -> np.ndarray:
        """The letters of each clip."""
        labels = np.full((len(targets), columns), NO_LABEL, np.int32)
        for row, target in zip(labels, targets, strict=True):
            row[: len(target)] = target
        return labels


class Classes:
    """One class for each clip: (batch,) int32.

    Args:
        config: ``label2id`` names the classes.
        of_speaker: whether an example without a target is of its speaker's class.
        fewest_frames: the frames that the head needs.
    """

    follows_time = False
    trailing: tuple[int | None, ...] | None = ()
    dtype = np.int32

    def __init__(self, config: Wav2Vec2Config, *, of_speaker: bool = False, fewest_frames: int = 1) -> None:
        self._config = config
        self._of_speaker = of_speaker
        self.fewest_frames = fewest_frames

    def encode(self, example: Example) -> int:
        """The index of an example's class."""
        target = example.target
        if target is None and self._of_speaker:
            target = example.speaker
        return class_index(target, self._config)

    def size(self, target: int) -> int:
        """0: a clip has one label."""
        return 0

    def frames_needed(self, target: int) -> int:
        """What the head needs."""
        return self.fewest_frames

    def batch(
        self,
        targets: Sequence[Any],
        lengths: Sequence[int],
        stretch: Sequence[float],
        samples: int,
        columns: int,
    ) -> np.ndarray:
        """The class of each clip."""
        return np.array(targets, np.int32)


class NoTargets:
    """Pretraining: the sound alone.

    Args:
        config: a clip needs the frames of one hidden span at least, and two, to tell one from the other.
    """

    follows_time = False
    trailing: tuple[int | None, ...] | None = None
    dtype = np.int32

    def __init__(self, config: Wav2Vec2Config) -> None:
        self.fewest_frames = max(config.mask_time_length, 2)

    def encode(self, example: Example) -> None:
        """None."""

    def size(self, target: None) -> int:
        """0."""
        return 0

    def frames_needed(self, target: None) -> int:
        """The frames of one hidden span."""
        return self.fewest_frames

    def batch(
        self,
        targets: Sequence[Any],
        lengths: Sequence[int],
        stretch: Sequence[float],
        samples: int,
        columns: int,
    ) -> None:
        """None."""


def class_index(label: Any, config: Wav2Vec2Config) -> int:
    """The index of a class, given by name or as an index.

    Raises:
        UnusableTargetError: for a class that the configuration does not name.
    """
    if label is None:
        raise UnusableTargetError("no label", "it has no target")
    if isinstance(label, (int, np.integer)) and not isinstance(label, bool):
        if 0 <= label < config.num_labels:
            return int(label)
    elif str(label) in config.label2id:
        return int(config.label2id[str(label)])
    raise UnusableTargetError(
        "unknown label", f"its class {label!r} is not among the {config.num_labels} of config.label2id"
    )


def class_names(examples: Sequence[Example], *, of_speaker: bool = False) -> dict[str, Any]:
    """The fields of a configuration for a classifier of the classes that examples have, in the order of their names.

    ``config.update(class_names(examples))``, or ``from_pretrained(name, **class_names(examples))``.

    Args:
        examples: with names of classes, or intervals of them, as targets.
        of_speaker: whether an example without a target is of its speaker's class.
    """
    names: set[str] = set()
    for example in examples:
        target = example.speaker if example.target is None and of_speaker else example.target
        if isinstance(target, (list, tuple)):
            names |= {str(label) for _, _, label in target}
        elif target is not None:
            names.add(str(target))
    ordered = sorted(names)
    return {
        "id2label": dict(enumerate(ordered)),
        "label2id": {name: index for index, name in enumerate(ordered)},
    }


def output_frames(config: Wav2Vec2Config, samples: int) -> int:
    """The frames of a model's output for a clip of ``samples`` samples."""
    return int(adapter_lengths(config, frame_lengths(config, samples)))
