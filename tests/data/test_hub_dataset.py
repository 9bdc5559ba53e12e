"""Datasets of the ``datasets`` library, by stand-ins that answer as its versions 3 to 5 do; and by itself, where it is."""

from __future__ import annotations

import io
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from tfwav2vec2.data.clip_reading import count_samples, read_clip
from tfwav2vec2.data.columns import ManifestError
from tfwav2vec2.data.hub_dataset import from_datasets
from tfwav2vec2.data.manifest import as_examples

TONE = (0.5 * np.sin(np.arange(4000) / 5)).astype(np.float32)


def wav() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, TONE, 8000, format="WAV", subtype="FLOAT")
    return file.getvalue()


@dataclass
class Audio:
    """The feature ``datasets.Audio``."""

    sampling_rate: int | None = 16_000
    decode: bool = True


@dataclass
class ClassLabel:
    """The feature ``datasets.ClassLabel``."""

    names: list[str]

    def int2str(self, index: int) -> str:
        return self.names[index]


class Decoder:
    """What ``datasets`` 4 gives for a row of decoded audio: torchcodec's ``AudioDecoder``."""

    def get_all_samples(self) -> SimpleNamespace:
        return SimpleNamespace(data=np.stack([TONE, TONE]), sample_rate=8000)


@dataclass
class Dataset:
    """``datasets.Dataset``; undecoded audio is what its columns hold, decoded audio is an error unless given."""

    columns: dict[str, list[Any]]
    features: dict[str, Any] = field(default_factory=dict)
    decoded: Any = None

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return [self._value(key, value) for value in self.columns[key]]
        return {name: self._value(name, values[key]) for name, values in self.columns.items()}

    def _value(self, name: str, value: Any) -> Any:
        if not getattr(self.features.get(name), "decode", False):
            return value
        if self.decoded is None:
            raise ImportError("To support decoding audio data, please install 'torchcodec'.")
        return self.decoded

    def cast_column(self, name: str, feature: Any) -> Dataset:
        return replace(self, features={**self.features, name: feature})

    def select_columns(self, names: list[str]) -> Dataset:
        return replace(self, columns={name: self.columns[name] for name in names})


def check_sound(example: Any) -> None:
    np.testing.assert_allclose(read_clip(example, 8000), TONE, atol=1e-6)
    assert count_samples(example, 8000) == len(TONE)


def test_audio_is_taken_undecoded_so_that_no_decoder_is_needed(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(wav())
    stored = [{"bytes": wav(), "path": None}, {"bytes": None, "path": str(path)}]
    dataset = Dataset({"audio": stored, "sentence": ["hi", "ho"], "client_id": [7, 8]}, {"audio": Audio()})
    found = from_datasets(dataset)
    assert [(example.id, example.target, example.speaker) for example in found] == [
        ("0", "hi", "7"),
        ("1", "ho", "8"),
    ]
    for example in found:
        check_sound(example)


@pytest.mark.parametrize(
    "value",
    [Decoder(), {"array": TONE, "sampling_rate": 8000}, {"array": TONE.tolist(), "sampling_rate": 8000}],
    ids=["AudioDecoder", "array", "list"],
)
def test_decoded_audio_works_as_well(value):
    dataset = Dataset({"audio": [value], "text": ["x"]})
    (example,) = from_datasets(dataset)
    check_sound(example)


def test_class_labels_go_by_their_names_and_secret_ones_are_none():
    dataset = Dataset(
        {"audio": [{"bytes": wav()}] * 3, "label": [1, 0, -1]},
        {"audio": Audio(), "label": ClassLabel(["no", "yes"])},
    )
    assert [example.target for example in from_datasets(dataset)] == ["yes", "no", None]


def test_other_columns_can_be_named():
    dataset = Dataset({"sound": [{"bytes": wav()}], "norm_text": ["x"], "text": ["X!"], "who": [3]})
    (example,) = from_datasets(dataset, audio="sound", target="norm_text", speaker="who")
    assert (example.target, example.speaker) == ("x", "3")
    check_sound(example)


def test_audio_is_read_when_it_is_needed_and_not_before():
    broken = Dataset({"audio": [{"bytes": b"no sound"}], "text": ["x"]}, {"audio": Audio()})
    (example,) = from_datasets(broken)
    with pytest.raises(ValueError, match=r"Example 0: .* cannot be read as audio"):
        read_clip(example, 8000)


def test_what_is_no_audio_is_named():
    (example,) = from_datasets(Dataset({"audio": [3], "text": ["x"]}))
    with pytest.raises(TypeError, match="Example 0: its audio is 3"):
        read_clip(example, 8000)


def test_streams_and_several_splits_are_refused():
    stream = SimpleNamespace(column_names=["audio"], features=None)
    with pytest.raises(TypeError, match="streaming=False"):
        from_datasets(stream)
    with pytest.raises(TypeError, match=r"choose one, such as dataset\['train'\]"):
        from_datasets({"train": None, "test": None})


def test_datasets_of_the_library_itself(tmp_path):
    """Without torchcodec, which it would decode with."""
    datasets = pytest.importorskip("datasets")
    (tmp_path / "a.wav").write_bytes(wav())
    audio = [{"bytes": None, "path": str(tmp_path / "a.wav")}, {"bytes": wav(), "path": None}]
    dataset = datasets.Dataset.from_dict({"audio": audio, "label": [1, 0], "speaker_id": [7, 8]})
    dataset = dataset.cast_column("audio", datasets.Audio(sampling_rate=16_000))
    dataset = dataset.cast_column("label", datasets.ClassLabel(names=["no", "yes"]))
    found = as_examples(dataset)
    assert [(example.target, example.speaker) for example in found] == [("yes", "7"), ("no", "8")]
    for example in (*found, *as_examples(dataset.select([1]))):
        check_sound(example)
    with pytest.raises(TypeError, match=r"choose one, such as dataset\['train'\]"):
        as_examples(datasets.DatasetDict({"train": dataset}))
    with pytest.raises(TypeError, match="streaming=False"):
        as_examples(dataset.to_iterable_dataset())


def test_a_dataset_without_audio_is_refused():
    with pytest.raises(ManifestError, match="The Dataset has no column named audio"):
        from_datasets(Dataset({"text": ["x"]}))
