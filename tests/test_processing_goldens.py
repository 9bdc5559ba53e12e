"""Every call and every file of the reference that tests/goldens/processing.json recorded, repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfwav2vec2 import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "processing.json").read_text(encoding="utf-8"))
FLOATS = 1e-6


def plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def files_of(saved: Any, folder: Path) -> dict[str, str]:
    saved.save_pretrained(folder)
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def make_tokenizer(case: dict[str, Any], folder: Path) -> Wav2Vec2CTCTokenizer:
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps(case["vocabulary"]), encoding="utf-8")
    return Wav2Vec2CTCTokenizer(vocabulary, **case["fields"])


def repeat(tokenizer: Wav2Vec2CTCTokenizer, calls: list[dict[str, Any]]) -> None:
    for call in calls:
        result = getattr(tokenizer, call["method"])(*call["args"], **call["kwargs"])
        assert plain(result) == call["result"], call


tokenizers = pytest.mark.parametrize("case", GOLDENS["tokenizers"], ids=range(len(GOLDENS["tokenizers"])))


@tokenizers
def test_tokenizer_gives_the_same_results(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = make_tokenizer(case, tmp_path)
    repeat(tokenizer, case["edits"])
    repeat(tokenizer, case["calls"])
    assert {name: plain(getattr(tokenizer, name)) for name in case["state"]} == case["state"]
    assert len(tokenizer) == case["length"]


@tokenizers
def test_tokenizer_writes_the_same_files(case: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = make_tokenizer(case, tmp_path)
    repeat(tokenizer, case["edits"])
    assert files_of(tokenizer, tmp_path / "saved") == case["files"]


@tokenizers
def test_tokenizer_read_from_the_files_gives_the_same_results(case: dict[str, Any], tmp_path: Path) -> None:
    for name, text in case["files"].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    tokenizer = Wav2Vec2CTCTokenizer.from_pretrained(tmp_path)
    repeat(tokenizer, case["calls"])
    assert len(tokenizer) == case["length"]


extractors = pytest.mark.parametrize("case", GOLDENS["extractors"], ids=range(len(GOLDENS["extractors"])))


@extractors
def test_feature_extractor_gives_the_same_values(case: dict[str, Any]) -> None:
    extractor = Wav2Vec2FeatureExtractor(**case["fields"])
    for call in case["calls"]:
        scale = 1000 if call["dtype"] == "int16" else 1
        clips = [
            clip if call["dtype"] == "list" else (np.array(clip) * scale).astype(call["dtype"])
            for clip in case["clips"]
        ]
        result = extractor(clips, sampling_rate=16_000, **call["options"])
        assert {name: str(np.asarray(rows[0]).dtype) for name, rows in result.items()} == call["dtypes"]
        for name, rows in call["result"].items():
            assert len(rows) == len(result[name])
            for row, ours in zip(rows, result[name], strict=True):
                np.testing.assert_allclose(ours, row, rtol=FLOATS, atol=FLOATS)


@extractors
def test_feature_extractor_writes_the_same_file(case: dict[str, Any], tmp_path: Path) -> None:
    assert files_of(Wav2Vec2FeatureExtractor(**case["fields"]), tmp_path / "saved") == case["files"]


@pytest.mark.parametrize("case", GOLDENS["configs"], ids=range(len(GOLDENS["configs"])))
def test_config_writes_the_same_file(case: dict[str, Any], tmp_path: Path) -> None:
    expected = json.loads(case["files"]["config.json"])
    del expected["transformers_version"]
    files = files_of(Wav2Vec2Config(**case["fields"]), tmp_path / "saved")
    assert files == {"config.json": json.dumps(expected, indent=2, sort_keys=True) + "\n"}
