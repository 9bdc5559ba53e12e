"""Which class of the family a checkpoint belongs to, told by the parts that its keys name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# The bare model, whose keys begin with the backbone's own parts, and every class with the parts that it adds. A file
# belongs to the first class all of whose parts it holds: what comes first has the parts of what comes after, or more.
BARE = "Wav2Vec2Model"
HEADS: dict[str, frozenset[str]] = {
    "Wav2Vec2ForPreTraining": frozenset({"quantizer", "project_hid", "project_q"}),
    "Wav2Vec2ForCTC": frozenset({"lm_head"}),
    "Wav2Vec2ForXVector": frozenset({"projector", "tdnn", "classifier", "objective"}),
    "Wav2Vec2ForSequenceClassification": frozenset({"projector", "classifier"}),
    "Wav2Vec2ForAudioFrameClassification": frozenset({"classifier"}),
}

_PREFIX = re.compile(r"^(TF|Flax)(?=Wav2Vec2)")


def architecture(keys: Iterable[str], declared: Iterable[str] | None = None) -> str:
    """The class that the tensors of a checkpoint belong to, such as ``Wav2Vec2ForCTC``.

    Args:
        keys: the torch keys of the file.
        declared: what ``config.architectures`` says. It decides where the file holds the parts of several classes;
            otherwise the keys do, because files are often kept beside another class's configuration.
    """
    parts = {key.partition(".")[0] for key in keys}
    fitting = [name for name, needed in HEADS.items() if needed <= parts]
    named = [_PREFIX.sub("", str(name)) for name in declared or ()]
    return next((name for name in named if name in fitting), fitting[0] if fitting else BARE)


def model_class(name: str) -> type[Any]:
    """The class of this package that reads an architecture's checkpoints; its module is imported.

    Raises:
        ValueError: for a name that is none of the family's.
    """
    import tfwav2vec2

    plain = _PREFIX.sub("", name)
    if plain != BARE and plain not in HEADS:
        raise ValueError(
            f"{name[:100]!r} is no class of this package; these are: {', '.join(f'TF{known}' for known in (BARE, *HEADS))}"
        )
    return getattr(tfwav2vec2, f"TF{plain}")
