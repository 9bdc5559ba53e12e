"""From waveforms to the model's input: cut, pad, normalise and mask."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tfwav2vec2.audio.clips import as_clips
from tfwav2vec2.batching import Padding, as_columns, is_tensor, kind_of, round_up, to_numpy, to_tensors
from tfwav2vec2.outputs import BatchFeature
from tfwav2vec2.weights.files import PushToHub, find_file, read_json, take_hub_options, write_json

logger = logging.getLogger(__name__)

PREPROCESSOR_CONFIG = "preprocessor_config.json"
PROCESSOR_CONFIG = "processor_config.json"

# Added to the variance before the square root (reference: ``zero_mean_unit_var_norm``).
VARIANCE_FLOOR = 1e-7


class Wav2Vec2FeatureExtractor(PushToHub):
    """Prepares waveforms for a model (reference: ``Wav2Vec2FeatureExtractor`` of transformers 4.57).

    Clips are cut to ``max_length``, then padded, then normalised. The normalisation, (x - mean) / sqrt(var + 1e-7), is
    taken over a clip's own samples where an attention mask is returned, and over the padded clip where none is: a
    checkpoint whose file says ``return_attention_mask: false`` was trained so.

    One thing differs from the reference. With ``padding_side="left"`` and a mask, the reference takes the statistics
    over the first samples, which are padding, and then overwrites the end of the clip, which is audio; here the mask
    decides what is audio.

    Args:
        feature_size: values for each time step; 1 for a waveform.
        sampling_rate: the rate in Hz of the audio that the model was trained on.
        padding_value: what padding is filled with.
        return_attention_mask: whether calls return ``attention_mask`` unless told otherwise.
        do_normalize: whether each clip is brought to zero mean and unit variance.
        fields: ``padding_side`` (``"right"`` or ``"left"``), and whatever else a file holds, which is kept.

    Raises:
        ValueError: for a rate that is none, or a field named as a method.
    """

    model_input_names: ClassVar[list[str]] = ["input_values", "attention_mask"]

    def __init__(
        self,
        feature_size: int = 1,
        sampling_rate: int = 16_000,
        padding_value: float = 0.0,
        return_attention_mask: bool = False,
        do_normalize: bool = True,
        **fields: Any,
    ) -> None:
        if not isinstance(sampling_rate, (int, float)) or sampling_rate <= 0:
            raise ValueError(f"sampling_rate must be a rate in Hz above 0; got {sampling_rate!r}")
        self.feature_size = feature_size
        self.sampling_rate = sampling_rate
        self.padding_value = padding_value
        self.padding_side = fields.pop("padding_side", "right")
        self.return_attention_mask = return_attention_mask
        self.do_normalize = do_normalize
        self._processor_class = fields.pop("processor_class", None)
        fields.pop("feature_extractor_type", None)
        for name, value in fields.items():
            if callable(getattr(type(self), name, None)):
                raise ValueError(
                    f"{name!r} is a method of the feature extractor and cannot be one of its fields"
                )
            setattr(self, name, value)

    def __call__(
        self,
        raw_speech: Any,
        padding: bool | str = False,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
        sampling_rate: int | None = None,
        **unknown: Any,
    ) -> BatchFeature:
        """Prepare one clip or a batch.

        Args:
            raw_speech: mono samples: an array or list of numbers (samples,), or a batch of them, as a list or as an
                array (batch, samples).
            padding: False, True (or ``"longest"``) or ``"max_length"``.
            max_length: in samples: what ``padding="max_length"`` pads to and ``truncation`` cuts to.
            truncation: whether clips longer than ``max_length`` are cut.
            pad_to_multiple_of: rounds the padded length up.
            return_attention_mask: overrides the extractor's own setting.
            return_tensors: ``"np"``, ``"tf"``, ``"pt"`` or ``"jax"``; by default a list of arrays.
            sampling_rate: the rate of ``raw_speech`` in Hz. Give it: a rate that differs from the model's is then an
                error in place of a wrong transcript; without it a warning is logged.

        Returns:
            ``input_values`` (batch, samples) and perhaps ``attention_mask`` (batch, samples) int32. float64 becomes
            float32; integer samples become float64 by the normalisation and stay integers without it.

        Raises:
            ValueError: for another sampling rate, or audio that is empty, not finite or not mono.
            TypeError: for anything that is not numbers.
        """
        self._check_sampling_rate(sampling_rate)
        if unknown:
            logger.warning("The feature extractor has no arguments named %s; ignored", ", ".join(unknown))
        batch = self.pad(
            BatchFeature(input_values=as_clips(raw_speech)),
            padding=padding,
            max_length=max_length,
            truncation=truncation,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
            return_tensors="np",
        )
        mask = batch.get("attention_mask")
        if mask is not None:
            batch["attention_mask"] = list(mask)
        if self.do_normalize:
            padded = Padding.of(padding) is not Padding.DO_NOT_PAD
            batch["input_values"] = self.zero_mean_unit_var_norm(
                list(batch["input_values"]), mask if padded else None, self.padding_value
            )
        return to_tensors(batch, return_tensors)

    def pad(
        self,
        processed_features: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchFeature:
        """Bring clips that were prepared already to one length, as a data collator does.

        Args:
            processed_features: ``{"input_values": [clip, ...]}`` or ``[{"input_values": clip}, ...]``; further fields
                are carried along.
            padding: as for a call; True by default.
            max_length: as for a call.
            truncation: as for a call.
            pad_to_multiple_of: as for a call.
            return_attention_mask: as for a call.
            return_tensors: as for a call; by default the kind that came in, numpy for lists.

        Raises:
            ValueError: for a missing ``input_values`` or ``max_length``, or fields of different batch sizes.
        """
        columns = as_columns(processed_features)
        if "input_values" not in columns:
            raise ValueError(f"Padding needs a field input_values; got {list(columns)}")
        if return_attention_mask is None:
            return_attention_mask = self.return_attention_mask
        clips = columns["input_values"]
        if len(clips) == 0:
            return BatchFeature(columns | ({"attention_mask": []} if return_attention_mask else {}))
        kind = return_tensors or kind_of(clips) or kind_of(clips[0]) or "np"
        columns = {name: [to_numpy(value) for value in values] for name, values in columns.items()}
        sizes = {name: len(values) for name, values in columns.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"All fields must have the same number of rows; got {sizes}")
        if any(clip.ndim != 1 for clip in columns["input_values"]):
            raise ValueError("Padding takes a batch: input_values must be a list of one-dimensional clips")
        if return_attention_mask and "attention_mask" not in columns:
            columns["attention_mask"] = [np.ones(len(clip), np.int32) for clip in columns["input_values"]]
        if truncation:
            _truncate(columns, max_length, pad_to_multiple_of)
        self._pad(columns, Padding.of(padding), max_length, pad_to_multiple_of)
        for values in columns.values():
            values[:] = [v.astype(np.float32) if v.dtype == np.float64 else v for v in values]
        return to_tensors(BatchFeature(columns), kind)

    def _pad(
        self,
        columns: dict[str, list[np.ndarray]],
        padding: Padding,
        max_length: int | None,
        multiple: int | None,
    ) -> None:
        if padding is Padding.DO_NOT_PAD:
            return
        if padding is Padding.LONGEST:
            max_length = max(len(clip) for clip in columns["input_values"])
        if max_length is None:
            raise ValueError("padding='max_length' needs max_length, a number of samples")
        if self.padding_value is None:
            raise ValueError("Padding needs a padding_value; set the feature extractor's, to 0.0 for example")
        if self.padding_side not in ("right", "left"):
            raise ValueError(f"padding_side is {self.padding_side!r}; it must be 'right' or 'left'")
        length = round_up(max_length, multiple)
        for name, filler in (("input_values", self.padding_value), ("attention_mask", 0)):
            rows = columns.get(name, [])
            for index, row in enumerate(rows):
                missing = max(length - len(row), 0)
                widths = (0, missing) if self.padding_side == "right" else (missing, 0)
                rows[index] = np.pad(row, widths, constant_values=filler)

    @staticmethod
    def zero_mean_unit_var_norm(
        input_values: list[np.ndarray], attention_mask: Any, padding_value: float = 0.0
    ) -> list[np.ndarray]:
        """Normalise each clip to zero mean and unit variance.

        Args:
            input_values: clips (samples,).
            attention_mask: for each clip a mask (samples,) of what is audio: the statistics are taken over that, and
                the rest becomes ``padding_value``. None takes the whole clip.
            padding_value: what padding is reset to.
        """
        if attention_mask is None:
            return [(clip - clip.mean()) / np.sqrt(clip.var() + VARIANCE_FLOOR) for clip in input_values]
        normalised = []
        for clip, mask in zip(input_values, attention_mask, strict=True):
            is_audio = np.asarray(mask, bool)
            audio = clip[is_audio]
            result = (clip - audio.mean()) / np.sqrt(audio.var() + VARIANCE_FLOOR)
            result[~is_audio] = padding_value
            normalised.append(result)
        return normalised

    def _check_sampling_rate(self, sampling_rate: int | None) -> None:
        if sampling_rate is None:
            logger.warning(
                "No sampling_rate was given: audio of another rate than %s Hz would go unnoticed and be transcribed "
                "wrongly. Pass sampling_rate=",
                self.sampling_rate,
            )
        elif sampling_rate != self.sampling_rate:
            raise ValueError(
                f"The audio has {sampling_rate} Hz and the model was trained on {self.sampling_rate} Hz; resample it "
                f"first, for example with tfwav2vec2.load_audio(audio, source_rate={sampling_rate})"
            )

    def to_dict(self) -> dict[str, Any]:
        """Every field as plain data."""
        fields = {
            name: copy.deepcopy(value) for name, value in vars(self).items() if name != "_processor_class"
        }
        fields["feature_extractor_type"] = type(self).__name__
        if self._processor_class is not None:
            fields["processor_class"] = self._processor_class
        return {name: value.tolist() if is_tensor(value) else value for name, value in fields.items()}

    def to_json_string(self) -> str:
        """The fields as JSON with sorted keys, as ``preprocessor_config.json`` holds them."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def to_json_file(self, path: str | Path) -> None:
        """Write :meth:`to_json_string` to a file; an old file is replaced only once all is written."""
        write_json(path, self.to_dict(), sort_keys=True, ensure_ascii=True)

    @classmethod
    def from_dict(cls, fields: dict[str, Any], **overrides: Any) -> Any:
        """Build a feature extractor from plain data; keyword arguments that name a field take precedence.

        Those that name none are left out; with ``return_unused_kwargs=True`` the answer is ``(extractor, those)``.
        """
        return_unused = overrides.pop("return_unused_kwargs", False)
        known = set(fields) | set(vars(cls()))
        extractor = cls(**{**fields, **{name: value for name, value in overrides.items() if name in known}})
        unused = {name: value for name, value in overrides.items() if name not in known}
        return (extractor, unused) if return_unused else extractor

    @classmethod
    def from_json_file(cls, path: str | Path) -> Wav2Vec2FeatureExtractor:
        """Read a feature extractor from one JSON file."""
        return cls(**read_json(path))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Any:
        """Read ``preprocessor_config.json``, or that part of ``processor_config.json``, from a folder or the hub.

        Args:
            name_or_path: a folder, or a name on the hub.
            options: the hub's options (:data:`tfwav2vec2.weights.files.HUB_OPTIONS`), fields to override, and
                ``return_unused_kwargs`` as in :meth:`from_dict`.

        Raises:
            OSError: where neither file is there, or it cannot be read.
            ValueError: where it belongs to a feature extractor of another kind.
        """
        hub = take_hub_options(options)
        path = find_file(name_or_path, PREPROCESSOR_CONFIG, required=False, **hub)
        fields = read_json(path) if path else None
        if fields is None:
            path = find_file(name_or_path, PROCESSOR_CONFIG, required=False, **hub)
            fields = nested_fields(read_json(path)) if path else None
        if fields is None:
            path = find_file(name_or_path, PREPROCESSOR_CONFIG, **hub)  # raises, with the remedy
            fields = read_json(path)
        kind = fields.get("feature_extractor_type", cls.__name__)
        if kind != cls.__name__:
            raise ValueError(f"{path} describes a {kind}; {cls.__name__} cannot take its place")
        try:
            return cls.from_dict(fields, **options)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def save_pretrained(self, folder: str | Path, push_to_hub: bool = False, **options: Any) -> list[str]:
        """Write ``preprocessor_config.json`` into a folder, which is made if need be; returns its path.

        Where the folder has a ``processor_config.json`` that holds a feature extractor too, as transformers 5 writes
        it, that is brought up to date as well: transformers 5 prefers it.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        nested = folder / PROCESSOR_CONFIG
        if nested.is_file():
            content = read_json(nested)
            if nested_fields(content) is not None:
                content.pop("audio_processor", None)
                write_json(nested, content | {"feature_extractor": self.to_dict()}, sort_keys=True)
        path = folder / PREPROCESSOR_CONFIG
        self.to_json_file(path)
        if push_to_hub:
            self.push_to_hub(options.pop("repo_id", folder.name), **options)
        return [str(path)]

    def _set_processor_class(self, name: str) -> None:
        self._processor_class = name

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def nested_fields(processor_config: dict[str, Any]) -> dict[str, Any] | None:
    """The feature extractor's fields inside a ``processor_config.json``, where transformers 5 keeps them."""
    fields = processor_config.get("feature_extractor", processor_config.get("audio_processor"))
    return fields if isinstance(fields, dict) else None


def _truncate(columns: dict[str, list[np.ndarray]], max_length: int | None, multiple: int | None) -> None:
    if max_length is None:
        raise ValueError("truncation=True needs max_length, a number of samples")
    length = round_up(max_length, multiple)
    for name in ("input_values", "attention_mask"):
        if name in columns:
            columns[name] = [row[:length] for row in columns[name]]
