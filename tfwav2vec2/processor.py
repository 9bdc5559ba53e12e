"""Both ends of a model in one object: waveforms to input values, text to labels, frames to text."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfwav2vec2.audio.feature_extractor import Wav2Vec2FeatureExtractor
from tfwav2vec2.language.tokenizer import Wav2Vec2CTCTokenizer
from tfwav2vec2.weights.files import PushToHub

logger = logging.getLogger(__name__)

_BOTH = ("padding", "max_length", "truncation", "pad_to_multiple_of", "return_attention_mask")

# Which of a call's arguments go to which end; the reference's lists (``AudioKwargs``, ``TextKwargs``, ``CommonKwargs``).
_ARGUMENTS = {
    "audio_kwargs": ("sampling_rate", *_BOTH),
    "text_kwargs": (
        "text_pair", "text_target", "text_pair_target", "add_special_tokens", "stride", "is_split_into_words",
        "return_token_type_ids", "return_overflowing_tokens", "return_special_tokens_mask", "return_offsets_mapping",
        "return_length", "verbose", "padding_side", *_BOTH,
    ),
    "common_kwargs": ("return_tensors",),
}  # fmt: skip


class Wav2Vec2Processor(PushToHub):
    """A feature extractor and a tokenizer (reference: ``Wav2Vec2Processor`` of transformers 4.57).

    Args:
        feature_extractor: prepares waveforms.
        tokenizer: encodes text and decodes frames.
    """

    attributes = ("feature_extractor", "tokenizer")

    def __init__(self, feature_extractor: Wav2Vec2FeatureExtractor, tokenizer: Wav2Vec2CTCTokenizer) -> None:
        if not isinstance(feature_extractor, Wav2Vec2FeatureExtractor):
            raise TypeError(
                f"feature_extractor must be a Wav2Vec2FeatureExtractor; got a {type(feature_extractor).__name__}"
            )
        if not isinstance(tokenizer, Wav2Vec2CTCTokenizer):
            raise TypeError(f"tokenizer must be a Wav2Vec2CTCTokenizer; got a {type(tokenizer).__name__}")
        self.feature_extractor = feature_extractor
        self.tokenizer = tokenizer
        self.current_processor: Any = feature_extractor

    def __call__(
        self, audio: Any = None, text: Any = None, images: None = None, videos: None = None, **options: Any
    ) -> Any:
        """Prepare audio, encode text, or both.

        Args:
            audio: what :class:`Wav2Vec2FeatureExtractor` takes.
            text: what :class:`Wav2Vec2CTCTokenizer` takes.
            images, videos: None; here because the reference has them.
            options: arguments of both; each goes where it belongs, and ``padding``, ``max_length``, ``truncation``,
                ``pad_to_multiple_of``, ``return_attention_mask`` and ``return_tensors`` to both. Those for one end
                alone can be given as ``audio_kwargs={...}`` and ``text_kwargs={...}``. Whatever of these the
                tokenizer's file holds is the default, for both ends, as in the reference.

        Returns:
            For audio ``input_values`` and perhaps ``attention_mask``; for text ``input_ids`` and ``attention_mask``; for
            both the former, with the ids as ``labels``.

        Raises:
            ValueError: where there is neither audio nor text, and as both ends do.
        """
        if "raw_speech" in options:
            logger.warning("The argument raw_speech is now named audio")
            audio = options.pop("raw_speech")
        if audio is None and text is None:
            raise ValueError("There is nothing to process; give audio or text")
        routed = self._route(options)
        if self.current_processor is self.tokenizer:
            return self.tokenizer(audio if text is None else text, **routed["text_kwargs"])
        if audio is None:
            return self.tokenizer(text, **routed["text_kwargs"])
        inputs = self.feature_extractor(audio, **routed["audio_kwargs"])
        if text is not None:
            inputs["labels"] = self.tokenizer(text, **routed["text_kwargs"])["input_ids"]
        return inputs

    def _route(self, options: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """Each end's arguments: defaults from the tokenizer's file, then those of the call."""
        stored = self.tokenizer.init_kwargs
        nested = {end: dict(options.pop(end)) for end in _ARGUMENTS if options.get(end) is not None}
        twice = {name for arguments in nested.values() for name in arguments.keys() & options.keys()}
        if twice:
            raise ValueError(
                f"{', '.join(sorted(twice))} came both by itself and inside a dictionary; give it once"
            )
        unknown = options.keys() - {name for names in _ARGUMENTS.values() for name in names}
        if unknown:
            logger.warning("The processor has no arguments named %s; ignored", ", ".join(sorted(unknown)))
        routed = {}
        for end, names in _ARGUMENTS.items():
            defaults = {name: getattr(self.tokenizer, name, stored[name]) for name in names if name in stored}
            given = {name: options[name] for name in names if name in options}
            routed[end] = defaults | given | nested.get(end, {})
        for end in ("audio_kwargs", "text_kwargs"):
            routed[end] |= routed["common_kwargs"]
        return routed

    def pad(self, *args: Any, **options: Any) -> Any:
        """Bring inputs, labels or both to one length each, as a data collator does.

        Args:
            args: ``input_features``, and further arguments of :meth:`Wav2Vec2FeatureExtractor.pad`.
            options: ``input_features``, what :meth:`Wav2Vec2FeatureExtractor.pad` takes; ``labels``, what
                :meth:`Wav2Vec2CTCTokenizer.pad` takes; and arguments that go to both.

        Returns:
            What the one that was called returns; of both the former, with the padded ids as ``labels``.
        """
        if self.current_processor is self.tokenizer:
            return self.tokenizer.pad(*args, **options)
        features, labels = options.pop("input_features", None), options.pop("labels", None)
        if args:
            features, args = args[0], args[1:]
        if features is not None:
            features = self.feature_extractor.pad(features, *args, **options)
        if labels is None:
            return features
        labels = self.tokenizer.pad(labels, **options)
        if features is None:
            return labels
        features["labels"] = labels["input_ids"]
        return features

    def decode(self, *args: Any, **options: Any) -> Any:
        """:meth:`Wav2Vec2CTCTokenizer.decode`."""
        return self.tokenizer.decode(*args, **options)

    def batch_decode(self, *args: Any, **options: Any) -> Any:
        """:meth:`Wav2Vec2CTCTokenizer.batch_decode`."""
        return self.tokenizer.batch_decode(*args, **options)

    @property
    def model_input_names(self) -> list[str]:
        """The fields that a model takes: those of the feature extractor, and ``labels``."""
        return [*self.feature_extractor.model_input_names, "labels"]

    @contextmanager
    def as_target_processor(self) -> Iterator[None]:
        """Let calls and :meth:`pad` go to the tokenizer for a while. Deprecated: give ``text=`` and ``labels=`` instead."""
        warnings.warn(
            "as_target_processor is deprecated; pass text= to the call and labels= to pad instead",
            FutureWarning,
            stacklevel=3,
        )
        self.current_processor = self.tokenizer
        try:
            yield
        finally:
            self.current_processor = self.feature_extractor

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Any:
        """Read both from a folder or from the hub.

        Args:
            name_or_path: a folder, or a name on the hub.
            options: the hub's options (:data:`tfwav2vec2.weights.files.HUB_OPTIONS`), and fields of either that take
                precedence over the files.

        Raises:
            OSError, TypeError, ValueError: as both classes' ``from_pretrained`` do.
        """
        return cls(
            Wav2Vec2FeatureExtractor.from_pretrained(name_or_path, **options),
            Wav2Vec2CTCTokenizer.from_pretrained(name_or_path, **options),
        )

    def save_pretrained(
        self, save_directory: str | Path, push_to_hub: bool = False, **options: Any
    ) -> list[str]:
        """Write the files of both into a folder, which is made if need be; returns their paths.

        The layout is that of transformers 4.57, which 5.x reads as well.
        """
        folder = Path(save_directory)
        for part in (self.feature_extractor, self.tokenizer):
            part._set_processor_class(type(self).__name__)
        paths = [*self.feature_extractor.save_pretrained(folder), *self.tokenizer.save_pretrained(folder)]
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), **options)
        return paths

    def __repr__(self) -> str:
        return f"{type(self).__name__}:\n- feature_extractor: {self.feature_extractor!r}\n- tokenizer: {self.tokenizer!r}"
