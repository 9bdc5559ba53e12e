"""The tasks that speech is prepared for, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfwav2vec2.config import Wav2Vec2Config
from tfwav2vec2.data.frame_targets import FrameClasses
from tfwav2vec2.data.targets import Classes, NoTargets, Targets, Transcripts

TASKS = ("ctc", "classify", "frames", "speaker", "pretrain")


def targets_for(
    task: str,
    processor: Any,
    config: Wav2Vec2Config,
    sampling_rate: int,
    normalize_text: Callable[[str], str] | None,
    background: str | None,
) -> Targets:
    """What a task learns from each clip.

    Args:
        task: one of :data:`TASKS`.
        processor: holds the tokenizer, where the task needs one.
        config: the model's configuration.
        sampling_rate: the model's, in Hz.
        normalize_text: what is done to texts, in place of bringing them to the vocabulary's letters.
        background: the class of frames in no interval.

    Raises:
        ValueError: for another task, and for arguments that it has no use for.
        TypeError: for texts without a tokenizer.
    """
    if task not in TASKS:
        raise ValueError(f"task is {task!r}; it must be one of {', '.join(map(repr, TASKS))}")
    for name, value, of in (("normalize_text", normalize_text, "ctc"), ("background", background, "frames")):
        if value is not None and task != of:
            raise ValueError(f"{name} has a meaning for the task {of!r} alone; leave it out for {task!r}")
    if task == "ctc":
        tokenizer = getattr(processor, "tokenizer", None)
        if tokenizer is None:
            raise TypeError(
                f"Texts need a tokenizer, and processor is a {type(processor).__name__}; give a Wav2Vec2Processor"
            )
        return Transcripts(tokenizer, config, normalize_text)
    if task == "frames":
        return FrameClasses(config, sampling_rate, background)
    if task == "speaker":
        from tfwav2vec2.heads.tdnn import fewest_frames

        return Classes(config, of_speaker=True, fewest_frames=fewest_frames(config))
    return Classes(config) if task == "classify" else NoTargets(config)
